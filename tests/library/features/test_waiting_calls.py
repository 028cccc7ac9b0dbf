"""What goes on beside a call that waits, what ends it, and what is not asked about."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest
from agency_swarm import Agency, Agent, GuardrailFunctionOutput, ToolOutputText, function_tool, input_guardrail
from agents import Agent as SDKAgent
from agents import CustomTool, Runner
from openai.types.responses import ResponseCustomToolCall, ResponseFunctionToolCall

from agency_lambda.errors import GuardrailTriggered
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.approvals import Decision
from tests.library.features.test_approvals import PAY, at_once, names, paying, scripted, stored, then, words
from tests.library.features.test_approved_kinds import solo
from tests.library.features.waiting import APPROVED, REFUSED, Stored, awaited

__all__ = ["stored"]

SLOW = 0.5  # seconds, longer than a run takes to see that it waits


class SlowModel(OfflineModel):
    async def get_response(self, *args: Any, **named: Any) -> Any:
        await asyncio.sleep(SLOW)
        return await super().get_response(*args, **named)

    async def stream_response(self, *args: Any, **named: Any) -> Any:
        await asyncio.sleep(SLOW)
        async for event in super().stream_response(*args, **named):
            yield event


def noting(made: list[Any]) -> Any:
    @function_tool
    async def note() -> str:
        """Notes."""
        made.append("noted")
        return "noted"

    return note


def slow(name: str, made: list[Any]) -> Agent:
    return Agent(name=name, instructions=".", model=SlowModel(name, then(("note", {}))), tools=[noting(made)])


async def by_a_stream(made: list[Any]) -> Any:
    result = Runner.run_streamed(slow("Other", made), "Note.")
    async for _ in result.stream_events():
        pass
    return result


@pytest.mark.parametrize("streams", [False, True])
@awaited
async def test_agencies_that_a_tool_asks_at_once_go_on(streams: bool, stored: Stored) -> None:
    made: list[Any] = []

    @function_tool
    async def ask_both() -> str:
        """Asks two agencies."""
        one = Agency(scripted("One", then(*PAY), tools=[paying(made)])).get_response("Pay.")
        other = by_a_stream(made) if streams else Agency(slow("Other", made)).get_response("Note.")
        return str([result.final_output for result in await asyncio.gather(one, other)])

    run = stored(lambda: Agency(scripted("Solo", then(("ask_both", {})), tools=[ask_both])))
    assert names((await run.attempt()).asked) == [("One", "pay")]
    assert made == ["noted"]
    await run.to_end()
    assert made == ["noted", 5]


@awaited
async def test_an_agent_goes_on_while_its_judge_asks(stored: Stored) -> None:
    made: list[Any] = []

    @input_guardrail
    async def judged(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
        judge = SDKAgent(name="Judge", model=OfflineModel("Judge", then(*PAY)), tools=[paying(made)])
        result = await Runner.run(judge, "Judge.")
        return GuardrailFunctionOutput(output_info=result.final_output, tripwire_triggered=False)

    def desk() -> Agency:
        model = SlowModel("Solo", then(("note", {})))
        agent = Agent(name="Solo", instructions=".", model=model, tools=[noting(made)], input_guardrails=[judged])
        return Agency(agent)

    run = stored(desk)
    assert names((await run.attempt()).asked) == [("Judge", "pay")]
    assert made == ["noted"]
    await run.to_end()
    assert made == ["noted", 5]


@awaited
async def test_nobody_is_asked_if_a_guardrail_refuses_meanwhile(stored: Stored) -> None:
    @input_guardrail
    async def refuse(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
        await asyncio.sleep(SLOW)
        return GuardrailFunctionOutput(output_info="No.", tripwire_triggered=True)

    settings: Any = {"input_guardrails": [refuse], "raise_input_guardrail_error": True, "tools": [paying([])]}
    run = stored(lambda: Agency(scripted("Solo", then(*PAY), **settings)))
    with pytest.raises(GuardrailTriggered):
        await run.attempt()


@awaited
async def test_code_that_catches_everything_does_not_finish_its_call(stored: Stored) -> None:
    made: list[Any] = []

    @function_tool
    async def careless() -> str:
        """Asks another agency."""
        inner = Agency(scripted("Inner", then(*PAY), tools=[paying(made)]))
        with suppress(BaseException):
            return str((await inner.get_response("Pay.")).final_output)
        with suppress(BaseException):
            await Agency(slow("Other", made)).get_response("Note.")
        return "an error of mine"

    run = stored(lambda: Agency(scripted("Solo", then(("careless", {})), tools=[careless])))
    result = await run.attempt()
    assert (names(result.asked), made) == ([("Inner", "pay")], [])
    assert "error of mine" not in str(result.history)
    await run.to_end()
    assert (words(run), made) == (["paid 5"], [5])


@awaited
async def test_a_run_is_cancelled_while_a_call_waits(stored: Stored) -> None:
    started = asyncio.Event()

    @function_tool
    async def work() -> None:
        """Works for ever."""
        started.set()
        await asyncio.Event().wait()

    run = stored(lambda: Agency(scripted("Solo", at_once(*PAY, ("work", {})), tools=[paying([]), work])))
    attempt = asyncio.create_task(run.attempt())
    await started.wait()
    await asyncio.sleep(SLOW)  # the work is not finished: nothing waits for a person only
    assert not attempt.done()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert [item["status"] for item in run.output if item.get("tool") == "work"] == ["incomplete"]


@awaited
async def test_a_thread_whose_call_waits_ends_with_a_run_that_is_cancelled(stored: Stored) -> None:
    ended = threading.Event()

    @function_tool
    def ask_agency() -> str:
        """Asks another agency."""
        try:
            inner = Agency(scripted("Inner", then(*PAY), tools=[paying([])]))
            return str(inner.get_response_sync("Pay.").final_output)
        finally:
            ended.set()

    @function_tool
    async def work() -> None:
        """Works for ever."""
        await asyncio.Event().wait()

    script = at_once(("ask_agency", {}), ("work", {}))
    run = stored(lambda: Agency(scripted("Solo", script, tools=[ask_agency, work])))
    attempt = asyncio.create_task(run.attempt())
    await asyncio.sleep(SLOW)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await asyncio.to_thread(ended.wait, 5)


@awaited
async def test_a_run_is_cancelled_while_it_ends_its_attempt(stored: Stored) -> None:
    cleans = asyncio.Event()

    @function_tool
    async def ask_agency() -> str:
        """Asks another agency."""
        try:
            inner = Agency(scripted("Inner", then(*PAY), tools=[paying([])]))
            return str((await inner.get_response("Pay.")).final_output)
        finally:
            cleans.set()
            await asyncio.sleep(5)

    run = stored(lambda: Agency(scripted("Solo", then(("ask_agency", {})), tools=[ask_agency])))
    attempt = asyncio.create_task(run.attempt())
    await cleans.wait()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt


@awaited
async def test_a_call_of_another_kind_is_finished_first(stored: Stored) -> None:
    made: list[Any] = []

    async def query(context: Any, text: str) -> str:
        await asyncio.sleep(SLOW)
        made.append(text)
        return "done"

    def desk() -> Agency:
        custom = ResponseCustomToolCall(call_id="c1", input="SELECT 1", name="sql", type="custom_tool_call")
        pay = ResponseFunctionToolCall(call_id="c2", arguments='{"amount": 5}', name="pay", type="function_call")
        return solo(custom, pay, tools=[CustomTool("sql", "SQL.", query), paying(made)])

    run = stored(desk)
    assert names((await run.attempt()).asked) == [("Solo", "pay")]
    assert made == ["SELECT 1"]
    await run.to_end()
    assert made == ["SELECT 1", 5]


@awaited
async def test_a_run_that_fails_while_a_call_waits_has_failed(stored: Stored) -> None:
    async def fail() -> str:
        """Fails."""
        await asyncio.sleep(SLOW)
        raise ValueError("no")

    tools = [paying([]), function_tool(fail, failure_error_function=None)]
    run = stored(lambda: Agency(scripted("Solo", at_once(*PAY, ("fail", {})), tools=tools)))
    with pytest.raises(Exception, match="Runner execution failed"):
        await run.attempt()


@awaited
async def test_a_call_beyond_max_tool_calls_is_not_asked_about(stored: Stored) -> None:
    made: list[int] = []
    script = at_once(("pay", {"amount": 1}), ("pay", {"amount": 2}))
    run = stored(lambda: Agency(scripted("Solo", script, tools=[paying(made)])), fields={"max_tool_calls": 1})
    assert len((await run.attempt()).asked) == 1
    await run.to_end()
    assert len(made) == 1
    assert "max_tool_calls is used up" in words(run)[0]


@awaited
async def test_a_call_that_was_made_is_not_asked_about(stored: Stored) -> None:
    made: list[int] = []
    answers = [False, True, True]

    def needs(*_: Any) -> bool:
        return answers.pop(0)

    run = stored(lambda: Agency(scripted("Solo", then(*PAY), tools=[paying(made, needs_approval=needs)])))
    assert (await run.attempt()).asked == (await run.attempt()).asked == ()
    assert (words(run), made) == (["paid 5"], [5])


@pytest.mark.parametrize("decision", [APPROVED, REFUSED], ids=["approved", "refused"])
@awaited
async def test_a_decision_holds_if_the_tools_function_changes_its_mind(decision: Decision, stored: Stored) -> None:
    made: list[str] = []
    answers = [True, False]

    async def query(context: Any, text: str) -> str:
        made.append(text)
        return "done"

    def desk() -> Agency:
        call = ResponseCustomToolCall(call_id="c1", input="SELECT 1", name="sql", type="custom_tool_call")
        return solo(call, tools=[CustomTool("sql", "SQL.", query, needs_approval=lambda *_: answers.pop(0))])

    run = stored(desk)
    await run.to_end(lambda asked: decision)
    assert made == (["SELECT 1"] if decision.approve else [])


@awaited
async def test_a_process_that_would_exit_to_decide_fails_its_run(stored: Stored) -> None:
    def leave(*_: Any) -> bool:
        raise SystemExit

    run = stored(lambda: Agency(scripted("Solo", then(*PAY), tools=[paying([], needs_approval=leave)])))
    with pytest.raises(Exception, match="Runner execution failed"):
        await run.attempt()


@awaited
async def test_arguments_that_a_person_gave_stand_before_an_output_of_parts(stored: Stored) -> None:
    @function_tool(needs_approval=True)
    async def show(place: str) -> ToolOutputText:
        """Shows."""
        return ToolOutputText(text=f"a map of {place}")

    run = stored(lambda: Agency(scripted("Solo", then(("show", {"place": "Riga"})), tools=[show])))
    result = await run.to_end(lambda asked: Decision(approve=True, arguments='{"place": "Oslo"}'))
    (output,) = (item["output"] for item in result.history if "output" in item)
    assert ['{"place": "Oslo"}' in output[0]["text"], output[1]["text"]] == [True, "a map of Oslo"]
