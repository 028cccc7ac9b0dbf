"""A fair share of the queue and of a worker's places for every owner."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.owner_digest import owner_digest
from agency_lambda.queue.local import LocalQueue
from agency_lambda.queue.messages import Delivery, Export, Message, load
from agency_lambda.queue.sqs import SQSQueue
from agency_lambda.runs import worker
from agency_lambda.runs.model import Lease
from agency_lambda.runs.places import Places
from agency_lambda.store import Put, open_store
from agency_lambda.testing.aws import sqs

OWNERS = ("ann", "bob", "cid")
type Step = str | None
"""An owner whose message is sent, or None: one is received."""


def run_of(owner: str, number: int) -> str:
    return f"resp_{owner}_{number}"


def owner_of(run: str) -> str:
    return run.split("_")[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*OWNERS, None]), max_size=60))
def test_owners_take_turns_and_each_ones_messages_keep_their_order(steps: list[Step]) -> None:
    queue, sent = LocalQueue(), Counter[str]()
    lines = defaultdict[str, list[str]](list)  # what is there, by owner
    passed = defaultdict[str, Counter[str]](Counter)  # owner -> how often others had a turn since it was its own

    def receive() -> None:
        received = queue.take()
        if received is None:
            assert not any(lines.values())
            return
        message, owner = received
        assert message == lines[owner].pop(0)
        passed.pop(owner, None)
        for other in lines:
            if other != owner and lines[other]:
                passed[other][owner] += 1
                assert passed[other][owner] <= 1, (steps, other)

    async def play() -> None:
        for step in [*steps, *[None] * len(steps)]:
            if step is None:
                receive()
                continue
            sent[step] += 1
            lines[step].append(run_of(step, sent[step]))
            await queue.send(lines[step][-1], owner=step)

    asyncio.run(play())
    assert queue.take() is None


def test_a_message_that_waits_is_there_once() -> None:
    async def play() -> list[Any]:
        queue = LocalQueue()
        for _ in range(3):
            await queue.send("resp_1", owner="ann")
        return [queue.take(), queue.take()]

    assert asyncio.run(play()) == [("resp_1", "ann"), None]


def test_a_delayed_message_comes_when_it_is_due_and_none_waits_for_it() -> None:
    async def play() -> list[Any]:
        queue = LocalQueue()
        await queue.send("resp_later", 0.1, owner="ann")
        await queue.send("resp_now", owner="ann")
        now = await asyncio.wait_for(queue.receive(), 0.05)
        assert queue.take() is None
        return [now, await asyncio.wait_for(queue.receive(), 5)]

    assert asyncio.run(play()) == [("resp_now", "ann"), ("resp_later", "ann")]


def test_owners_hold_10_of_12_places_and_exports_and_deliveries_need_none_of_them() -> None:
    places = Places()
    assert [places.take(f"resp_{number}", "ann") for number in range(11)] == [True] * 10 + [False]
    assert [places.take(f"resp_{number}", owner) for number, owner in enumerate(("bob", "cid", "dan"))] == [
        *(True, True),
        False,
    ]
    exports = [Export(run=f"resp_{number}", owner="ann", queued_at=0.0) for number in range(5)]
    assert [places.take(export, "ann") for export in exports] == [True] * 4 + [False]
    assert all(places.take(Delivery(id=f"evt_{number}", owner="ann"), "ann") for number in range(50))
    places.leave("resp_0", "ann")
    assert [places.take("resp_dan", "dan"), places.take("resp_ann", "ann")] == [True, False]


class Swarm:
    """A worker whose runs end when they are let. Nothing is in a store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queue, self.begun, self.at_work = LocalQueue(), list[Message](), list[Message]()
        self.most = Counter[str]()
        self._ends = defaultdict[Message, asyncio.Event](asyncio.Event)
        monkeypatch.setattr(worker, "_handle", self._handle)
        monkeypatch.setattr(worker, "_sweep_repeatedly", self._sweep)

    async def _handle(self, runs: object, message: Message, export: object) -> None:
        self.begun.append(message)
        self.at_work.append(message)
        for owner, held in Counter(owner_of(each) for each in self.at_work if isinstance(each, str)).items():
            self.most[owner] = max(self.most[owner], held)
        self.most["all"] = max(self.most["all"], sum(isinstance(each, str) for each in self.at_work))
        try:
            await self._ends[message].wait()
        finally:
            self.at_work.remove(message)
            del self._ends[message]

    async def _sweep(self, runs: object) -> None:
        await asyncio.Event().wait()

    async def end(self, message: Message) -> None:
        self._ends[message].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def play(self, scenario: Callable[[], Any]) -> None:
        async def served() -> None:
            serving = asyncio.create_task(worker.serve(None, self.queue, None))  # type: ignore[arg-type]
            try:
                await scenario()
            finally:
                serving.cancel()
                await asyncio.wait([serving])

        asyncio.run(asyncio.wait_for(served(), 20))


