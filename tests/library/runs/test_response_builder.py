"""What a client is shown of the agents at work, and what it is not."""

import asyncio

import httpx
import pytest
from agency_swarm import (
    Agency,
    Agent,
    GuardrailFunctionOutput,
    Handoff,
    function_tool,
    input_guardrail,
    output_guardrail,
)
from agents import ModelSettings
from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import (
    ResponseCodeInterpreterToolCall,
    ResponseFileSearchToolCall,
    ResponseFunctionWebSearch,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseRefusalDeltaEvent,
)
from openai.types.responses import ResponseContentPartAddedEvent as PartAdded
from openai.types.responses import ResponseOutputItemAddedEvent as ItemAdded
from openai.types.responses import ResponseOutputItemDoneEvent as ItemDone
from openai.types.responses import ResponseTextDeltaEvent as TextDelta
from openai.types.responses.response_function_web_search import ActionSearch
from openai.types.shared import Reasoning
from pydantic import BaseModel

from agency_lambda.framework.models.events import call_item, message_item, reasoning_item
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.framework.response_builder import ResponseBuilder
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.runs.attempt_stream import AttemptStream
from agency_lambda.testing.replay import replayed
from tests.library.models.agencies import office
from tests.library.models.test_offline_script import ANSWER, SCRIPT
from tests.library.runs.stage import Plays, begin, on_stage, play, said, told

LIVE = pytest.mark.parametrize("stream", [True, False])


def solo(*answers, **settings):
    """An agency of one agent, whose model plays these answers."""
    return lambda: Agency(Agent(name="Solo", instructions=".", model=Plays(*answers), **settings))


def scripted(name, script, **settings):
    return Agent(name=name, instructions=f"You are {name}.", model=OfflineModel(name, script), **settings)


def asking(recipient, message="?"):
    return ("send_message", {"recipient_agent": recipient, "message": message, "additional_instructions": ""})


@LIVE
def test_a_whole_office_at_work(stream):
    def played():
        agency = office()
        for agent in agency.agents.values():
            agent.model = OfflineModel(agent.name, SCRIPT[agent.name])
        return agency

    shown = play(played, stream=stream)
    assert shown.words == [ANSWER]
    ids = {said(item): item["id"] for item in shown.items if "tool" in item}
    outer = {value: key for key, value in ids.items()}
    assert [(said(item), outer.get(item["parent"])) for item in shown.items if "tool" in item] == [
        ("Manager asks Planner", None),
        ("Planner uses CreateTask", "Manager asks Planner"),
        ("Manager asks Writer", None),
        ("Writer asks Planner", "Manager asks Writer"),
    ]
    assert shown.items[0]["agent"] == "Manager"
    assert (shown.items[0]["tool"], shown.items[0]["recipient"]) == ("send_message", "Planner")
    assert "recipient" not in shown.items[1]
    assert {item["status"] for item in shown.items} == {"completed"}


def test_words_are_streamed_as_they_are_said():
    shown = play(solo([message_item("one two three four five six")]))
    assert [event["delta"] for event in shown.events if "delta" in event] == ["one two three ", "four five six"]


@LIVE
def test_nothing_that_is_not_for_the_user_is_shown(stream):
    @function_tool
    async def look_up(key: str) -> str:
        """Secret docstring."""
        return "secret output"

    def aide(turn):
        return "offline model: secret words" if turn.calls else [("look_up", {"key": "secret argument"})]

    def boss(turn):
        return "offline model: done" if turn.calls else [asking("Aide", "secret question")]

    def secretive():
        thinking = ModelSettings(reasoning=Reasoning(summary="auto"))
        one = scripted("Aide", aide, tools=[look_up], model_settings=thinking, description="secret description")
        other = scripted("Boss", boss)
        one.instructions += " secret instructions"
        other.instructions += " secret instructions"
        return Agency(other, communication_flows=[other > one], shared_instructions="secret manifesto")

    shown = play(secretive, stream=stream, reasoning={"summary": "auto"})
    assert shown.words == ["offline model: done"]
    assert shown.activities == ["Boss asks Aide", "Aide uses look_up"]
    assert "secret" not in shown
    assert len([item for item in shown.items if item["type"] == "reasoning" and "tool" not in item]) == 2  # of Boss


