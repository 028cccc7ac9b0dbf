"""What the journal writes, and when: an answer before it is used, and what can wait together with the lease."""

import asyncio
import time
from contextlib import suppress

import pytest
from agents import Model, ModelResponse, Usage
from openai.types.responses import Response, ResponseFunctionToolCall

from agency_lambda.framework.call_journal import JournaledCall
from agency_lambda.framework.models import ModelAnswer, ModelRequest
from agency_lambda.runs.journal import Journal
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.service import RunService
from agency_lambda.settings import Settings
from tests.library.models.agencies import office, single
from tests.library.runs.stage import begin, on_stage, told


class Thinks(Model):
    """Is asked, and does not answer."""

    def __init__(self):
        self.asked = asyncio.Event()

    async def get_response(self, *args, **kwargs):
        self.asked.set()
        await asyncio.Event().wait()

    async def stream_response(self, *args, **kwargs):
        self.asked.set()
        await asyncio.Event().wait()
        yield


@pytest.fixture
def service(tmp_path):
    return Settings(_env_file=None, store=f"sqlite:///{tmp_path}/agency.db")


def watched(store, many=None):
    """The sorts of every write; many: an event, set when there are several."""
    written, write = [], store.write

    async def note(*changes):
        await write(*changes)
        written.append([change.sort for change in changes])
        if many and len(written) > 5:
            many.set()

    store.write = note
    return written


@pytest.mark.parametrize("stream", [True, False])
def test_a_run_writes_once_for_each_answer_and_each_tool_and_at_its_two_ends(service, stream, monkeypatch):
    monkeypatch.setattr(
        "agency_lambda.runs.heartbeat.FLUSH", 60
    )  # what is kept of the events in between is another matter

    async def play():
        async with on_stage(office, service) as runs:
            written = watched(runs.store)
            run = await begin(runs, store=True, stream=stream)
            await told(run)
            return run, written

    run, written = asyncio.run(play())
    kinds = [sorts[0].split("/")[1] for sorts in written[1:-1]]
    assert (kinds.count("model"), len(kinds)) == (
        run.execution.meter.model_calls,
        run.execution.meter.model_calls + kinds.count("tool"),
    )
    assert run.execution.meter.model_calls >= 5
    assert all(len(sorts) == 1 for sorts in written[1:-1])


def test_a_run_that_is_not_stored_writes_and_hashes_nothing(service, monkeypatch):
    monkeypatch.setattr("agency_lambda.runs.journal_rows.hashlib", None)

    async def play():
        async with on_stage(office, service) as runs:
            written = watched(runs.store)
            return (await told(await begin(runs))).response["status"], written

    assert asyncio.run(play()) == ("completed", [])


def test_a_call_that_takes_long_is_stored_once_as_pending_and_is_no_answer(service, monkeypatch):
    monkeypatch.setattr("agency_lambda.runs.heartbeat.FLUSH", 0.01)
    monkeypatch.setattr("agency_lambda.runs.heartbeat.RENEW", 0.01)

    async def play():
        model, many = Thinks(), asyncio.Event()
        async with on_stage(lambda: single(model=model), service) as runs:
            written = watched(runs.store, many)
            run = await begin(runs, store=True, stream=False)
            running = asyncio.create_task(run.execute())
            await model.asked.wait()
            await many.wait()
            (key,) = run.execution._run_context.journal.pending
            again = Journal(runs.store, "owner", run.response["id"])
            await again.load()
            record = await runs.store.get(response_partition("owner", run.response["id"]), "journal/asked")
            assert record
            pending = JournaledCall(key, "Solo", ModelRequest(None, "", None, [], None))
            assert ([*record.body], again.find(pending)) == ([key], None)
            asked = record.body[key]
            assert (asked["agent"], asked["model"], asked["attempt"], asked["within"]) == ("Solo", "Thinks", 1, "")
            assert asked["started_at"] == pytest.approx(time.time(), abs=20)
            assert again.ids == set()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            return written

    written = asyncio.run(asyncio.wait_for(play(), 20))
    assert sum("journal/asked" in sorts for sorts in written) == 1


CARELESS = [
    {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
    {"id": "m", "type": "message", "role": "assistant", "status": "done", "content": [{"type": "odd", "text": "x"}]},
    {"id": "s", "type": "strange", "data": 1},
    {"id": "r", "type": "reasoning"},
    {"type": "function_call", "call_id": "c", "name": "add", "arguments": None},
]


@pytest.mark.parametrize("item", CARELESS, ids=lambda item: item["type"])
def test_answer_of_a_careless_server_is_read_as_it_was_written(service, item):
    """What was good enough to go on with must not stop the next attempt, and every one behind it."""
    output = Response.construct(output=[item]).output
    answer = ModelResponse(output=output, usage=Usage(requests=1, output_tokens=7), response_id="r")
    call = JournaledCall("model/k/0001", "Solo", ModelRequest(None, "Order paper", None, [], None))

    async def written_and_read():
        runs = RunService(service)
        await Journal(runs.store, "owner", "resp_1").save_answer(call, ModelAnswer(answer), {0: "msg_1"})
        again = Journal(runs.store, "owner", "resp_1")
        await again.load()
        await runs.aclose()
        return again.find(call)

    found = asyncio.run(written_and_read())
    read = [found.answered.response.output[0], output[0]]
    assert [each.to_dict(warnings=False) for each in read] == [item, item]
    assert (found.answered.response.usage.output_tokens, found.ids) == (7, {0: "msg_1"})


def test_run_that_an_earlier_version_has_begun_knows_its_calls_by_their_ids(service):
    question = ModelRequest(None, "Order paper", None, [], None)
    call = ResponseFunctionToolCall(type="function_call", call_id="call_0", name="add", arguments="{}")
    answer = ModelResponse(output=[call], usage=Usage(), response_id="r")

    async def begun_before():
        runs = RunService(service)
        found = []
        for earlier in (True, False):
            before = Journal(runs.store, "owner", f"resp_{earlier}")
            before._by_call_ids = earlier
            await before.save_answer(before.begin_call("Solo", question), ModelAnswer(answer), {})
            after = Journal(runs.store, "owner", f"resp_{earlier}")
            await after.load()
            after.note_usable(after.begin_call("Solo", question).key, answer.output)
            found.append(
                (after.tool_call_key("Solo", "call_0"), after.begin_call("Solo", question, "Solo/x").key.count("/"))
            )
        await runs.aclose()
        return found

    (earlier, slashes), (now, more_slashes) = asyncio.run(begun_before())
    assert (earlier, slashes) == ("Solo/call_0/1", 2)
    assert (now.startswith("Solo/"), "call_0" in now, more_slashes) == (True, False, 3)
