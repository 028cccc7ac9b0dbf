"""Rows of docs/agency-swarm.md: MCP servers that ask a person, the agency's own and those that the provider calls."""

from collections.abc import Iterator
from typing import Any

import pytest
from agency_swarm import Agency, Agent, HostedMCPTool
from agents.mcp import MCPServerStreamableHttp
from openai.types.responses.response_output_item import McpApprovalRequest, McpCall

from agency_lambda.framework.models import Models
from agency_lambda.history import sendable, storable
from agency_lambda.protocol.approvals import Decision
from tests.library.features.rows import holds
from tests.library.features.test_approvals import names, scripted, stored, then, words
from tests.library.features.test_hosted import apart, url
from tests.library.features.waiting import APPROVED, Stored, awaited
from tests.library.model_server import Items, ModelServer
from tests.library.models.agencies import settings
from tests.library.runs.stage import Item

__all__ = ["apart", "stored", "url"]

MCP: Any = {"type": "mcp", "server_label": "shop", "server_url": "https://shop.test", "require_approval": "always"}
REQUEST = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "shop", "name": "pay", "arguments": "{}"}
CALL = {
    **{"id": "mcp_1", "type": "mcp_call", "server_label": "shop", "name": "pay", "arguments": "{}"},
    **{"output": "paid", "approval_request_id": "mcpr_1"},
}


@holds("mcp_approval")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("approve", [True, False])
@awaited
async def test_a_tool_of_an_mcp_server_waits(url: str, apart: None, approve: bool, stored: Stored) -> None:
    def desk() -> Agency:
        server = MCPServerStreamableHttp({"url": url}, name=f"words_{approve}", require_approval="always")
        return Agency(scripted("Solo", then(("reverse_http", {"word": "abc"})), mcp_servers=[server]))

    run = stored(desk)
    assert names((await run.attempt()).asked) == [("Solo", "reverse_http")]
    await run.to_end(lambda asked: Decision(approve=approve, reason="No."))
    assert ("cba" in words(run)[0]) == approve
    assert ("No." in words(run)[0]) != approve


class Provider:
    """Answers with a request, and once it has the decision, with the call or with words."""

    def __call__(self, request: Any) -> Any:
        if request.items[-1]["type"] == "mcp_approval_response":
            called = [McpCall.model_validate(CALL)] if request.items[-1]["approve"] else []
            return Items([*called, *_message("done")])
        if "user" in (request.items[-1].get("role"), "again") and len(request.items) > 1:
            return "again"
        return Items([McpApprovalRequest.model_validate(REQUEST)])


def _message(text: str) -> list[Any]:
    from agency_lambda.framework.models.events import message_item

    return [message_item(text)]


@pytest.fixture
def provider() -> Iterator[ModelServer]:
    with ModelServer(Provider()) as server:
        yield server


def hosted() -> Agency:
    return Agency(Agent(name="Solo", instructions=".", tools=[HostedMCPTool(MCP)]))


@holds("hosted_mcp_approval")
@pytest.mark.parametrize("decision", [APPROVED, Decision(approve=False, reason="No.")], ids=["approved", "refused"])
@awaited
async def test_a_server_that_the_provider_calls_waits(
    decision: Decision, provider: ModelServer, stored: Stored
) -> None:
    models = Models(settings(provider.base_url))
    run = stored(hosted, models=models)
    (asked,) = (await run.attempt()).asked
    assert (asked.agent, asked.name, asked.arguments, asked.schema) == ("Solo", "pay", "{}", None)
    await run.decide(asked, decision)
    result = await run.attempt()
    assert (words(run), len(provider.requests)) == (["done"], 2)
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": decision.approve}
    answer |= {"reason": "No."} if decision.reason else {}
    assert provider.requests[1].items[1:] == [REQUEST, answer]

    later = stored(hosted, models=models, history=result.history, input="again")
    await later.attempt()
    call = [CALL] if decision.approve else []
    assert [item for item in provider.requests[2].items if item["type"].startswith("mcp")] == [REQUEST, answer, *call]
    await models.aclose()


ANSWER = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
MINE = {**REQUEST, "origin": "mine"}
SAID = {"type": "message", "role": "assistant", "content": "done"}


def sent(items: list[Item], origin: str = "mine", chat: bool = False) -> list[str]:
    return [item["type"] for item in sendable(storable(items), origin, chat=chat, longest_id=64)]


def test_what_a_provider_would_refuse_or_repeat_is_not_sent() -> None:
    assert sent([MINE, ANSWER]) == ["mcp_approval_request", "mcp_approval_response"]
    assert sent([MINE]) == sent([ANSWER]) == []
    assert sent([CALL]) == ["message"]
    assert sent([MINE, ANSWER, CALL]) == ["mcp_approval_request", "mcp_approval_response", "mcp_call"]
    assert sent([MINE, ANSWER, SAID]) == ["message", "message"]  # it would be called now
    assert sent([MINE, {**ANSWER, "approve": False}, SAID]) == [
        "mcp_approval_request",
        *sent([MINE, ANSWER])[1:],
        "message",
    ]


@pytest.mark.parametrize(("origin", "chat"), [("another", False), ("mine", True)])
def test_another_provider_is_sent_texts(origin: str, chat: bool) -> None:
    assert sent([MINE, ANSWER, CALL], origin, chat) == ["message"]
    refused = sendable([MINE, {**ANSWER, "approve": False, "reason": "No."}], origin, chat=chat, longest_id=64)
    assert "No." in str(refused)
    assert [item["type"] for item in refused] == ["message"]
