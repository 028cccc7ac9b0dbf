"""Official Python clients of MCP: sessions, progress, forms, tasks; and agents of ours that use agents of ours."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from agency_swarm import Agency, Agent
from agents.mcp import MCPServerStreamableHttp
from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamable_http_client

from agency_lambda.framework import mcp_servers
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.clients.payments import AGENCY, Payments, served
from tests.library.clients.server import Server
from tests.library.conftest import QUESTION, Service

pytestmark = pytest.mark.filterwarnings("ignore:The experimental tasks API is deprecated")
Answer = Callable[[types.ElicitRequestParams], types.ElicitResult]


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Payments]:
    with served(tmp_path_factory.mktemp("payments")) as running:
        yield running
        assert running.model.refusals == []


@pytest.fixture
def paid(payments: Payments) -> Payments:
    payments.file.unlink(missing_ok=True)
    return payments


@asynccontextmanager
async def session(server: Server, key: str = "", answer: Answer | None = None) -> AsyncGenerator[ClientSession]:
    """answer: of the person to each form; without it the client has no forms."""

    async def show(_: Any, form: Any) -> types.ElicitResult:
        assert answer
        return answer(form)

    headers, seconds = {"authorization": f"Bearer {key or server.key}"}, timedelta(seconds=30)
    async with (
        httpx.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(f"{server.url}/mcp", http_client=http) as (read, write, _),
        ClientSession(read, write, seconds, elicitation_callback=show if answer else None) as client,
    ):
        await client.initialize()
        yield client


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(test(**given))

    return run


def said(result: types.CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, types.TextContent))


def agree(form: types.ElicitRequestParams) -> types.ElicitResult:
    assert isinstance(form, types.ElicitRequestFormParams)
    assert form.requestedSchema["required"] == ["approve"]
    return types.ElicitResult(action="accept", content={"approve": "bob" not in form.message, "reason": "No."})


@awaited
async def test_a_question_with_progress_and_a_second_turn(server: Server) -> None:
    notes = list[str | None]()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        notes.append(message)

    async with session(server) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools][-1] == "get_response"
        arguments = {"message": QUESTION, "conversation": "of-mcp"}
        first = await client.call_tool("letters", arguments, progress_callback=note)
        assert "Nordwind" in said(first)
        assert "Secretary asks Registrar" in notes
        second = await client.call_tool("letters", {**arguments, "message": "Thanks."})
        assert (second.structuredContent or {})["conversation"] == "of-mcp"
        await client.send_ping()


@awaited
async def test_a_key_is_needed_and_each_owner_has_its_own(server: Server) -> None:
    async with session(server) as client:
        created = await client.experimental.call_tool_as_task("letters", {"message": "hello"})
        task_id = created.task.taskId
        assert task_id in [task.taskId for task in (await client.experimental.list_tasks()).tasks]
    async with session(server, server.stranger) as stranger:
        assert task_id not in [task.taskId for task in (await stranger.experimental.list_tasks()).tasks]
        with pytest.raises(McpError, match="Task not found"):
            await stranger.experimental.get_task(task_id)
    async with httpx.AsyncClient() as nobody:
        assert (await nobody.post(f"{server.url}/mcp", json={})).status_code == 401


@awaited
async def test_a_call_asks_the_person_in_its_stream(paid: Payments) -> None:
    async with session(paid.server, answer=agree) as client:
        result = await client.call_tool(AGENCY, {"message": "pay ann & pay bob; look here; pay dan"})
    assert "saw here" in said(result)
    assert paid.paid == ["ann", "dan"]


@awaited
async def test_a_form_that_was_closed_ends_the_wait_and_not_the_run(paid: Payments) -> None:
    def close(_: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="cancel")

    async with session(paid.server, answer=close) as client:
        result = await client.call_tool(AGENCY, {"message": "pay ann"})
        assert "A person has to decide" in said(result)
        await asyncio.to_thread(approve_all, paid.server)
        response_id = (result.structuredContent or {})["response_id"]
        assert "paid 1 to ann" in said(await client.call_tool("get_response", {"response_id": response_id}))


def approve_all(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.key}"}
    for approval in httpx.get(f"{server.url}/v1/approvals", headers=headers).json()["data"]:
        httpx.post(f"{server.url}/v1/approvals/{approval['id']}", json={"approve": True}, headers=headers)


@awaited
async def test_a_task_asks_the_person_while_its_result_is_waited_for(paid: Payments) -> None:
    async with session(paid.server, answer=agree) as client:
        created = await client.experimental.call_tool_as_task(AGENCY, {"message": "look here; pay ann; pay dan"})
        task_id, statuses = created.task.taskId, set[str]()
        async for task in client.experimental.poll_task(task_id):
            statuses.add(task.status)
            if task.status == "input_required":
                await client.experimental.get_task_result(task_id, types.CallToolResult)
        result = await client.experimental.get_task_result(task_id, types.CallToolResult)
    assert {"input_required", "completed"} <= statuses
    assert "paid 1 to dan" in said(result)
    assert paid.paid == ["ann", "dan"]


@awaited
async def test_a_task_is_cancelled(paid: Payments) -> None:
    async with session(paid.server) as client:
        created = await client.experimental.call_tool_as_task(AGENCY, {"message": "pay ann"})
        cancelled = await client.experimental.cancel_task(created.task.taskId)
        assert cancelled.status == "cancelled"
    assert paid.paid == []


@pytest.mark.filterwarnings("ignore:Use `streamable_http_client` instead")
def test_an_agency_asks_another_one_over_mcp(
    server: Server, start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the client that comes with Agency Swarm."""
    parameters: Any = {"url": f"{server.url}/mcp", "headers": {"authorization": f"Bearer {server.key}"}}

    others = list[MCPServerStreamableHttp]()

    def script(turn: Any) -> Any:
        outputs = [call.output for call in turn.calls]
        return f"They say: {outputs[0]}" if outputs else [("letters", {"message": QUESTION})]

    def create() -> Agency:
        others.append(MCPServerStreamableHttp(parameters, name="others", client_session_timeout_seconds=30))
        return Agency(
            Agent(name="Asker", instructions=".", mcp_servers=others[-1:], model=OfflineModel("Asker", script))
        )

    monkeypatch.setattr("agencies.AGENCIES", {"asker": {"create_agency": create}})
    response = start().respond("Ask them.", model="asker")
    assert "Subtask" in response["output"][-1]["content"][0]["text"]
    mcp_servers._forget(others)  # the framework waits for them when the process ends
