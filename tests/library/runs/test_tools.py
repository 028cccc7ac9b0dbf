"""Tools as a run sees them called, the client's functions among them; and agents that many runs share."""

import asyncio
import gc
import inspect
import json

import pytest
from agency_swarm import Agency, Agent, BaseTool, GuardrailFunctionOutput, function_tool, output_guardrail
from agency_swarm.agent.constants import FRAMEWORK_DEFAULT_MODEL
from agents import ModelSettings, RunContextWrapper, ToolsToFinalOutputResult
from agents.agent import StopAtTools

from agency_lambda.framework import tools
from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.context import RunContext
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.models.agencies import read_task
from tests.library.runs.stage import begin, on_stage, play, said, told

LIVE = pytest.mark.parametrize("stream", [True, False])
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def function(name, **more):
    return {"type": "function", "name": name, "parameters": CITY, **more}


def solo(script=None, **settings):
    return lambda: Agency(Agent(name="Solo", instructions=".", model=OfflineModel("Solo", script), **settings))


def calls(shown):
    return [(item["name"], json.loads(item["arguments"])) for item in shown.items if item["type"] == "function_call"]


@LIVE
def test_calling_a_function_of_the_clients_ends_the_run(stream):
    shown = play(solo(), stream=stream, input="Riga", tools=[function("weather"), function("time")])
    assert calls(shown) == [("weather", {"city": "Riga"}), ("time", {"city": "Riga"})]
    assert shown.response["status"] == "completed"
    assert shown.response["usage"]["model_calls"] == 1
    assert shown.words == shown.activities == []
    assert len({item["call_id"] for item in shown.items}) == 2


def test_its_arguments_are_streamed():
    shown = play(solo(), input="a city with a long name", tools=[function("weather")])
    pieces = [event["delta"] for event in shown.events if event["type"] == "response.function_call_arguments.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == shown.items[0]["arguments"]


@LIVE
def test_what_the_agent_calls_beside_it_is_done_first(stream):
    seen = []

    @function_tool
    async def note() -> str:
        """Notes."""
        seen.append("noted")
        return "noted"

    class Both(OfflineModel):
        def _answer(self, *args):
            answer = super()._answer(*args)
            call = answer.output[0].model_copy(update={"name": "note", "arguments": "{}", "call_id": "call_note"})
            answer.output.insert(0, call)
            return answer

    both = lambda: Agency(Agent(name="Solo", instructions=".", model=Both("Solo"), tools=[note]))  # noqa: E731
    shown = play(both, stream=stream, tools=[function("weather")])
    assert seen == ["noted"]
    assert calls(shown) == [("weather", {"city": "Order paper"})]
    assert shown.activities == ["Solo uses note"]
    assert shown.words == []


def stop_when_told(context, results):
    return ToolsToFinalOutputResult(is_final_output=True, final_output=f"mine: {results[0].output}")


@LIVE
@pytest.mark.parametrize(
    ("behavior", "words"),
    [
        ("run_llm_again", "offline model: done"),
        ("stop_on_first_tool", "task 7: details"),
        (StopAtTools(stop_at_tool_names=["read_task"]), "task 7: details"),
        (StopAtTools(stop_at_tool_names=["another"]), "offline model: done"),
        (stop_when_told, "mine: task 7: details"),
    ],
    ids=["again", "first", "this", "another", "own"],
)
def test_what_the_agent_itself_says_of_its_tools_holds(behavior, words, stream):
    def script(turn):
        return "offline model: done" if turn.calls else [("read_task", {"number": 7})]

    shown = play(solo(script, tools=[read_task], tool_use_behavior=behavior), stream=stream)
    assert shown.words == [words]
    assert shown.activities == ["Solo uses read_task"]


@LIVE
def test_a_guardrail_checks_last_words_only(stream):
    asked = []

    @output_guardrail(name="careful")
    def check(context, agent, text):
        asked.append(text)
        return GuardrailFunctionOutput(output_info="", tripwire_triggered=False)

    guarded = solo(lambda turn: "offline model: hello", output_guardrails=[check])
    assert calls(play(guarded, stream=stream, tools=[function("weather")])) == [("weather", {"city": "Order paper"})]
    assert asked == []
    assert play(guarded, stream=stream).words == asked == ["offline model: hello"]


@LIVE
@pytest.mark.parametrize(("most", "made"), [(1, 1), (2, 2), (None, 3)])
def test_no_more_tools_are_called_than_the_client_allows(most, made, stream):
    seen = []

    @function_tool
    async def count(number: int) -> str:
        """Counts."""
        seen.append(number)
        return f"counted {number}"

    def script(turn):
        plan = [("count", {"number": number}) for number in range(3)]
        return " / ".join(["offline model", *(call.output for call in turn.calls)]) if turn.calls else plan

    shown = play(solo(script, tools=[count]), stream=stream, max_tool_calls=most)
    assert len(seen) == made
    assert shown.activities == ["Solo uses count"] * made
    assert shown.words[0].count("counted ") == made
    assert shown.words[0].count("max_tool_calls is used up") == 3 - made
    assert shown.response["status"] == "completed"


def test_tools_of_colleagues_count_too():
    def boss(turn):
        ask = {"recipient_agent": "Aide", "message": "?", "additional_instructions": ""}
        return turn.calls[0].output if turn.calls else [("send_message", ask)]

    def aide(turn):
        return turn.calls[0].output if turn.calls else [("read_task", {"number": 7})]

    def desk():
        one = Agent(name="Boss", instructions=".", model=OfflineModel("Boss", boss))
        other = Agent(name="Aide", instructions=".", model=OfflineModel("Aide", aide), tools=[read_task])
        return Agency(one, communication_flows=[one > other])

    assert "task 7" in play(desk, max_tool_calls=2).words[0]
    shown = play(desk, max_tool_calls=1)
    assert shown.activities == ["Boss asks Aide"]
    assert "max_tool_calls is used up" in shown.words[0]


class Tagged(BaseTool):
    """A tool with state of its own class."""

    number: int

    def run(self) -> str:
        return f"tagged {self.number}"


def test_a_tool_of_any_kind_is_watched_and_stays_what_it_is():
    agent = Agent(name="Solo", instructions=".", tools=[Tagged, read_task])
    before = [(tool, tool.on_invoke_tool) for tool in agent.tools]
    shown = play(lambda: Agency(agent), input="hello")
    assert shown.activities == ["Solo uses Tagged", "Solo uses read_task"]
    assert [(tool, tool.on_invoke_tool) for tool in agent.tools] == before


def test_what_is_changed_in_the_sdk_is_what_was_read():
    """A version that is called in another way, or from elsewhere, is noticed here."""
    sdk = tools._sdk()
    parameters = {name: list(inspect.signature(function).parameters) for name, function in sdk._asdict().items()}
    needed = {"public_agent", "original_input", "pre_step_items", "new_step_items", "new_response", "run_handoffs"}
    assert needed <= set(parameters.pop("handoffs"))
    assert "new_response" in parameters.pop("single_step")
    assert parameters == {
        "get_all_tools": ["agent", "context_wrapper"],
        "invoke": ["function_tool", "context", "arguments"],
        "final_output": ["agent", "tool_results", "context_wrapper"],
        "output_guardrail": ["guardrail", "agent", "agent_output", "context"],
    }


@output_guardrail
def harmless(context, agent, text):
    return GuardrailFunctionOutput(output_info="", tripwire_triggered=False)


def shared_agent():
    return Agent(
        name="Shared",
        instructions="You are Shared.",
        tools=[read_task],
        output_guardrails=[harmless],
        tool_use_behavior="run_llm_again",
        model_settings=ModelSettings(temperature=0.5),
    )


def seams():
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is RunContext]