@pytest.fixture
def swarm(monkeypatch: pytest.MonkeyPatch) -> Swarm:
    return Swarm(monkeypatch)


def test_200_runs_of_an_owner_keep_nobody_elses_run_waiting(swarm: Swarm) -> None:
    async def scenario() -> None:
        for number in range(200):
            await swarm.queue.send(run_of("ann", number), owner="ann")
        await swarm.settle()
        assert swarm.begun == [run_of("ann", number) for number in range(10)]
        await swarm.queue.send("resp_bob_0", owner="bob")
        await swarm.settle()
        assert swarm.begun[-1] == "resp_bob_0"  # at once
        await swarm.queue.send("resp_cid_0", owner="cid")
        await swarm.queue.send("resp_cid_1", owner="cid")
        await swarm.settle()
        assert swarm.begun[-1] == "resp_cid_0"  # the last place
        await swarm.end("resp_ann_0")
        assert swarm.begun[-1] == "resp_ann_10"  # it is her turn
        await swarm.end("resp_ann_1")
        assert swarm.begun[-1] == "resp_cid_1"  # though 189 of ann's were sent before
        while swarm.at_work:
            await swarm.end(swarm.at_work[0])

    swarm.play(scenario)
    assert len(swarm.begun) == len(set(swarm.begun)) == 203
    assert swarm.most == {"ann": 10, "bob": 1, "cid": 2, "all": 12}


def test_runs_that_hold_all_places_delay_no_export_and_no_delivery(swarm: Swarm) -> None:
    export, delivery = Export(run="resp_1", owner="ann", queued_at=0.0), Delivery(id="evt_1", owner="ann")

    async def scenario() -> None:
        for owner in OWNERS:
            for number in range(10):
                await swarm.queue.send(run_of(owner, number), owner=owner)
        await swarm.settle()
        assert Counter(owner_of(str(each)) for each in swarm.begun) == dict.fromkeys(OWNERS, 4)
        await swarm.queue.send(export)
        await swarm.queue.send(delivery)
        await swarm.settle()
        assert {*swarm.begun[12:]} == {export, delivery}

    swarm.play(scenario)


def test_a_run_that_is_sent_while_it_is_worked_on_waits_behind_its_owners_others(swarm: Swarm) -> None:
    async def scenario() -> None:
        for number in range(11):
            await swarm.queue.send(run_of("ann", number), owner="ann")
        await swarm.settle()
        for _ in range(3):
            await swarm.queue.send("resp_ann_0", owner="ann")
        await swarm.end("resp_ann_0")
        assert (swarm.begun[-1], len(swarm.at_work)) == ("resp_ann_10", 10)
        await swarm.end("resp_ann_1")
        assert swarm.begun[-1] == "resp_ann_0"
        while swarm.at_work:
            await swarm.end(swarm.at_work[0])

    swarm.play(scenario)
    assert Counter(swarm.begun) == {run_of("ann", number): 1 + (number == 0) for number in range(11)}


