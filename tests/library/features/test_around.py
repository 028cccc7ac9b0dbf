"""Rows of docs/agency-swarm.md: guardrails, hooks, conversations, and what the service stands in for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, GuardrailFunctionOutput, function_tool, input_guardrail, output_guardrail
from agency_swarm.realtime import RealtimeAgency
from agents import Agent as SDKAgent
from agents import AgentHooks, RunHooks, Runner

from agency_lambda import catalogue
from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.building import build
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.conftest import Service
from tests.library.features.rows import at_provider, calling, holds, solo, words
from tests.library.model_server import ModelServer, scripts
from tests.library.models.agencies import read_task, settings
from tests.library.runs.stage import play

LIVE = pytest.mark.parametrize("stream", [True, False])


def guardrail(make: Any, refuse: Callable[[Any], bool], said: str = "Not that.") -> Any:
    @make
    async def check(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=said, tripwire_triggered=refuse(text))

    return check


@holds("input_guardrails")
@LIVE
def test_a_message_that_is_refused_is_answered_with_guidance(stream: bool) -> None:
    create = solo(
        lambda turn: "offline model: hello", input_guardrails=[guardrail(input_guardrail, lambda text: "bad" in text)]
    )
    assert words(create, input="good", stream=stream) == "hello"
    assert words(create, input="bad", stream=stream) == "Not that."


@holds("raise_input_guardrail_error")
@pytest.mark.parametrize("name", ["raise_input_guardrail_error", "throw_input_guardrail_error"])
@pytest.mark.filterwarnings("ignore:`throw_input_guardrail_error`:DeprecationWarning")
def test_or_it_is_an_error(name: str) -> None:
    create = solo(input_guardrails=[guardrail(input_guardrail, lambda text: True)], **{name: True})
    response = play(create).response
    assert (response["status"], response["error"]["detail_code"]) == ("failed", "guardrail_triggered")


@holds("output_guardrails", "validation_attempts")
@LIVE
@pytest.mark.parametrize(("attempts", "answer"), [(0, None), (1, None), (2, "offline model: third")])
def test_an_answer_that_is_refused_is_tried_again(attempts: int, answer: str | None, stream: bool) -> None:
    said: list[str] = []

    def script(turn: Any) -> str:
        said.append(["offline model: first", "offline model: second", "offline model: third"][len(said)])
        return said[-1]

    refuses = guardrail(output_guardrail, lambda text: "third" not in text)
    shown = play(solo(script, output_guardrails=[refuses], validation_attempts=attempts), stream=stream)
    assert len(said) == attempts + 1
    assert shown.words == ([answer] if answer else [])
    assert answer or shown.response["error"]["detail_code"] == "guardrail_triggered"


@holds("judges")
@LIVE
def test_a_guardrail_may_ask_a_judge(stream: bool) -> None:
    @input_guardrail
    async def check(context: Any, agent: Any, text: Any) -> GuardrailFunctionOutput:
        judged = await Runner.run(SDKAgent(name="Judge", instructions="You are Judge."), text)
        return GuardrailFunctionOutput(output_info="No.", tripwire_triggered="unfair" in str(judged.final_output))

    def desk() -> Agency:
        return Agency(Agent(name="Solo", instructions="You are Solo.", input_guardrails=[check]))

    for verdict, told in (("fair", "hello"), ("unfair", "No.")):
        script = {"Judge": lambda turn, verdict=verdict: verdict, "Solo": lambda turn: "hello"}
        with ModelServer(scripts(script)) as server:
            shown = play(desk, settings(server.base_url), stream=stream)
        assert [text.removeprefix("[offline model] ") for text in shown.words] == [told]


class Notes(RunHooks[Any]):
    """Notes what happens, as hooks of a run or of an agent."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def on_agent_start(self, context: Any, agent: Any) -> None:
        self.seen.append("start")

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        self.seen.append(tool.name)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        self.seen.append(str(result))

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:
        self.seen.append("end")


class AgentNotes(AgentHooks[Any]):
    def __init__(self) -> None:
        self.notes = Notes()

    async def on_start(self, context: Any, agent: Any) -> None:
        await self.notes.on_agent_start(context, agent)

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        assert tool is read_task or tool.name == "read_task"
        await self.notes.on_tool_start(context, agent, tool)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        await self.notes.on_tool_end(context, agent, tool, result)

    async def on_end(self, context: Any, agent: Any, output: Any) -> None:
        await self.notes.on_agent_end(context, agent, output)


SEEN = ["start", "read_task", "task 7: details", "end"]


@holds("agent_hooks")
@LIVE
def test_hooks_of_an_agent_are_called(stream: bool) -> None:
    hooks = AgentNotes()
    play(solo(calling("read_task", number=7), tools=[read_task], hooks=hooks), stream=stream)
    assert hooks.notes.seen == SEEN