@LIVE
@pytest.mark.parametrize("asked", [None, {"effort": "low"}, {"summary": "auto"}])
def test_reasoning_is_shown_to_who_asks_for_it(stream, asked):
    shown = play(solo([reasoning_item("because"), message_item("so")]), stream=stream, reasoning=asked)
    wanted = asked is not None and "summary" in asked
    assert [said(item) for item in shown.items] == (["because", "so"] if wanted else ["so"])
    assert ("because" in shown) == wanted


@LIVE
def test_calls_side_by_side(stream):
    barrier = asyncio.Barrier(3)

    @function_tool
    async def wait(number: int) -> str:
        """Waits for the others."""
        await barrier.wait()
        return "there"

    def script(turn):
        return "offline model" if turn.calls else [("wait", {"number": number}) for number in range(3)]

    shown = play(lambda: Agency(scripted("Solo", script, tools=[wait])), stream=stream)
    assert shown.activities == ["Solo uses wait"] * 3
    assert [(item["status"], item.get("parent")) for item in shown.items] == [("completed", None)] * 4
    if stream:
        kinds = [event["type"].rpartition(".")[2] for event in shown.events if "output_item" in event["type"]]
        assert kinds[:6] == ["added"] * 3 + ["done"] * 3


@LIVE
def test_colleagues_side_by_side(stream):
    barrier = asyncio.Barrier(2)

    @function_tool
    async def wait() -> str:
        """Waits for the other."""
        await barrier.wait()
        await barrier.wait()
        return "there"

    def colleague(turn):
        return "offline model: secret" if len(turn.calls) > 1 else [("wait", {})]

    def boss(turn):
        return "offline model: both" if turn.calls else [asking("Planner"), asking("Writer")]

    def desk():
        manager, planner = scripted("Manager", boss), scripted("Planner", colleague, tools=[wait])
        writer = scripted("Writer", colleague, tools=[wait])
        return Agency(manager, communication_flows=[manager > planner, manager > writer])

    shown = play(desk, stream=stream)
    asked = {item["recipient"]: item["id"] for item in shown.items if "recipient" in item}
    used = [(item["agent"], item["parent"]) for item in shown.items if item.get("tool") == "wait"]
    assert sorted(used) == sorted([("Planner", asked["Planner"]), ("Writer", asked["Writer"])] * 2)
    assert used[0][0] != used[1][0]
    assert len({item["id"] for item in shown.items}) == len(shown.items) == 2 + 4 + 1
    assert {item["status"] for item in shown.items} == {"completed"}
    assert shown.words == ["offline model: both"]
    assert "secret" not in shown


def test_an_item_of_a_tool_is_open_as_long_as_it_runs():
    at_work, go_on = asyncio.Event(), asyncio.Event()

    @function_tool
    async def work() -> str:
        """Works."""
        at_work.set()
        await go_on.wait()
        return "done"

    async def watched():
        agency = scripted("Solo", lambda turn: "offline model" if turn.calls else [("work", {})], tools=[work])
        async with on_stage(lambda: Agency(agency)) as runs:
            run = await begin(runs)
            running = asyncio.create_task(told(run))
            await at_work.wait()
            before = [*run.log.events]
            go_on.set()
            return before, await running

    before, shown = asyncio.run(asyncio.wait_for(watched(), 30))
    assert [item["status"] for item in replayed(before, whole=False)] == ["in_progress"]
    assert shown.items[0]["status"] == "completed"


HOSTED = [
    ResponseFunctionWebSearch(
        id="ws_1",
        type="web_search_call",
        status="completed",
        action=ActionSearch(type="search", query="secret query", queries=["secret query"]),
    ),
    ResponseFileSearchToolCall(id="fs_1", type="file_search_call", status="completed", queries=["secret query"]),
    ResponseCodeInterpreterToolCall(
        id="ci_1", type="code_interpreter_call", status="completed", code="secret()", container_id="c", outputs=None
    ),
]


