"""Deliveries from their announcement to their end: tried again, few at once, lost by nothing. The clock is moved."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.errors import StoreUnavailable
from agency_lambda.queue.local import LocalQueue
from agency_lambda.queue.messages import Delivery, dump, load
from agency_lambda.store import Store, open_store
from agency_lambda.webhooks import WebhookEvent, delivering
from agency_lambda.webhooks.announcements import Announcements
from agency_lambda.webhooks.delivering import Deliverer
from agency_lambda.webhooks.endpoints import save_endpoint
from agency_lambda.webhooks.model import (
    DUE,
    RETRIES,
    StoredDelivery,
    delete_endpoint,
    deliveries_partition,
    find_delivery,
)
from agency_lambda.webhooks.redelivery import redeliver
from tests.library.webhooks.receiver import Receiver, receiver

type Story = Callable[["Scene"], Awaitable[None]]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed, now = 0.0, time.time
        monkeypatch.setattr("time.time", lambda: now() + self.passed)


class Scene:
    """An owner whose webhook is the receiver, and a process that delivers."""

    def __init__(self, store: Store, hook: Receiver, clock: Clock) -> None:
        self.store, self.hook, self.clock = store, hook, clock
        self.announcements, self.deliverer = Announcements(store), Deliverer(store)

    async def announce(self, event: WebhookEvent = "response.completed", owner: str = "ann") -> StoredDelivery:
        delivery = await self.announcements.announce(owner, event, "resp_1")
        assert delivery
        await self.store.write(*delivery.new_changes())
        return delivery

    async def sweep(self) -> int:
        """Deliver what is due; returns how many."""
        due = await self.deliverer.due()
        await asyncio.gather(*map(self.deliverer.deliver, due))
        return len(due)

    async def find(self, delivery: StoredDelivery) -> StoredDelivery:
        found = await find_delivery(self.store, delivery.owner, delivery.id)
        assert found
        return found

    async def due_rows(self) -> int:
        return len(await self.store.query(DUE))

    async def pass_to_the_next(self, delivery: StoredDelivery) -> float:
        """Move the clock to the next attempt; returns the pause."""
        found = await self.find(delivery)
        assert found.next_attempt_at
        pause = found.next_attempt_at - time.time()
        self.clock.passed += max(pause, 0) + 2
        return pause


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


@pytest.fixture
def play(tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    clock = Clock(monkeypatch)

    def play_story(story: Story, url: str = f"sqlite:///{tmp_path}/agency.db") -> None:
        async def whole() -> None:
            store = open_store(url)
            try:
                for owner in ("ann", "bob"):
                    events = ["response.completed", "response.failed", "response.approval_required"]
                    await save_endpoint(store, owner, hook.url, events, rotates_secret=False)
                await story(Scene(store, hook, clock))
            finally:
                await store.aclose()

        asyncio.run(whole())

    return play_story


def test_receiver_that_fails_five_times_and_then_takes_it(play: Callable[..., None], hook: Receiver, url: str) -> None:
    async def story(scene: Scene) -> None:
        hook.answers = [500, 302, 404, 429, 503]
        delivery = await scene.announce()
        await scene.deliverer.deliver(delivery.message)
        pauses = []
        for attempts in range(1, 6):
            found = await scene.find(delivery)
            assert (found.status, found.attempts, found.last_status) == (
                "pending",
                attempts,
                [500, 302, 404, 429, 503][attempts - 1],
            )
            await scene.deliverer.deliver(delivery.message)  # a message that is doubled, or early
            assert (await scene.sweep(), len(hook.received)) == (0, attempts)
            pauses.append(await scene.pass_to_the_next(delivery))
            assert await scene.sweep() == 1
        found = await scene.find(delivery)
        assert (found.status, found.attempts, found.last_status, found.next_attempt_at) == ("delivered", 6, 200, None)
        assert [round(pause, -1) // 10 for pause in pauses[:2]] == [1, 4]
        assert pauses == sorted(pauses)
        assert hook.ids == [delivery.id] * 6
        assert len({body for *_, body in hook.received}) == 1
        assert await scene.due_rows() == 0

    play(story, url)


def test_delivery_that_fails_for_seventy_two_hours_has_failed_and_is_in_the_log(
    play: Callable[..., None], hook: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story(scene: Scene) -> None:
        hook.answers = [500] * 100
        delivery = await scene.announce()
        await scene.deliverer.deliver(delivery.message)
        while (await scene.find(delivery)).status == "pending":
            assert not capsys.readouterr().out
            assert await scene.pass_to_the_next(delivery) <= 6.7 * 3600
            await scene.sweep()
        found = await scene.find(delivery)
        assert (found.status, found.next_attempt_at, await scene.due_rows()) == ("failed", None, 0)
        assert found.last_attempt_at is not None
        assert RETRIES - 7 * 3600 < found.last_attempt_at - found.created_at <= RETRIES
        assert 10 < found.attempts < 25
        line = json.loads(capsys.readouterr().out)
        assert (line["event_id"], line["WebhookFailures"], line["webhook_failed"]) == (delivery.id, [1.0], "status 500")
        assert "ann" not in line.values()
        scene.clock.passed += 3600
        assert await scene.sweep() == 0

    play(story)


def test_message_that_is_lost_is_sent_by_the_sweep(play: Callable[..., None], hook: Receiver) -> None:
    async def story(scene: Scene) -> None:
        delivery = await scene.announce()
        assert await scene.sweep() == 0  # its message may be on its way
        scene.clock.passed += 10
        assert await scene.sweep() == 1
        assert (await scene.find(delivery)).status == "delivered"
        assert hook.ids == [delivery.id]

    play(story)


def test_attempt_that_nobody_notes_is_made_again_with_the_same_id(play: Callable[..., None], hook: Receiver) -> None:
    """A process that dies between the answer and the store."""

    async def story(scene: Scene) -> None:
        delivery, write = await scene.announce(), scene.store.write

        async def dying(*changes: Any) -> None:
            raise StoreUnavailable("gone")

        scene.store.write = dying  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await scene.deliverer.deliver(delivery.message)
        scene.store.write = write  # type: ignore[method-assign]
        scene.clock.passed += 10
        assert await scene.sweep() == 1
        assert (hook.ids, (await scene.find(delivery)).attempts) == ([delivery.id] * 2, 1)

    play(story)


def test_two_processes_at_once_note_one_attempt(play: Callable[..., None], hook: Receiver) -> None:
    async def story(scene: Scene) -> None:
        delivery, other = await scene.announce(), Deliverer(scene.store)
        await asyncio.gather(scene.deliverer.deliver(delivery.message), other.deliver(delivery.message))
        assert (await scene.find(delivery)).attempts == 1
        assert set(hook.ids) == {delivery.id}
        assert await scene.due_rows() == 0

    play(story)


def test_slow_receiver_delays_its_own_deliveries_alone(
    play: Callable[..., None], hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most = 0, 0  # of Ann's
    full, released = asyncio.Event(), asyncio.Event()

    async def story(scene: Scene) -> None:
        scene_of = {(delivery := await scene.announce(owner="ann")).id: delivery for _ in range(12)}
        theirs = [await scene.announce(owner="bob") for _ in range(3)]
        owners = {each.id: each.owner for each in (*scene_of.values(), *theirs)}

        async def post(target: Any, headers: dict[str, str], body: bytes) -> int:
            nonlocal at_once, most
            if owners[headers["webhook-id"]] == "ann":
                at_once += 1
                most = max(most, at_once)
                if most == 4:
                    full.set()
                await released.wait()
                await asyncio.sleep(1.1)
                at_once -= 1
            return 200

        monkeypatch.setattr(delivering, "post", post)
        monkeypatch.setattr(delivering, "_SLOW", 1.0)
        slow = [asyncio.create_task(scene.deliverer.deliver(each.message)) for each in scene_of.values()]
        await full.wait()
        await asyncio.gather(*(scene.deliverer.deliver(each.message) for each in theirs))
        assert {(await scene.find(each)).status for each in theirs} == {"delivered"}
        released.set()
        await asyncio.gather(*slow)
        found = [await scene.find(each) for each in scene_of.values()]
        assert most == 4
        assert sorted(each.status for each in found) == ["delivered"] * 4 + ["pending"] * 8
        waiting = [each for each in found if each.status == "pending"]
        assert {each.attempts for each in waiting} == {0}
        assert all(45 <= (each.next_attempt_at or 0) - time.time() <= 67 for each in waiting)

    play(story)


def test_webhook_that_is_deleted_or_takes_the_event_no_longer_gets_nothing(
    play: Callable[..., None], hook: Receiver
) -> None:
    async def story(scene: Scene) -> None:
        first, second = await scene.announce(), await scene.announce("response.failed")
        await save_endpoint(scene.store, "ann", hook.url, ["response.completed"], rotates_secret=False)
        await scene.deliverer.deliver(second.message)
        await scene.store.write(delete_endpoint("ann"))
        await scene.deliverer.deliver(first.message)
        assert (hook.received, await scene.due_rows()) == ([], 0)
        assert not await scene.store.query(deliveries_partition("ann"))
        await scene.deliverer.deliver(Delivery(id=first.id, owner="ann"))

    play(story)


def test_redelivery_has_the_same_id_and_begins_anew(play: Callable[..., None], hook: Receiver) -> None:
    class Queue:
        durable, sent = True, list[Any]()

        async def send(self, message: Any, delay: float = 0.0) -> None:
            self.sent.append(message)
            raise OSError("lost")

    async def story(scene: Scene) -> None:
        queue: Any = Queue()
        delivery = await scene.announce()
        await scene.deliverer.deliver(delivery.message)
        hook.answers = [500]
        for _ in range(2):  # the second time while it waits for its next attempt
            again = await redeliver(scene.store, queue, "ann", delivery.id)
            assert (again.status, again.attempts) == ("pending", 0)
            await scene.deliverer.deliver(queue.sent[-1])
            assert await scene.due_rows() == (1 if len(hook.received) == 2 else 0)
        assert hook.ids == [delivery.id] * 3
        again = await redeliver(scene.store, queue, "ann", delivery.id)
        scene.clock.passed += 10
        assert (await scene.sweep(), len(hook.received), await scene.due_rows()) == (1, 4, 0)

    play(story)


def test_redelivery_that_meets_the_end_of_an_attempt_is_written_over_it(
    play: Callable[..., None], hook: Receiver
) -> None:
    async def story(scene: Scene) -> None:
        delivery, get = await scene.announce(), scene.store.get
        queue: Any = LocalQueue()

        async def with_an_attempt_behind(partition: str, sort: str) -> Any:
            found = await get(partition, sort)
            if partition == deliveries_partition("ann"):
                scene.store.get = get  # type: ignore[method-assign]
                await scene.deliverer.deliver(delivery.message)
            return found

        scene.store.get = with_an_attempt_behind  # type: ignore[method-assign]
        await redeliver(scene.store, queue, "ann", delivery.id)
        assert (await scene.find(delivery)).status == "pending"
        await scene.deliverer.deliver((await queue.receive())[0])
        assert (hook.ids, await scene.due_rows()) == ([delivery.id] * 2, 0)

    play(story)


def test_owner_without_a_webhook_costs_one_read_in_ten_seconds(play: Callable[..., None]) -> None:
    async def story(scene: Scene) -> None:
        reads, get = list[str](), scene.store.get

        async def counting(partition: str, sort: str) -> Any:
            reads.append(partition)
            return await get(partition, sort)

        scene.store.get = counting  # type: ignore[method-assign]
        for _ in range(5):
            assert await scene.announcements.announce("eve", "response.completed", "resp_1") is None
        assert reads == ["eve/webhook"]
        scene.clock.passed += 11
        await scene.announcements.announce("eve", "response.completed", "resp_1")
        assert len(reads) == 2
        await save_endpoint(scene.store, "eve", "http://127.0.0.1/", ["response.completed"], rotates_secret=False)
        scene.announcements.forget("eve")
        assert await scene.announcements.announce("eve", "response.completed", "resp_1")
        assert await scene.announcements.announce("eve", "response.cancelled", "resp_1") is None

    play(story)


def test_store_that_cannot_be_read_loses_no_event(play: Callable[..., None], hook: Receiver) -> None:
    """What is announced in doubt is dropped by the worker, if nobody wants it."""

    async def story(scene: Scene) -> None:
        get = scene.store.get

        async def away(partition: str, sort: str) -> Any:
            raise StoreUnavailable("away")

        scene.store.get = away  # type: ignore[method-assign]
        wanted, unwanted = await scene.announce(), await scene.announce(owner="eve")
        scene.store.get = get  # type: ignore[method-assign]
        await scene.deliverer.deliver(wanted.message)
        await scene.deliverer.deliver(unwanted.message)
        assert (hook.ids, await scene.due_rows()) == ([wanted.id], 0)

    play(story)


def test_message_is_the_same_behind_a_queue() -> None:
    message = Delivery(id="evt_1", owner="ann")
    assert load(dump(message)) == message
