"""Finds features that `docs/agency-swarm.md` calls "refused at start"."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agency_swarm import Agency

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

    if not isinstance(tool, HostedMCPTool) or not getattr(tool, "_agency_swarm_enable_hosted_mcp_oauth", False):
        return None
    config: Mapping[str, Any] = tool.tool_config
    if config.get("authorization"):
        return None
    return f"of {config.get('server_label')!r} {_OAUTH.format(instead='Write its token into authorization.')}"


def _refused_server(server: Any) -> str | None:
    actual = getattr(server, "_server", server)  # Agency Swarm's proxy holds the server
    if not _needs_login(actual):
        return None
    instead = "Give it a token in the headers of a server without OAuth, or a storage that holds its tokens."
    return _OAUTH.format(instead=instead)


def _needs_login(server: Any) -> bool:
    # OAuth works with stored tokens or with handlers of the agency's own.
    config = getattr(server, "oauth_config", server)
    if not hasattr(config, "redirect_handler"):
        return False
    own = config.redirect_handler and config.callback_handler
    return not (own or config.storage or config.storage_factory)


def _name(tool: Any) -> str:
    return str(getattr(tool, "name", type(tool).__name__))