@LIVE
def test_the_providers_own_tools_are_activity(stream):
    shown = play(solo([*HOSTED, message_item("found")]), stream=stream)
    used = ["Solo uses web_search", "Solo uses file_search", "Solo uses code_interpreter"]
    assert sorted(shown.activities) == sorted(used)
    assert shown.words == ["found"]
    assert "secret" not in shown


@LIVE
def test_a_colleagues_hosted_tool_belongs_to_the_question(stream):
    def desk():
        boss = scripted("Boss", lambda turn: "offline model" if turn.calls else [asking("Aide")])
        aide = Agent(name="Aide", instructions=".", model=Plays([HOSTED[0], message_item("secret")]))
        return Agency(boss, communication_flows=[boss > aide])

    shown = play(desk, stream=stream)
    asked, searched, _ = shown.items
    assert (said(searched), searched["parent"]) == ("Aide uses web_search", asked["id"])
    assert "secret" not in shown


@LIVE
def test_a_handoff_is_activity_and_the_other_agent_speaks_on(stream):
    def desk():
        first = Agent(name="First", instructions=".", model=Plays([call_item("transfer_to_Second", "{}")]))
        second = Agent(name="Second", instructions=".", model=Plays([message_item("my turn")]))
        return Agency(first, communication_flows=[(first, second, Handoff)])

    shown = play(desk, stream=stream)
    assert shown.activities == ["First uses transfer_to_Second"]
    assert [(item["agent"], said(item)) for item in shown.items[1:]] == [("Second", "my turn")]


def checked(kind, asked, refuse=False):
    """A guardrail that notes what it is asked."""

    async def check(context, agent, text):
        asked.append(text)
        return GuardrailFunctionOutput(output_info="No.", tripwire_triggered=refuse)

    make = input_guardrail if kind == "input_guardrails" else output_guardrail
    return {kind: [make(check)], "validation_attempts": 0}


@LIVE
@pytest.mark.parametrize("kind", ["input_guardrails", "output_guardrails"])
def test_who_has_a_guardrail_is_heard_at_the_end(kind, stream):
    asked = []
    shown = play(solo([message_item("one two three four five")], **checked(kind, asked)), stream=stream)
    assert len(asked) == 1
    assert shown.words == ["one two three four five"]
    if stream:
        assert [event["delta"] for event in shown.events if "delta" in event] == shown.words


@LIVE
@pytest.mark.parametrize("kind", ["input_guardrails", "output_guardrails"])
def test_what_a_guardrail_refuses_is_never_heard(kind, stream):
    guarded = solo([message_item("secret words")], raise_input_guardrail_error=True, **checked(kind, [], refuse=True))
    shown = play(guarded, stream=stream)
    assert shown.response["error"]["detail_code"] == "guardrail_triggered"
    assert shown.items == []
    assert "secret" not in shown


@LIVE
def test_only_the_words_that_pass_are_heard(stream):
    @output_guardrail
    async def polite(context, agent, text):
        return GuardrailFunctionOutput(output_info="Be polite.", tripwire_triggered=text == "secret")

    answers = [message_item("secret")], [message_item("please")]
    shown = play(solo(*answers, output_guardrails=[polite], validation_attempts=1), stream=stream)
    assert shown.words == ["please"]
    assert "secret" not in shown


@LIVE
def test_the_guidance_of_an_input_guardrail_is_the_answer(stream):
    guarded = checked("input_guardrails", [], refuse=True)
    shown = play(solo([message_item("secret")], **guarded), stream=stream)
    assert (shown.response["status"], shown.words) == ("completed", ["No."])
    assert "secret" not in shown


class Letter(BaseModel):
    to: str


@LIVE
def test_an_output_type_is_heard_as_json(stream):
    shown = play(solo([message_item('{"to":  "Riga"}')], output_type=Letter), stream=stream)
    assert shown.words == ['{"to":"Riga"}']


