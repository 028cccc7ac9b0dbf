"""What cannot work here is refused before anybody waits for it: by the agent's name, the tool's, and what to write."""

from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, HostedMCPTool, WebSearchTool, enable_hosted_mcp_tool_oauth, function_tool
from agency_swarm.mcp import MCPServerOAuth
from agents import Agent as SDKAgent
from agents import CustomTool, Handoff, ShellTool, handoff
from openai.types.responses import ResponseFunctionShellToolCall
from openai.types.responses.response_output_item import McpApprovalRequest

from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.models.events import message_item
from agency_lambda.framework.unsupported import refused_feature
from tests.library.features.rows import holds
from tests.library.model_server import ModelServer
from tests.library.models.agencies import settings
from tests.library.runs.stage import Plays, play


async def nothing(*_: Any) -> Any:
    """Does nothing."""
    return ""


async def pay(amount: int) -> str:
    """Pays."""
    return str(amount)


def approve(*_: Any) -> Any:
    return {"approve": True}


def mcp(**config: Any) -> Any:
    return {"type": "mcp", "server_label": "shop", "server_url": "https://shop.test", **config}


ALLOWED: dict[str, Callable[[], dict[str, Any]]] = {
    "function_tool": lambda: {"tools": [function_tool(pay, needs_approval=False)]},
    "shell_decides": lambda: {"tools": [ShellTool(nothing, needs_approval=True, on_approval=approve)]},
    "custom_decides": lambda: {"tools": [CustomTool("c", "C.", nothing, needs_approval=True, on_approval=approve)]},
    "asks": lambda: {"tools": [function_tool(pay, needs_approval=True)]},
    "hosted_mcp_asks": lambda: {"tools": [HostedMCPTool(mcp(require_approval="always"))]},
    "hosted_mcp_never": lambda: {"tools": [HostedMCPTool(mcp(require_approval="never"))]},
    "hosted_mcp_decides": lambda: {"tools": [HostedMCPTool(mcp(), on_approval_request=approve)]},
    "hosted_mcp_all_named": lambda: {
        "tools": [
            HostedMCPTool(mcp(allowed_tools=["a"], require_approval={"never": {"tool_names": ["a", "b"]}})),
        ]
    },
    "hosted_mcp_token": lambda: {
        "tools": [enable_hosted_mcp_tool_oauth(HostedMCPTool(mcp(require_approval="never", authorization="t")))]
    },
}


def agency(settings: dict[str, Any]) -> Agency:
    boss, clerk = Agent(name="Boss", instructions="."), Agent(name="Clerk", instructions=".", **settings)
    return Agency(boss, communication_flows=[(boss, clerk)])


@pytest.mark.parametrize("name", ALLOWED)
def test_approval_is_not_refused(name: str) -> None:
    assert refused_feature(agency(ALLOWED[name]())) is None


@holds("mcp_oauth")
def test_oauth_that_nobody_can_answer_is_refused() -> None:
    def built(**settings: Any) -> Agency:
        return Agency(
            Agent(name="Solo", instructions=".", mcp_servers=[MCPServerOAuth("http://127.0.0.1:9", "crm", **settings)])
        )

    assert str(refused_feature(built())).startswith("Agent 'Solo': the MCP server 'crm' asks its users to log in")
    assert refused_feature(built(redirect_handler=nothing, callback_handler=nothing)) is None
    hosted = enable_hosted_mcp_tool_oauth(HostedMCPTool(mcp(require_approval="never")))
    assert "authorization" in str(refused_feature(agency({"tools": [hosted]})))


def test_a_handoff_that_holds_its_agent_is_followed() -> None:
    target = SDKAgent(name="Next", tools=[enable_hosted_mcp_tool_oauth(HostedMCPTool(mcp()))])
    made: Handoff[Any, Any] = handoff(target)
    assert "'Next'" in str(refused_feature(agency({"handoffs": [made]})))


def test_agents_that_hand_over_to_each_other_are_read_once() -> None:
    one, other = SDKAgent(name="One"), SDKAgent(name="Other")
    one.handoffs, other.handoffs = [other], [one]
    assert refused_feature(agency({"handoffs": [one]})) is None


@pytest.mark.parametrize(("api", "refused"), [("chat", True), ("responses", False)])
def test_hosted_tools_are_refused_where_the_model_is_asked_by_chat(api: str, refused: bool) -> None:
    """By the run: the setting is not the bundle's."""
    solo = lambda: Agency(Agent(name="Solo", instructions=".", tools=[WebSearchTool()]))  # noqa: E731
    with ModelServer(["done"]) as server:
        service = settings(server.base_url, model_api=api)
        if refused:
            with pytest.raises(AgencyMisconfigured, match=r"tool 'web_search' runs at the provider.*'chat'"):
                play(solo, service)
        else:
            assert play(solo, service).words == ["done"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["hosted", "shell"])
def test_code_that_decides_is_asked_and_the_run_goes_on(kind: str, stream: bool) -> None:
    asked: list[Any] = []

    def decide(*request: Any) -> Any:
        asked.append(request)
        return {"approve": True}

    async def run(request: Any) -> str:
        return "listed"

    if kind == "hosted":
        tool: Any = HostedMCPTool(mcp(), on_approval_request=decide)
        call: Any = McpApprovalRequest(
            id="mcpr_1", type="mcp_approval_request", name="pay", server_label="shop", arguments="{}"
        )
    else:
        tool = ShellTool(run, needs_approval=True, on_approval=decide)
        call = ResponseFunctionShellToolCall.model_validate(
            {
                **{"id": "sh1", "type": "shell_call", "call_id": "c1", "status": "completed", "environment": None},
                "action": {"commands": ["ls"], "max_output_length": None, "timeout_ms": None},
            }
        )
    model = Plays([call], [message_item("done")])
    shown = play(lambda: Agency(Agent(name="Solo", instructions=".", model=model, tools=[tool])), stream=stream)
    assert (shown.response["status"], shown.words, len(asked)) == ("completed", ["done"], 1)