def test_a_run_that_is_sent_again_and_again_holds_one_place(swarm: Swarm) -> None:
    async def scenario() -> None:
        for _ in range(5):
            await swarm.queue.send("resp_ann_0", owner="ann")
            await swarm.settle()
        for number in range(1, 11):
            await swarm.queue.send(run_of("ann", number), owner="ann")
        await swarm.settle()
        assert swarm.at_work == [run_of("ann", number) for number in range(10)]
        await swarm.end("resp_ann_0")
        await swarm.end("resp_ann_1")
        assert swarm.begun[10:] == ["resp_ann_10", "resp_ann_0"]

    swarm.play(scenario)


@pytest.fixture
def sqs_queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    with sqs() as (client, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield client, client.create_queue(QueueName="fair")["QueueUrl"]


@pytest.mark.parametrize(
    ("message", "owner", "group"),
    [
        ("resp_1", "ann", owner_digest("ann")),
        ("resp_1", "", None),
        (Export(run="resp_1", owner="bob", queued_at=0.0), "", owner_digest("bob")),
        (Delivery(id="evt_1", owner="bob"), "", owner_digest("bob")),
    ],
)
def test_sqs_is_told_whose_message_it_is_and_by_no_name(
    sqs_queue: tuple[Any, str], message: Message, owner: str, group: str | None
) -> None:
    client, url = sqs_queue

    async def send() -> None:
        queue = SQSQueue(url)
        await queue.send(message, owner=owner)
        await queue.aclose()

    asyncio.run(send())
    (received,) = client.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert received["Attributes"].get("MessageGroupId") == group
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert "FifoQueue" not in attributes


def test_sqs_takes_ten_runs_a_request_and_what_it_refuses_is_logged(
    sqs_queue: tuple[Any, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client, url = sqs_queue
    run_ids, requests = [run_of("ann", number) for number in range(12)], list[int]()
    queue = SQSQueue(url)
    send = queue._sqs.send_message_batch

    def send_batch(**request: Any) -> Any:
        requests.append(len(request["Entries"]))
        return {**send(**request), **({"Failed": [{}]} if len(requests) == 2 else {})}

    async def play() -> None:
        monkeypatch.setattr(queue._sqs, "send_message_batch", send_batch)
        await queue.send_runs(run_ids, owner="ann")
        await queue.aclose()

    asyncio.run(play())
    received = [
        each
        for _ in range(2)
        for each in client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    ]
    assert {load(each["Body"]) for each in received} == {*run_ids}
    assert {each["Attributes"]["MessageGroupId"] for each in received} == {owner_digest("ann")}
    assert requests == [10, 2]
    assert [record.getMessage() for record in caplog.records if "sweep" in record.getMessage()] == [
        "the queue did not take 1 of 2 runs: the sweep sends them"
    ]


def test_a_process_queues_at_once_what_the_one_before_it_had_queued(tmp_path: Path) -> None:
    store, queue, now = open_store(f"sqlite:///{tmp_path}/agency.db"), LocalQueue(), time.time()
    runs = SimpleNamespace(store=store, queue=queue)

    def lease(run_id: str, **fields: Any) -> Put:
        known = {"holder": "", "until": now + 300, "attempts": 1, "queued_at": now - 290, **fields}
        return Lease(run_id, "ann", **known).put()

    async def play() -> None:
        await store.write(lease("resp_1"), lease("resp_2", holder="a"), lease("resp_3", dead=True))
        await store.write(lease("resp_4", queued_at=now + 0.5))
        await worker._queue_free(runs)  # type: ignore[arg-type]
        assert await queue.receive(lambda message, owner: True) == ("resp_1", "ann")
        assert await asyncio.wait_for(queue.receive(lambda message, owner: True), 5) == ("resp_4", "ann")
        assert time.time() >= now + 0.5
        assert len(queue) == 0
        await store.aclose()

    asyncio.run(play())