@LIVE
@pytest.mark.parametrize("caught", [True, False])
def test_a_tool_that_raises(caught, stream):
    async def broken() -> str:
        """Breaks."""
        raise ValueError("secret disk")

    def script(turn):
        return "offline model: sorry" if turn.calls else [("broken", {})]

    tool = function_tool(broken) if caught else function_tool(broken, failure_error_function=None)
    shown = play(lambda: Agency(scripted("Solo", script, tools=[tool])), stream=stream)
    assert [said(item) for item in shown.items] == ["Solo uses broken", *["offline model: sorry"] * caught]
    assert {item["status"] for item in shown.items} == {"completed" if caught else "incomplete"}
    assert shown.response["status"] == ("completed" if caught else "failed")
    assert "secret" not in shown


@LIVE
def test_a_model_that_breaks_off(stream):
    class Breaks(Plays):
        async def get_response(self, *args, **kwargs):
            raise httpx.ReadError("secret")

        async def stream_response(self, *args, **kwargs):
            told = [event async for event in super().stream_response(*args, **kwargs)]
            for event in told[:5]:
                yield event
            raise httpx.ReadError("secret")

    model = Breaks([message_item("one two three four five six")])
    shown = play(lambda: Agency(Agent(name="Solo", instructions=".", model=model)), stream=stream)
    assert shown.response["error"]["detail_code"] == "upstream_failed"
    assert [(said(item), item["status"]) for item in shown.items] == [("one two three ", "incomplete")] * stream
    assert "secret" not in shown


def forever(event):
    @function_tool
    async def wait() -> str:
        """Waits for ever."""
        event.set()
        await asyncio.sleep(3600)
        return "never"

    return wait


def test_a_run_that_is_left_in_the_middle_of_a_tool():
    async def left():
        at_work = asyncio.Event()

        def desk():
            boss = scripted("Boss", lambda turn: [asking("Aide")])
            aide = scripted("Aide", lambda turn: [("wait", {})], tools=[forever(at_work)])
            return Agency(boss, communication_flows=[boss > aide])

        async with on_stage(desk) as runs:
            run = await begin(runs)
            stream = AttemptStream(run, run.execute())
            listening = asyncio.create_task(_listed(stream.events()))
            await at_work.wait()
            await stream.leave()
            return await asyncio.gather(listening, return_exceptions=True), run.log.events

    _, events = asyncio.run(asyncio.wait_for(left(), 30))
    assert [(said(item), item["status"]) for item in replayed(events)] == [
        ("Boss asks Aide", "incomplete"),
        ("Aide uses wait", "incomplete"),
    ]
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == "failed"


async def _listed(events):
    return [event async for event in events]


def test_a_run_that_is_left_in_the_middle_of_a_word():
    class Slow(Plays):
        async def stream_response(self, *args, **kwargs):
            async for event in super().stream_response(*args, **kwargs):
                yield event
                if event.type == "response.output_text.delta":
                    self.spoke.set()
                    await asyncio.sleep(3600)

    async def left():
        model = Slow([message_item("one two three four five six")])
        model.spoke = asyncio.Event()
        async with on_stage(lambda: Agency(Agent(name="Solo", instructions=".", model=model))) as runs:
            run = await begin(runs)
            stream = AttemptStream(run, run.execute())
            listening = asyncio.create_task(_listed(stream.events()))
            await model.spoke.wait()
            await stream.leave()
            await asyncio.gather(listening, return_exceptions=True)
            return run.log.events

    events = asyncio.run(asyncio.wait_for(left(), 30))
    assert [(said(item), item["status"]) for item in replayed(events)] == [("one two three ", "incomplete")]


@LIVE
def test_words_that_were_cut_off(stream):
    words = "word " * 100
    agency = lambda: Agency(scripted("Solo", lambda turn: f"offline model {words}"))  # noqa: E731
    shown = play(agency, stream=stream, max_output_tokens=16)
    assert shown.response["status"] == "incomplete"
    assert shown.response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [(len(said(item)), item["status"]) for item in shown.items] == [(63, "incomplete")]


