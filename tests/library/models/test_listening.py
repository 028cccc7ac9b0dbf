"""A run hears its models as they speak, and gets the same answer as one that only waits for it."""

import asyncio
import threading

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import Model, ModelResponse, ModelSettings, Runner, Usage
from openai.types.responses import ResponseFailedEvent, ResponseIncompleteEvent

from agency_lambda.framework.models import (
    AnswerIncomplete,
    Limits,
    MeteredModel,
    ModelCallLimit,
    Models,
    ModelUnavailable,
    OutputTokenLimit,
    active_run,
    caused_by,
    events,
    is_upstream_failure,
)
from agency_lambda.framework.models.events import message_item, response, stream_events
from tests.library.model_server import Failure, ModelServer, call, scripts
from tests.library.models.agencies import Listener, ask, attach, closing, model_of, offline, read_task, settings, single
from tests.library.models.test_events import request

APIS = ["responses", "chat"]
LIMIT = {"responses": "max_output_tokens", "chat": "max_tokens"}
WORDS = "one two three four five six seven eight nine ten"
LONG = WORDS * 10


class Says(Model):
    """Streams these events; an exception among them is raised."""

    model = "says"

    def __init__(self, *told):
        self.told, self.closed = told, False

    async def get_response(self, *args, **kwargs):
        raise AssertionError("a run that listens does not ask for the answer in one piece")

    async def stream_response(self, *args, **kwargs):
        try:
            for event in self.told:
                await asyncio.sleep(0)
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.closed = True


def whole(text=WORDS):
    return [*stream_events(response("m", [message_item(text)], 4, 4))]


def listen(model, run):
    """One call of a model in a run that listens."""
    return asyncio.run(MeteredModel(model, run, "Solo").get_response(**request()))


@pytest.mark.parametrize("api", APIS)
def test_words_are_heard_before_the_answer_is_whole(api):
    hold = threading.Event()
    run = Listener(live=True, on_event=lambda e: hold.set() if e.type == "response.output_text.delta" else None)
    with ModelServer([WORDS], hold=hold) as server:  # gives up the stream when nobody hears its words
        text, _ = ask(Models(settings(server.base_url, model_api=api)), single(), run=run)
    assert text == "".join(run.deltas) == WORDS
    assert len(run.deltas) > 1
    assert [(items[0].content[0].text, complete) for items, complete in run.answers] == [(WORDS, True)]


def test_who_only_waits_hears_the_answer_and_no_events():
    run = Listener()
    with ModelServer([WORDS]) as server:
        ask(Models(settings(server.base_url)), single(), run=run)
        assert not server.requests[0].body.get("stream")
    assert run.events == []
    assert [(items[0].content[0].text, complete) for items, complete in run.answers] == [(WORDS, True)]


