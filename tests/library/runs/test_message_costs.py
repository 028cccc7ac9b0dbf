"""What messages between agents cost: nothing more in one process, and so many store calls through the queue."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency

from agency_lambda.protocol.request import CreateResponse
from agency_lambda.queue.local import LocalQueue
from agency_lambda.runs import worker
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import open_store
from benchmarks.watched_store import WatchedStore
from tests.library.features.messages import Office, batches, to
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage

type Counts = dict[str, int]
type Count = Callable[..., Counts]


def desk(messages: int) -> Callable[[], Agency]:
    asked = [to("Clerk", f"part {number}") for number in range(messages)]

    def create() -> Agency:
        office = Office()
        boss = office.agent("Boss", batches(asked) if asked else None)
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    return create


async def run(messages: int, **named: Any) -> str:
    """Work on one run to its end, and on those that it leads to; return its status."""
    async with on_stage(desk(messages), settings(key=None, **named)) as runs:
        body = {"model": "desk", "input": "go", "background": True}
        made = await runs.create(CreateResponse.model_validate(body), "owner")
        assert isinstance(runs.queue, LocalQueue)
        while received := runs.queue.take():
            assert isinstance(received[0], str)
            await worker.work(runs, received[0])
        return str((await Responses(runs.store, "owner").get(made.response["id"])).response["status"])


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Count:
    """count(messages, transport) -> what the store is asked by one run that sends so many, and by their runs."""
    names = iter("abcdefgh")

    def counted(messages: int, transport: str) -> Counts:
        store = WatchedStore(open_store(f"sqlite:///{tmp_path}/{next(names)}.db"))
        monkeypatch.setattr("agency_lambda.runs.service.open_store", lambda url: store)
        assert asyncio.run(asyncio.wait_for(run(messages, agent_messages=transport), 30)) == "completed"
        return {name: store.counts[name] for name in ("reads", "writes", "records")}

    return counted


def test_messages_in_one_process_are_written_as_answers_of_models_and_nothing_else(count: Count) -> None:
    alone = count(0, "memory")
    for messages in (1, 6):
        answers = messages + 1
        writes, records = alone["writes"] + answers, alone["records"] + answers
        assert count(messages, "memory") == {"reads": alone["reads"], "writes": writes, "records": records}


def test_queue_costs_nothing_where_no_message_is_sent(count: Count) -> None:
    assert count(0, "queue") == count(0, "memory")


def test_each_message_through_the_queue_costs_so_much_and_no_more(count: Count) -> None:
    """Its run is created, begins, gets an answer and ends. Also docs/agent-messages.md says so."""
    few, many = count(2, "queue"), count(6, "queue")
    more = {name: (many[name] - few[name]) / 4 for name in few}
    at_most = {"reads": 8, "writes": 6, "records": 15}
    assert all(more[name] <= at_most[name] for name in more), more


@pytest.mark.parametrize(
    ("named", "together"), [({}, [10, 2]), ({"max_messages": 4}, [4])], ids=["all", "some are refused"]
)
def test_messages_of_a_batch_are_queued_together(
    named: dict[str, Any], together: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that workers that take five messages find five, and do not begin with what came first."""
    sent, send_runs = list[int](), LocalQueue.send_runs

    async def send(self: LocalQueue, run_ids: Any, *, owner: str) -> None:
        sent.append(len(run_ids))
        await send_runs(self, run_ids, owner=owner)

    monkeypatch.setattr(LocalQueue, "send_runs", send)
    playing = run(12, agent_messages="queue", store=f"sqlite:///{tmp_path}/agency.db", **named)
    assert asyncio.run(asyncio.wait_for(playing, 30)) == "completed"
    assert sent == together