def refused():
    words = [ResponseOutputRefusal(type="refusal", refusal="I cannot")]
    return ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=words)


def added(item, index=0):
    return ItemAdded(type="response.output_item.added", item=item, output_index=index, sequence_number=0)


def builder(told, client_functions=frozenset()):
    output = OutputBuilder(lambda kind, **fields: told.append({"type": kind, **fields}), "resp_1")
    named = {"response_id": "resp_1", "agents": frozenset(), "client_functions": client_functions, "reasoning": False}
    return ResponseBuilder(output, **named, withholds=lambda name: False)


def test_what_comes_after_a_tool_is_said_aloud_again():
    told = []
    built = builder(told)
    with built.tool_call("Solo", "work", "{}", "call_1"):
        assert not built.is_outside_tools
    assert built.is_outside_tools
    with built.model_call("Solo") as recorder:
        recorder.record_answer([message_item("done")], True)
    assert [said(item) for item in replayed(told)] == ["Solo uses work", "done"]


def test_what_breaks_off_is_closed_at_once():
    told = []
    broken = pytest.raises(ConnectionError)
    with broken, builder(told).model_call("Solo") as recorder:
        item = message_item("").model_copy(update={"content": [], "status": "in_progress"})
        recorder.record_event(
            ItemAdded(type="response.output_item.added", item=item, output_index=0, sequence_number=0)
        )
        assert told == []  # a server may say nothing before it calls a tool
        where = {"item_id": item.id, "output_index": 0, "content_index": 0, "sequence_number": 1, "logprobs": []}
        recorder.record_event(TextDelta(type="response.output_text.delta", delta="half a", **where))
        raise ConnectionError
    assert [(said(item), item["status"]) for item in replayed(told)] == [("half a", "incomplete")]


@pytest.mark.parametrize("opened", [True, False])
def test_a_refusal_grows_like_a_text(opened):
    told = []
    at = {"item_id": "m", "output_index": 0, "content_index": 0, "sequence_number": 0}
    empty = refused().model_copy(update={"content": [], "status": "in_progress"})
    part = ResponseOutputRefusal(type="refusal", refusal="")
    with builder(told).model_call("Solo") as recorder:
        recorder.record_event(
            ItemAdded(type="response.output_item.added", item=empty, output_index=0, sequence_number=0)
        )
        if opened:
            recorder.record_event(PartAdded(type="response.content_part.added", part=part, **at))
        recorder.record_event(ResponseRefusalDeltaEvent(type="response.refusal.delta", delta="I can", **at))
        recorder.record_event(ResponseRefusalDeltaEvent(type="response.refusal.delta", delta="not", **at))
        recorder.record_event(
            ItemDone(type="response.output_item.done", item=refused(), output_index=0, sequence_number=0)
        )
        recorder.record_answer([refused()], True)
    assert [event["delta"] for event in told if "delta" in event] == ["I can", "not"]
    (item,) = replayed(told)
    assert (item["agent"], item["content"]) == ("Solo", [{"type": "refusal", "refusal": "I cannot"}])


def done(item, index=0):
    return ItemDone(type="response.output_item.done", item=item, output_index=index, sequence_number=0)


def kinds(told):
    return [(event["type"].removeprefix("response."), event.get("output_index")) for event in told]


def message(recorder, item, *words, index=0):
    begun = item.model_copy(update={"content": [], "status": "in_progress"})
    recorder.record_event(added(begun, index))
    where = {"item_id": item.id, "output_index": index, "content_index": 0, "sequence_number": 1, "logprobs": []}
    for each in words:
        recorder.record_event(TextDelta(type="response.output_text.delta", delta=each, **where))


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_message_ends_with_its_own_last_event(status):
    told, said_whole = [], message_item("I look it up.").model_copy(update={"status": status})
    with builder(told).model_call("Solo") as recorder:
        message(recorder, said_whole, "I look ", "it up.")
        recorder.record_event(done(said_whole))
        assert kinds(told)[-1] == ("output_item.done", 0)
        recorder.record_event(added(call_item("work", ""), 1))
        recorder.record_answer([said_whole, call_item("work", "{}")], None)
    assert [(said(item), item["status"]) for item in replayed(told)] == [("I look it up.", status)]


