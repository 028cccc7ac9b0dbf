"""OpenAI's Agents SDK as a client: its own agent asks ours, and runs its own tools."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelBehaviorError,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    RunResult,
    SQLiteSession,
    function_tool,
)
from openai.types.responses.response_output_item import McpApprovalRequest
from openai.types.shared import Reasoning

from tests.library.clients.payments import answer
from tests.library.clients.server import MODEL, Server

QUIET = RunConfig(tracing_disabled=True)


@asynccontextmanager
async def asking(
    server: Server, settings: ModelSettings | None
) -> AsyncIterator[tuple[Agent[Any], openai.AsyncOpenAI, list[str]]]:
    """An agent of the SDK whose model is ours, and where its one tool was asked about."""
    asked: list[str] = []

    @function_tool
    def get_weather(location: str) -> str:
        """The weather at a place now."""
        asked.append(location)
        return "rain at 21 degrees"

    async with openai.AsyncOpenAI(**server.options()) as client:
        model = OpenAIResponsesModel(MODEL, openai_client=client)
        agent = Agent(
            "Laptop",
            instructions="Be brief.",
            model=model,
            tools=[get_weather],
            model_settings=settings or ModelSettings(),
        )
        yield agent, client, asked


def run[T](
    server: Server,
    work: Callable[[Agent[Any], openai.AsyncOpenAI], Awaitable[T]],
    settings: ModelSettings | None = None,
) -> tuple[T, list[str]]:
    async def inside() -> tuple[T, list[str]]:
        async with asking(server, settings) as (agent, client, asked):
            return await work(agent, client), asked

    return asyncio.run(inside())


def test_its_tool_loop(server: Server) -> None:
    async def once(agent: Agent[Any], _: Any) -> RunResult:
        return await Runner.run(agent, "How is the weather?", run_config=QUIET)

    result, asked = run(server, once)
    assert len(asked) == 1
    assert "get_weather answered: rain at 21 degrees" in result.final_output
    assert result.context_wrapper.usage.requests == 2
    assert result.context_wrapper.usage.total_tokens > 0


def test_its_tool_loop_streamed(server: Server) -> None:
    async def once(agent: Agent[Any], _: Any) -> tuple[str, list[str], str]:
        streamed = Runner.run_streamed(agent, "How is the weather?", run_config=QUIET)
        text, kinds = "", []
        async for event in streamed.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                text += event.data.delta
            elif event.type == "run_item_stream_event":
                kinds.append(event.name)
        return text, kinds, streamed.final_output

    (text, kinds, final), asked = run(server, once)
    assert len(asked) == 1
    assert text == final
    assert "get_weather answered: rain at 21 degrees" in text
    assert [kind for kind in kinds if not kind.startswith("reasoning")] == [
        *("tool_called", "tool_output", "message_output_created")
    ]


def test_with_summaries_of_the_reasoning(server: Server) -> None:
    async def once(agent: Agent[Any], _: Any) -> RunResult:
        return await Runner.run(agent, "How is the weather?", run_config=QUIET)

    settings = ModelSettings(reasoning=Reasoning(effort="low", summary="auto"))
    result, asked = run(server, once, settings)
    assert len(asked) == 1
    assert "rain at 21 degrees" in result.final_output


def test_a_second_turn_that_sends_everything_again(server: Server) -> None:
    async def twice(agent: Agent[Any], _: Any) -> RunResult:
        first = await Runner.run(agent, "Client Nordwind asks for a date.", run_config=QUIET)
        again: Any = [*first.to_input_list(), {"role": "user", "content": "And the reply?"}]
        return await Runner.run(agent, again, run_config=QUIET)

    result, asked = run(server, twice)
    assert len(asked) == 2
    assert "Dear Nordwind" in result.final_output


def test_its_own_session(server: Server) -> None:
    async def twice(agent: Agent[Any], _: Any) -> RunResult:
        session = SQLiteSession("nordwind")
        try:
            await Runner.run(agent, "Client Nordwind asks for a date.", session=session, run_config=QUIET)
            return await Runner.run(agent, "And the reply?", session=session, run_config=QUIET)
        finally:
            session.close()

    result, _ = run(server, twice)
    assert "Dear Nordwind" in result.final_output


def test_previous_responses(server: Server) -> None:
    async def twice(agent: Agent[Any], _: Any) -> RunResult:
        first = await Runner.run(
            agent, "Client Nordwind asks for a date.", auto_previous_response_id=True, run_config=QUIET
        )
        return await Runner.run(agent, "And the reply?", previous_response_id=first.last_response_id, run_config=QUIET)

    result, asked = run(server, twice)
    assert len(asked) == 2
    assert "Dear Nordwind" in result.final_output


def test_a_conversation_of_ours(server: Server) -> None:
    async def twice(agent: Agent[Any], client: openai.AsyncOpenAI) -> RunResult:
        kept = (await client.conversations.create()).id
        await Runner.run(agent, "Client Nordwind asks for a date.", conversation_id=kept, run_config=QUIET)
        return await Runner.run(agent, "And the reply?", conversation_id=kept, run_config=QUIET)

    result, asked = run(server, twice)
    assert len(asked) == 2
    assert "Dear Nordwind" in result.final_output


def test_a_session_that_is_a_conversation_of_ours(server: Server) -> None:
    async def twice(agent: Agent[Any], client: openai.AsyncOpenAI) -> tuple[RunResult, int]:
        session = OpenAIConversationsSession(openai_client=client)
        await Runner.run(agent, "Client Nordwind asks for a date.", session=session, run_config=QUIET)
        last = await Runner.run(agent, "And the reply?", session=session, run_config=QUIET)
        return last, len(await session.get_items())

    (result, kept), asked = run(server, twice)
    assert len(asked) == 2
    assert "Dear Nordwind" in result.final_output
    assert kept >= 8


def test_a_session_takes_items_back_and_is_cleared(server: Server) -> None:
    async def inside(agent: Agent[Any], client: openai.AsyncOpenAI) -> tuple[list[Any], str, list[Any]]:
        session = OpenAIConversationsSession(openai_client=client)
        await Runner.run(agent, "Client Nordwind asks for a date.", session=session, run_config=QUIET)
        before, popped = await session.get_items(), await session.pop_item()
        assert await session.get_items() == before[:-1]
        while await session.pop_item():
            pass
        await Runner.run(agent, "And the reply?", session=session, run_config=QUIET)
        kept = await session.get_items()
        await session.clear_session()
        return kept, str(popped), await session.get_items()

    (kept, popped, cleared), _ = run(server, inside)
    assert "Dear Nordwind" in popped or "get_weather" in popped
    assert "Nordwind" not in str(kept)
    assert cleared == []


def test_a_handoff(server: Server) -> None:
    async def once(agent: Agent[Any], _: Any) -> RunResult:
        other = Agent("Weatherman", handoff_description="knows the weather", model=agent.model)
        return await Runner.run(agent.clone(tools=[], handoffs=[other]), "How is the weather?", run_config=QUIET)

    result, _ = run(server, once)
    assert result.last_agent.name == "Weatherman"
    assert result.final_output


def test_its_model_answers_approvals_and_its_runner_needs_the_tool_that_asks(server: Server) -> None:
    async def asked(_: Any, client: openai.AsyncOpenAI) -> Any:
        model = OpenAIResponsesModel("payments", openai_client=client)
        agent = Agent("Laptop", model=model)
        with pytest.raises(ModelBehaviorError, match="server label payments not found"):
            await Runner.run(agent, "pay ann", run_config=QUIET)  # approvals of servers that it does not declare
        response = await _get(model, "pay ann; Colleague: pay bob", None)
        while isinstance(request := response.output[-1], McpApprovalRequest):
            response = await _get(model, [answer(request)], response.response_id)
        return response.output[-1]

    message, _ = run(server, asked)
    assert message.content[0].text.replace("[offline model] ", "") == "Entry: paid 1 to ann | Colleague: paid 1 to bob"


async def _get(model: OpenAIResponsesModel, given: Any, previous: str | None) -> ModelResponse:
    settings, tracing = ModelSettings(), ModelTracing.DISABLED
    return await model.get_response("", given, settings, [], None, [], tracing, previous_response_id=previous)