@LIVE
def test_an_agent_that_all_runs_share_keeps_nothing_of_them(stream):
    agent, of_others = shared_agent(), seams()  # earlier tests' are held, so that none of them ends meanwhile
    settings, own, invoke = agent.model_settings, agent.tools[0], agent.tools[0].on_invoke_tool
    check = harmless.guardrail_function

    async def fifty_runs():
        async with on_stage(lambda: Agency(agent)) as runs:
            for number in range(50):
                fields = {"tools": [function(f"f{number}")], "instructions": f"note {number}", "temperature": 1}
                shown = await told(await begin(runs, stream=stream, **fields))
                assert calls(shown) == [(f"f{number}", {"city": "Order paper"})]
            return await agent.get_all_tools(RunContextWrapper(None))

    found = asyncio.run(fifty_runs())
    assert not any(isinstance(tool, ClientTool) for tool in found)
    assert [tool for tool in found if tool.name == "read_task"] == [own]
    assert (agent.tools, own.on_invoke_tool, agent.instructions) == ([own], invoke, "You are Shared.")
    assert agent.model_settings == settings
    assert (agent.tool_use_behavior, agent.output_guardrails) == ("run_llm_again", [harmless])
    assert agent.output_guardrails[0].guardrail_function is check
    assert agent.model == FRAMEWORK_DEFAULT_MODEL
    assert not {name for name in vars(agent) if "agency_lambda" in name or name == "get_all_tools"}
    assert len(seams()) - len(of_others) < 5  # nothing keeps those that have ended


def test_runs_at_the_same_time_do_not_see_each_others_functions():
    barrier = asyncio.Barrier(2)

    @function_tool
    async def meet() -> str:
        """Waits for the other run."""
        await barrier.wait()
        return "met"

    agent = Agent(name="Shared", instructions=".", tools=[meet])

    async def one(runs, name):
        run = await begin(runs, tools=[function(name)], tool_choice="required", input=name, max_tool_calls=1)
        return await told(run)

    async def both():
        async with on_stage(lambda: Agency(agent)) as runs:
            return await asyncio.gather(one(runs, "first"), one(runs, "second"))

    for shown, name in zip(asyncio.run(asyncio.wait_for(both(), 30)), ["first", "second"], strict=True):
        assert calls(shown) == [(name, {"city": name})]


def test_runs_at_the_same_time_tell_of_their_own_tools_only():
    barrier = asyncio.Barrier(2)

    @function_tool
    async def meet(text: str) -> str:
        """Waits for the other run."""
        await barrier.wait()
        return f"met {text}"

    agent = Agent(name="Shared", instructions=".", tools=[meet])

    async def both():
        async with on_stage(lambda: Agency(agent)) as runs:
            started = [await begin(runs, input=name) for name in ("first", "second")]
            return await asyncio.gather(*(told(run) for run in started))

    first, second = asyncio.run(asyncio.wait_for(both(), 30))
    for shown, own, other in ((first, "first", "second"), (second, "second", "first")):
        assert said(shown.items[0]) == "Shared uses meet"
        assert len(shown.items) == 2
        assert shown.response["usage"]["model_calls"] == 2
        assert f"met {own}" in shown.words[0]
        assert other not in shown