def test_a_message_without_deltas_ends_with_its_last_event_too():
    told, whole = [], message_item("All at once.")
    with builder(told).model_call("Solo") as recorder:
        message(recorder, whole)
        recorder.record_event(done(whole))
        assert [said(item) for item in replayed(told)] == ["All at once."]
        recorder.record_answer([whole], None)
    assert len(replayed(told)) == 1


def test_a_providers_own_tool_ends_with_its_last_event():
    told, search = [], HOSTED[0]
    with builder(told).model_call("Solo") as recorder:
        recorder.record_event(added(search.model_copy(update={"status": "in_progress"})))
        assert kinds(told)[-1] == ("reasoning_summary_part.done", 0)
        recorder.record_event(done(search))
        assert kinds(told)[-1] == ("output_item.done", 0)
        recorder.record_answer([search], None)
    assert [said(item) for item in replayed(told)] == ["Solo uses web_search"]


@pytest.mark.parametrize("incomplete", [None, "max_output_tokens"])
def test_a_clients_call_ends_with_the_answer_that_it_is_in(incomplete):
    """Only then it is known whether it counts: who has seen the end of a call makes it."""
    told, call = [], call_item("weather", "{}")
    built = builder(told, client_functions=frozenset({"weather"}))
    with built.model_call("Solo") as recorder:
        recorder.record_event(added(call.model_copy(update={"arguments": ""})))
        recorder.record_event(done(call))
        assert kinds(told) == [("output_item.added", 0)]
        recorder.record_answer([call], incomplete)
    assert [item["status"] for item in replayed(told)] == ["incomplete" if incomplete else "completed"]


def chat(item):
    return item.model_copy(update={"id": FAKE_RESPONSES_ID})


def test_in_a_chat_a_message_ends_where_a_call_begins():
    told, words = [], chat(message_item("I look it up."))
    with builder(told).model_call("Solo") as recorder:
        message(recorder, words, "I look ", "it up.")
        recorder.record_event(added(chat(call_item("work", "")), 1))
        assert kinds(told)[-1] == ("output_item.done", 0)
        recorder.record_event(done(words))
        recorder.record_answer([words, chat(call_item("work", "{}"))], None)
    assert [said(item) for item in replayed(told)] == ["I look it up."]


def test_in_a_chat_a_message_before_a_call_cites_the_files_of_the_calls_before():
    told, words = [], chat(message_item("See a.txt."))
    built = builder(told)
    built.add_file("file_1", "a.txt", "cntr_1")
    with built.model_call("Solo") as recorder:
        message(recorder, words, "See a.txt.")
        recorder.record_event(added(chat(call_item("work", "")), 1))
        recorder.record_answer([words, chat(call_item("work", "{}"))], None)
    ((citation,),) = [part["annotations"] for part in replayed(told)[0]["content"]]
    assert (citation["file_id"], citation["start_index"], citation["end_index"]) == ("file_1", 4, 9)
    assert built.files_to_show() == []


def test_in_a_chat_nothing_is_lost_that_is_said_after_a_call():
    told, whole = [], chat(message_item("I look it up. Wait."))
    with builder(told).model_call("Solo") as recorder:
        message(recorder, whole, "I look it up.")
        recorder.record_event(added(chat(call_item("work", "")), 1))
        message(recorder, whole, " Wait.")
        recorder.record_answer([whole, chat(call_item("work", "{}"))], None)
    assert [said(item) for item in replayed(told)] == ["I look it up.", " Wait."]


def test_a_provider_that_streams_no_items_is_heard_at_the_end():
    told = []
    with builder(told).model_call("Solo") as recorder:
        recorder.record_answer([message_item("late but whole")], True)
    assert [said(item) for item in replayed(told)] == ["late but whole"]
