"""Finds features that `docs/agency-swarm.md` calls "refused at start"."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agency_swarm import Agency

_APPROVAL = (
    "needs a person's approval ({setting}), and nobody can give it here yet: the run would end without an answer. "
    "{instead}"
)
_OAUTH = (
    "asks its users to log in (OAuth), which needs a browser and a callback that this service does not have. {instead}"
)


def refused_feature(agency: "Agency") -> str | None:
    """Return why an agency cannot run here and what to write instead, or None."""
    for agent in _agents(agency.agents.values()):
        for tool in agent.tools:
            if reason := _refused_tool(tool):
                return f"Agent {agent.name!r}: the tool {_name(tool)!r} {reason}"
        for server in _servers(agent):
            if reason := _refused_server(server):
                return f"Agent {agent.name!r}: the MCP server {getattr(server, 'name', '?')!r} {reason}"
    return None


def refused_by_chat(agency: "Agency") -> str | None:
    """Return why an agency cannot run with MODEL_API=chat, or None."""
    from agents import FunctionTool

    for agent in agency.agents.values():
        named = agent.model is None or isinstance(agent.model, str)  # a Model of its own brings its own API
        for tool in agent.tools if named else ():
            if not isinstance(tool, FunctionTool):
                return (
                    f"Agent {agent.name!r}: the tool {_name(tool)!r} runs at the provider or by its Responses API, and "
                    "MODEL_API is 'chat'. Set MODEL_API to 'responses', or remove the tool."
                )
    return None


def unapproved_tool(interruption: Any) -> str:
    """Return why a call for which `refused_feature` found no reason cannot go on."""
    reason = _APPROVAL.format(setting="needs_approval", instead="Remove needs_approval.")
    return f"Agent {interruption.agent.name!r}: the tool {interruption.tool_name or interruption.name!r} {reason}"


def _agents(agents: Any) -> Iterator[Any]:
    # Yields agents, and those that they hand over to or have as tools, each once.
    found: dict[int, Any] = {}
    waiting = list(agents)
    while waiting:
        agent = waiting.pop(0)
        if id(agent) in found or not hasattr(agent, "tools"):
            continue
        found[id(agent)] = agent
        yield agent
        waiting += [inner for tool in agent.tools if (inner := getattr(tool, "_agent_instance", None))]
        waiting += [_handed_to(handoff) for handoff in agent.handoffs]


def _handed_to(handoff: Any) -> Any:
    # A handoff is the agent itself or holds a weak reference to it.
    reference = getattr(handoff, "_agent_ref", None)
    return reference() if reference else handoff


def _servers(agent: Any) -> list[Any]:
    deferred = getattr(agent, "_oauth_mcp_servers", {})  # Agency Swarm moves servers with OAuth out of `mcp_servers`
    return [*agent.mcp_servers, *deferred.values()]


def _refused_tool(tool: Any) -> str | None:
    from agents import HostedMCPTool

    if isinstance(tool, HostedMCPTool):
        return _refused_hosted_server(tool)
    if getattr(tool, "needs_approval", False) is False or getattr(tool, "on_approval", None):
        return None  # `on_approval` is the agency's own code, which decides during the run
    if getattr(getattr(tool, "_tool_origin", None), "type", None) == "mcp":
        return _APPROVAL.format(
            setting="require_approval of its MCP server", instead="Set require_approval to 'never'."
        )
    instead = "Remove needs_approval"
    if hasattr(tool, "on_approval"):
        instead += ", or decide in code with on_approval"
    return _APPROVAL.format(setting="needs_approval", instead=f"{instead}.")


def _refused_hosted_server(tool: Any) -> str | None:
    config: Mapping[str, Any] = tool.tool_config
    if getattr(tool, "_agency_swarm_enable_hosted_mcp_oauth", False) and not config.get("authorization"):
        return f"of {config.get('server_label')!r} {_OAUTH.format(instead='Write its token into authorization.')}"
    if tool.on_approval_request or _needs_no_approval(config):
        return None
    reason = _APPROVAL.format(
        setting=f"require_approval={config.get('require_approval', 'always')!r}",
        instead="Set require_approval to 'never', or decide in code with on_approval_request.",
    )
    return f"of {config.get('server_label')!r} {reason}"


def _needs_no_approval(config: Mapping[str, Any]) -> bool:
    # The provider asks for every tool that is not listed under 'never'; no setting means 'always'.
    policy = config.get("require_approval")
    if policy == "never":
        return True
    if not isinstance(policy, Mapping) or policy.get("always"):
        return False
    return bool(_names(config.get("allowed_tools"))) and _names(config.get("allowed_tools")) <= _names(
        policy.get("never")
    )


def _names(tools: Any) -> frozenset[str]:
    if isinstance(tools, Mapping):
        tools = tools.get("tool_names")
    return frozenset(tools or ())


def _refused_server(server: Any) -> str | None:
    actual = getattr(server, "_server", server)  # Agency Swarm's proxy holds the server
    if _needs_login(actual):
        instead = "Give it a token in the headers of a server without OAuth, or a storage that holds its tokens."
        return _OAUTH.format(instead=instead)
    policy = getattr(actual, "_needs_approval_policy", False)
    if any(policy.values()) if isinstance(policy, Mapping) else policy:
        return _APPROVAL.format(setting="require_approval", instead="Set require_approval to 'never'.")
    return None


def _needs_login(server: Any) -> bool:
    # OAuth works with stored tokens or with handlers of the agency's own.
    config = getattr(server, "oauth_config", server)
    if not hasattr(config, "redirect_handler"):
        return False
    own = config.redirect_handler and config.callback_handler
    return not (own or config.storage or config.storage_factory)


def _name(tool: Any) -> str:
    return str(getattr(tool, "name", type(tool).__name__))