@holds("run_hooks")
@LIVE
def test_hooks_of_a_run_are_called_where_code_may_give_them(stream: bool) -> None:
    """`as_tool(hooks=...)`, a nested agency's `hooks_override`, and `Runner.run(hooks=...)`; and an agency's own."""
    hooks = Notes()

    def inner() -> Any:
        model = OfflineModel("Inner", calling("read_task", number=7))
        return SDKAgent(name="Inner", model=model, tools=[read_task])

    tool = inner().as_tool("inner", "Inner.", hooks=hooks)

    @function_tool
    async def run() -> str:
        """Runs."""
        await Runner.run(inner(), "?", hooks=hooks)
        nested = solo(calling("read_task", number=7), name="Inner", tools=[read_task])()
        return str((await nested.get_response("?", hooks_override=hooks)).final_output)

    play(solo(calling("inner", input="?"), tools=[tool]), stream=stream)
    play(solo(calling("run"), tools=[run]), stream=stream)
    assert hooks.seen == SEEN * 3

    def with_own() -> Agency:
        agency = solo(calling("read_task", number=7), tools=[read_task])()
        agency._default_run_hooks.append(hooks)
        return agency

    hooks.seen.clear()
    play(with_own, stream=stream)
    assert hooks.seen == SEEN


@holds("conversation_starters")
def test_starters_are_shown_in_agencies() -> None:
    built = build(solo(conversation_starters=["Hello", "Help"]))
    assert catalogue.describe("desk", built)["agents"][0]["conversation_starters"] == ["Hello", "Help"]


@holds("thread_callbacks")
def test_the_service_keeps_conversations_whatever_the_callbacks_do() -> None:
    saved: list[Any] = []

    def desk() -> Agency:
        agent = solo(lambda turn: "offline model: hello")().entry_points[0]
        return Agency(agent, load_threads_callback=lambda: [], save_threads_callback=saved.append)

    assert words(desk) == "hello"
    assert saved


@holds("async_thread_callbacks")
def test_callbacks_that_nobody_awaits_are_refused() -> None:
    async def save(messages: Any) -> None:
        """Saves."""

    agent = Agent(name="Solo", instructions=".")
    with pytest.raises(AgencyMisconfigured, match="save_threads_callback is `async def`"):
        build(lambda: Agency(agent, load_threads_callback=list, save_threads_callback=save))


@holds("attachments")
def test_files_come_with_the_message_itself(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,eA=="}
    message = [{"role": "user", "content": [{"type": "input_text", "text": "See"}, picture]}]
    _, (asked,) = at_provider(lambda: Agency(Agent(name="Solo", instructions=".")), input=message)
    assert asked.items[-1]["content"][-1]["image_url"] == picture["image_url"]
    monkeypatch.setattr(catalogue, "factories", lambda: {"desk": solo()})
    message[0]["content"][-1] = {"type": "input_file", "file_id": "file-1"}  # type: ignore[index]
    status, body = start().post("/v1/responses", {"model": "desk", "input": message})
    assert (status, body["error"]["code"]) == (404, "not_found")  # one of the provider's files is none of the caller's


@holds("get_response_sync")
def test_synchronous_calls_of_the_framework_work_in_a_tool() -> None:
    @function_tool
    def consult() -> str:
        """Consults."""
        inner = solo(lambda turn: "offline model: fine", name="Inner")()
        return str(inner.get_response_sync("?").final_output)

    assert "fine" in words(solo(calling("consult"), tools=[consult]))


@holds("realtime")
def test_a_realtime_agency_is_refused() -> None:
    with pytest.raises(AgencyMisconfigured, match="RealtimeAgency, not an Agency"):
        build(lambda: RealtimeAgency(solo()()))  # type: ignore[arg-type,return-value]


@holds("voice")
def test_an_agents_voice_is_no_reason_to_refuse_it() -> None:
    assert "hello" in words(solo(lambda turn: "offline model: hello", voice="alloy"))


@holds("metadata", "visualization")
def test_an_agency_still_draws_and_describes_itself() -> None:
    agency = build(solo(quick_replies=["Yes"]))
    assert agency.get_agency_graph()["nodes"]
    assert agency.get_metadata()["nodes"]


@holds("own_servers")
def test_servers_of_the_framework_are_started_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module may end in `if __name__ == "__main__"`: here nothing runs it."""
    started: list[str] = []
    for name in ("run_fastapi", "tui", "terminal_demo", "copilot_demo", "visualize"):
        monkeypatch.setattr(Agency, name, lambda *args, name=name, **more: started.append(name))
    assert "hello" in words(solo(lambda turn: "offline model: hello"))
    assert started == []


@holds("concurrent_runs")
def test_an_agency_serves_many_at_once() -> None:
    from tests.library.runs.stage import begin, on_stage, told

    async def both() -> list[Any]:
        async with on_stage(solo(lambda turn: f"offline model: {turn.message}")) as runs:
            begun = [await begin(runs, input=name) for name in ("one", "two")]
            return await asyncio.gather(*(told(run) for run in begun))

    assert [shown.words for shown in asyncio.run(both())] == [["offline model: one"], ["offline model: two"]]


@holds("slash_commands", "compaction")
def test_commands_of_the_terminal_are_words_like_others() -> None:
    _, (asked,) = at_provider(lambda: Agency(Agent(name="Solo", instructions=".")), input="/compact")
    assert "/compact" in str(asked.items)


@holds("langchain")
def test_tools_of_langchain_are_refused_where_it_is_not_installed() -> None:
    from agency_swarm.tools import ToolFactory

    def desk() -> Agency:
        return Agency(Agent(name="Solo", instructions=".", tools=[ToolFactory.from_langchain_tool(object())]))

    with pytest.raises(AgencyMisconfigured):
        build(desk)
