"""What tools have done is remembered, however the run ended: else the next turn would do it again."""

import asyncio
import inspect
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from agency_swarm import Agency, Agent
from agency_swarm.agent import execution, execution_helpers
from agents import GuardrailFunctionOutput, output_guardrail

from tests.library.history.provider import Provider
from tests.library.history.test_replay import MODEL, PLAIN, THREADS, WEATHER, Turn, add, added, served

APIS = pytest.mark.parametrize("api", ["responses", "chat"])
LIVE = pytest.mark.parametrize("stream", [False, True])
LAST = ["nothing!cut", "reasoning!filtered", "malformed!cut", "refusal", "text"]
# The turn's answers before the last one, who is broken off then, and how many calls of tools each agent remembers.
RUNS: list[tuple[dict[str, list[str]], str, dict[str, int]]] = [
    ({"Entry": ["tool"]}, "Entry", {"Entry": 1}),
    ({"Entry": ["text+tool", "reasoning+tool+same"]}, "Entry", {"Entry": 3}),
    ({"Entry": ["tool", "handoff"], "Partner": ["tool"]}, "Partner", {"Entry": 2}),
    ({"Entry": ["tool", "send"], "Colleague": ["tool", "tool"]}, "Colleague", {"Entry": 1, "Colleague": 2}),
    ({"Entry": ["tool", "send"], "Colleague": ["tool", "text"]}, "Entry", {"Entry": 1, "Colleague": 1}),
    ({"Entry": ["tool+send"], "Colleague": []}, "Colleague", {"Entry": 1}),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def remembered(provider: Provider, agent: str) -> int:
    """Calls of `add` with their outputs in the newest question to an agent."""
    body = [body for body in provider.bodies if f"You are {agent}" in json.dumps(body)][-1]
    if "messages" in body:
        calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
        ids = {call["id"] for call in calls if call["function"]["name"] == "add"}
        return len([message for message in body["messages"] if message.get("tool_call_id") in ids])
    ids = {item["call_id"] for item in body["input"] if item.get("name") == "add"}
    return len([item for item in body["input"] if item.get("call_id") in ids and "output" in item])


@APIS
@LIVE
@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize(("script", "broken", "expected"), RUNS, ids=range(len(RUNS)))
def test_every_agent_remembers_its_calls(
    api: str, stream: bool, last: str, script: dict[str, list[str]], broken: str, expected: dict[str, int]
) -> None:
    def wait_for_tool(body: dict[str, Any]) -> None:
        """What fails beside a tool fails when the tool has returned, and perhaps before its output is kept."""
        if "You are Colleague" in json.dumps(body):
            assert added.wait(30)

    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], api, [MODEL]) as client:
            added.clear()
            provider.refuse = wait_for_tool
            provider.script = {agent: [*kinds] for agent, kinds in script.items()}
            provider.script[broken].append(last)
            ended = await client.ask(Turn({}, stream))
            assert ended["status"] == ("incomplete" if "!" in last else "completed")
            provider.script = {"Entry": ["send"]}
            assert (await client.ask(Turn({}, stream)))["status"] == "completed"

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert provider.refusals == []
    assert {agent: remembered(provider, agent) for agent in expected} == expected


@APIS
@LIVE
def test_calls_before_the_limit_of_tokens_are_remembered(api: str, stream: bool) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], api, [MODEL]) as client:
            provider.script = {"Entry": ["text+tool", "tool"]}
            ended = await client.ask(Turn({}, stream), max_output_tokens=16)
            assert ended["incomplete_details"] == {"reason": "max_output_tokens"}
            await client.ask()

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert remembered(provider, "Entry") == 2
    assert json.dumps(provider.bodies[-1]).count("Words") == 1, "said once, and remembered once"


@APIS
@LIVE
@pytest.mark.parametrize("last", LAST)
def test_call_of_the_client_can_be_answered_where_the_next_agent_is_cut_off(api: str, stream: bool, last: str) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], api, [MODEL]) as client:
            provider.script = {"Entry": ["tool", "client+handoff"], "Partner": [last]}
            response = await client.ask(Turn({}, stream), tools=[WEATHER])
            (call,) = [item for item in response["output"] if item["type"] == "function_call"]
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}
            assert (await client.ask(PLAIN, [output]))["status"] == "completed"

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert provider.refusals == []
    assert "It rains." in json.dumps(provider.bodies[-1])


def test_agent_whose_guardrail_refused_its_words_remembers_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[Any] = []

    @output_guardrail
    def first_words(context: Any, agent: Any, words: str) -> GuardrailFunctionOutput:
        refused.append(words)
        return GuardrailFunctionOutput(output_info="Say it again.", tripwire_triggered=len(refused) == 1)

    def strict(model: str) -> Agency:
        more: dict[str, Any] = {"output_guardrails": [first_words], "validation_attempts": 1}
        return Agency(Agent(name="Entry", instructions="You are Entry.", model=model, tools=[add], **more))

    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], "responses", [MODEL]) as client:
            provider.script = {"Entry": ["tool", "text", "text"]}
            assert (await client.ask())["status"] == "completed"

    monkeypatch.setattr("tests.library.history.test_replay.swarm", strict)
    with Provider() as provider:
        asyncio.run(whole(provider))
    assert len(refused) == 2
    assert remembered(provider, "Entry") == 1


def test_framework_still_runs_agents_as_was_read() -> None:
    """Both are called by keyword, and what has been done is stored only when the run has ended well."""
    whole = inspect.getsource(execution.Execution.get_response)
    assert "await run_with_guardrails(\n" in whole
    assert whole.index("await run_with_guardrails(") < whole.index("thread_manager.add_messages(normalized_items)")
    guarded = inspect.signature(inspect.unwrap(execution.run_with_guardrails)).parameters
    needed = {"agent", "agency_context", "sender_name", "current_agent_run_id", "parent_run_id", "run_trace_id"}
    assert needed <= guarded.keys()
    assert {parameter.kind for parameter in guarded.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert "await perform_single_run(" in inspect.getsource(inspect.unwrap(execution_helpers.run_with_guardrails))