@pytest.mark.parametrize("plan", [WORDS, call("add", a=1), [("add", {"a": 2}), ("tell", {})]], ids=str)
@pytest.mark.parametrize("api", APIS)
def test_a_streamed_answer_is_the_buffered_one(api, plan, monkeypatch):
    monkeypatch.setattr(events, "_new_id", lambda kind: f"{kind}_1")  # else they differ from answer to answer
    with ModelServer(lambda request: plan) as server:
        models = Models(settings(server.base_url, model_api=api))

        async def both():
            agency = single()
            answers = []
            for live in (False, True):
                attach(models, agency, Listener(live))
                answers.append(await model_of(agency).get_response(**request()))
            return answers

        buffered, streamed = closing(models, both)
    assert [item.to_dict() for item in streamed.output] == [item.to_dict() for item in buffered.output]
    assert streamed.usage == buffered.usage
    assert streamed.usage.input_tokens_details.cached_tokens > 0
    assert streamed.usage.output_tokens_details.reasoning_tokens > 0
    assert streamed.response_id == (buffered.response_id or "__fake_id__")  # Chat: none, or a made up one


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_cached_and_reasoned_tokens_are_counted(api, live):
    with ModelServer([call("read_task", number=1), WORDS]) as server:
        service = settings(server.base_url, model_api=api)
        _, meter = ask(Models(service), single(tools=[read_task]), live=live)
        assert (meter.input_tokens, meter.output_tokens) == server.tokens
    assert meter.cached_tokens in (meter.input_tokens // 2, meter.input_tokens // 2 - 1)  # rounded call by call
    assert meter.reasoning_tokens in (meter.output_tokens // 3, meter.output_tokens // 3 - 1)


def written(run):
    """Output tokens of every call that was heard to its end."""
    return [e.response.usage.output_tokens for e in run.events if hasattr(e, "response") and e.response.usage]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_the_cap_is_told_to_the_provider_and_shrinks(api, live):
    run = Listener(live)
    run.meter.limits = Limits(client_output_tokens=500)
    with ModelServer([call("read_task", number=1), call("read_task", number=2), "done"]) as server:
        ask(Models(settings(server.base_url, model_api=api)), single(tools=[read_task]), run=run)
        limits = [each.body[LIMIT[api]] for each in server.requests]
        streamed = [each.body["stream"] for each in server.requests]
    first, second, third = written(run)
    assert limits == [500, 500 - first, 500 - first - second]
    assert min(first, second, third) > 0
    assert streamed == [True, True, True]  # only a stream says that it was cut


@pytest.mark.parametrize("own", [40, 499, 4000])
def test_an_agents_own_limit_stays_where_it_is_smaller(own):
    run = Listener()
    run.meter.limits = Limits(client_output_tokens=500)
    with ModelServer([call("read_task", number=1), "done"]) as server:
        agency = single(tools=[read_task], model_settings=ModelSettings(max_tokens=own))
        ask(Models(settings(server.base_url)), agency, run=run)
        limits = [each.body["max_output_tokens"] for each in server.requests]
    assert limits == [min(500, own), min(500 - written(run)[0], own)]


def test_without_a_cap_the_provider_is_told_no_limit():
    run = Listener(live=True)
    run.meter.limits = Limits(output_tokens=500)
    with ModelServer(["done"]) as server:
        ask(Models(settings(server.base_url)), single(), run=run)
        assert "max_output_tokens" not in server.requests[0].body


@pytest.mark.parametrize("live", [False, True])
def test_an_answer_that_was_cut_is_an_answer(live):
    run = Listener(live)
    run.meter.limits = Limits(client_output_tokens=16)
    with ModelServer([LONG]) as server:
        text, meter = ask(Models(settings(server.base_url)), single(), run=run)
    assert text == LONG[:63] == "".join(run.deltas)
    assert [(items[0].content[0].text, complete) for items, complete in run.answers] == [(text, False)]
    assert run.broken == []
    assert meter.output_tokens == 16


def test_offline_too():
    run = Listener(live=True)
    run.meter.limits = Limits(client_output_tokens=16)
    text, meter = ask(offline(), single(), script={"Solo": lambda turn: f"offline model {LONG}"}, run=run)
    assert (len(text), meter.output_tokens, [complete for _, complete in run.answers]) == (63, 16, [False])


def test_a_buffered_answer_that_was_cut_says_so():
    run = Listener()
    with ModelServer([LONG]) as server:
        ask(Models(settings(server.base_url)), single(model_settings=ModelSettings(max_tokens=16)), run=run)
    assert [complete for _, complete in run.answers] == [False]


def cut_at_once():
    answer = response("m", [], 4, 60).model_copy(update={"status": "incomplete"})
    return ResponseIncompleteEvent(type="response.incomplete", response=answer, sequence_number=0)


def test_cut_before_anything_was_said():
    run = Listener(live=True)
    with pytest.raises(AnswerIncomplete) as ended:
        listen(Says(cut_at_once()), run)
    assert ended.value.reason == "max_output_tokens"
    assert run.answers == [([], False)]
    assert run.meter.output_tokens == 16  # they were thought, and cost as much


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("limit", "error"), [("output_tokens", OutputTokenLimit), ("model_calls", ModelCallLimit)])
def test_a_run_is_stopped_before_the_call_that_is_one_too_many(limit, error, live):
    run = Listener(live)
    run.meter.limits = Limits(**{limit: 1})
    with ModelServer([call("read_task", number=1), "done"]) as server:
        with pytest.raises(Exception, match="Runner execution failed") as failure:
            ask(Models(settings(server.base_url)), single(tools=[read_task]), run=run)
        assert len(server.requests) == run.meter.model_calls == len(run.answers) == 1
    assert caused_by(failure.value, error)
    assert not is_upstream_failure(failure.value)
    assert run.broken == []  # no call was made that could break off


def failed():
    answer = response("m", [message_item("half a")], 4, 4).model_copy(update={"status": "failed"})
    return ResponseFailedEvent(type="response.failed", response=answer, sequence_number=0)


def nothing():
    return [*stream_events(response("m", [], 4, 4))]


@pytest.mark.parametrize(
    "told",
    [[], whole()[:-1], [*whole()[:-1], failed()], nothing(), [*whole()[:3], AttributeError("no choices")]],
    ids=["silence", "no end", "failed", "nothing said", "no answer"],
)
def test_a_stream_without_a_good_end_is_no_answer(told):
    run, model = Listener(live=True), Says(*told)
    with pytest.raises(ModelUnavailable):
        listen(model, run)
    assert model.closed
    assert run.answers == []
    assert [type(error) for error in run.broken] == [ModelUnavailable]
    assert run.events == [event for event in told if not isinstance(event, BaseException)]
    assert run.meter.model_calls == 1


@pytest.mark.parametrize("after", range(1, 8))
@pytest.mark.parametrize("api", APIS)
def test_a_connection_that_breaks_is_no_answer_wherever_it_breaks(api, after, monkeypatch):
    run = Listener(live=True)
    with (
        ModelServer(lambda request: Failure(0, after=after)) as server,
        pytest.raises(Exception, match="Runner execution failed") as failure,
    ):
        ask(Models(settings(server.base_url, model_api=api)), single(), run=run)
    assert is_upstream_failure(failure.value)
    assert run.answers == []
    assert len(run.broken) == 1


def test_a_run_that_is_cancelled_lets_go_of_the_stream_at_once():
    class Slow(Says):
        async def stream_response(self, *args, **kwargs):
            try:
                yield whole()[0]
                await asyncio.sleep(60)
            finally:
                self.closed = True

    async def cancelled():
        heard = asyncio.Event()
        run, model = Listener(live=True, on_event=lambda event: heard.set()), Slow()
        asked = asyncio.create_task(MeteredModel(model, run, "Solo").get_response(**request()))
        await heard.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        return run, model.closed

    run, closed = asyncio.run(cancelled())
    assert closed
    assert [type(error) for error in run.broken] == [asyncio.CancelledError]
    assert run.answers == []


@pytest.mark.parametrize("live", [False, True])
def test_the_run_puts_the_question(live):
    class Asking(Listener):
        def adjust(self, agent, question):
            question.settings.temperature = 0.25
            return type(question)(f"{agent}!", "another question", question.settings, [], None)

    with ModelServer(["fine"]) as server:
        ask(Models(settings(server.base_url)), single(tools=[read_task]), run=Asking(live))
        body = server.requests[0].body
    assert (body["instructions"], body["temperature"], body.get("tools")) == ("Solo!", 0.25, [])
    assert body["input"] == [{"content": "another question", "role": "user"}]


class Meeting(Model):
    """Answers when as many calls are waiting as `parties` says: they were all made at the same time."""

    model = "meeting"

    def __init__(self, parties):
        self.barrier = asyncio.Barrier(parties)

    async def get_response(self, *args, **kwargs):
        await self.barrier.wait()
        usage = Usage(requests=1, input_tokens=3, output_tokens=4, total_tokens=7)
        return ModelResponse(output=[message_item("met")], usage=usage, response_id=None)

    async def stream_response(self, *args, **kwargs):
        await self.barrier.wait()
        for event in whole("met"):
            yield event


@pytest.mark.parametrize("live", [False, True])
def test_runs_that_share_their_agents_count_their_own_calls(live):
    shared = Agent(name="Shared", instructions=".", model=Meeting(parties=3))
    models, runs = offline(), [Listener(live) for _ in range(3)]
    agencies = [Agency(shared) for _ in runs]

    async def one(agency, run):
        active_run.set(run)
        for _ in range(2):
            await agency.get_response("hi")

    async def all_at_once():
        for agency, run in zip(agencies, runs, strict=True):
            attach(models, agency, run)
        await asyncio.gather(*(one(agency, run) for agency, run in zip(agencies, runs, strict=True)))

    asyncio.run(asyncio.wait_for(all_at_once(), 10))
    assert [(run.meter.model_calls, len(run.answers)) for run in runs] == [(2, 2)] * 3
    assert [bool(run.events) for run in runs] == [live] * 3


def test_a_thread_that_knows_no_run_counts_for_the_latest():
    agency, models, runs = single(), offline(), [Listener(), Listener()]
    running_there = []

    def in_a_thread():
        running_there.append(active_run.get(None))
        asyncio.run(model_of(agency).get_response(**request()))

    async def started():
        active_run.set(runs[0])
        thread = threading.Thread(target=in_a_thread)
        thread.start()
        await asyncio.to_thread(thread.join)

    for run in runs:
        attach(models, agency, run)
    asyncio.run(started())
    assert running_there == [None]
    assert [run.meter.model_calls for run in runs] == [0, 1]


def streaming_desk(**colleague):
    """Boss, whose tool streams Aide by itself."""
    aide = Agent(name="Aide", instructions="You are Aide.", **colleague)

    @function_tool
    async def consult() -> str:
        """Asks Aide."""
        streamed = Runner.run_streamed(aide, "a question")
        return str(sum([1 async for event in streamed.stream_events()])) + str(streamed.final_output)

    boss = Agent(name="Boss", instructions="You are Boss.", tools=[consult])
    return Agency(boss, communication_flows=[boss > aide])


def consulting(turn):
    return turn.calls[0].output if turn.calls else [("consult", {})]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("api", APIS)
def test_an_agent_that_a_tool_streams_is_counted_and_its_answer_kept(api, live):
    run = Listener(live)
    with ModelServer(scripts({"Boss": consulting, "Aide": lambda turn: "offline model: aye"})) as server:
        text, meter = ask(Models(settings(server.base_url, model_api=api)), streaming_desk(), run=run)
        assert (meter.input_tokens, meter.output_tokens) == server.tokens
    assert text.endswith("offline model: aye")
    assert meter.model_calls == 3
    assert run.calls == ["Boss", "Aide", "Boss"]
    assert len(run.answers) == 3
    assert "".join(run.deltas) == text * live


@pytest.mark.parametrize(
    "told", [[], whole()[:-1], nothing(), [LookupError()]], ids=["silence", "no end", "nothing said", "a bug"]
)
def test_an_agent_that_a_tool_streams_fails_in_the_same_words(told):
    run = Listener()
    text, meter = ask(offline(), streaming_desk(model=Says(*told)), script={"Boss": consulting}, run=run)
    assert (ModelUnavailable.TEXT in text) == (not told or not isinstance(told[0], Exception))
    assert meter.model_calls == 3
