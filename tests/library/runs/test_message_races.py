"""A run that waits for other agents is woken, whatever they and others do at the same time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.messages import Message, MessageAnswer
from agency_lambda.runs import child_runs, message_rows
from agency_lambda.runs.child_runs import ChildRuns, MessageLimits
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import save_new
from agency_lambda.runs.transitions import RunEvent, State
from agency_lambda.runs.waiting import MessagesAnswered, WaitOver, wait_in_place
from agency_lambda.store import Store, StoreUnavailable, open_store
from tests.library.runs.interleavings import orders
from tests.library.runs.states import OWNER, Faulty, Service, new, stored

LIMITS = MessageLimits(most=10, depth=5, seconds=3600.0)


class Swarm:
    """A sender with an attempt at work, and child runs of it that work on a batch."""

    store: Store
    sender: RunRepository
    children: list[RunRepository]

    async def begin(self, store: Store, number: int) -> "Swarm":
        self.store, service = store, Service(store)
        run = await save_new(store, await new(store, background=True), [])
        sender = await service.take(run.id)
        assert sender
        self.sender = sender
        sent = ChildRuns(service, sender.run, HistoryCursor(), LIMITS)
        rows = [await sent.send(message(each), [], {}) for each in range(number)]
        taken = [await service.take(row["run"]) for row in rows]
        self.children = [each for each in taken if each]
        assert len(self.children) == number
        return self

    async def wait(self, store: Any) -> None:
        """What an attempt at the sender does when nothing else of it can go on."""
        attempt = RunRepository(store, self.sender.run)
        try:
            until = await attempt.agents_until()
            response = {**attempt.run.stored.response, "output": []}
            await attempt.wait(response, [], wait_in_place([], until), None)
        except WaitOver:
            await attempt.release(counts_as_attempt=False)

    async def end(self, store: Any, number: int) -> None:
        """What an attempt at a child run does at its end."""
        attempt = RunRepository(store, self.children[number].run)
        response = {**attempt.run.stored.response, "output": []}
        await attempt.end(RunEvent.COMPLETE, response, [], [], answer=MessageAnswer(output=f"answer {number}"))
        assert attempt.run.stored.sending
        wakes = message_rows.wakes(OWNER, attempt.run.stored.sending)
        await child_runs.wake_sender(Service(store), attempt.run.id, wakes)

    async def check(self) -> None:
        state, _, lease = await stored(self.store, self.sender.run.id)
        assert (state, lease and lease.cancelled) == (State.FREE, False)
        assert await self.store.query(message_rows.ENDED_PARTITION) == []
        assert await message_rows.open_messages(self.store, OWNER, self.sender.run.id) == []
        after = await Service(self.store).take(self.sender.run.id)
        assert after
        assert not after.lease.wake_pending


def message(number: int) -> Message:
    return Message(
        key=f"Boss/{number}",
        batch="model/1",
        number=number,
        sender="Boss",
        recipient="Helper",
        tool="send_message",
        arguments='{"recipient_agent": "Helper", "message": "Help.", "additional_instructions": ""}',
        call_id=f"call_{number}",
    )


def played(folder: Path, number: int, interruptions: int, *, waits: bool, dies_at: int = 0) -> int:
    """Let children end in all orders, beside their sender if it `waits` then; return how many orders there were."""

    async def whole() -> int:
        store = open_store(f"sqlite:///{folder}/agency.db")
        try:
            return await play(store, number, interruptions, waits=waits, dies_at=dies_at)
        finally:
            await store.aclose()

    return asyncio.run(whole())


async def play(store: Store, number: int, interruptions: int, *, waits: bool, dies_at: int = 0) -> int:
    count = 0
    async for order in orders(interruptions, dies_at):
        swarm = await Swarm().begin(store, number)
        if not waits:
            await swarm.wait(store)
        ends = [swarm.end(order.store(store, each), each) for each in range(number)]
        await order.play(*ends, *([swarm.wait(order.store(store, number))] if waits else []))
        if dies_at:
            if not order.died:
                continue
            child = swarm.children[0].run.id
            if (await stored(store, child))[0] != State.FINAL:  # another attempt ends it
                await swarm.end(store, 0)
            await child_runs.wake_senders(Service(store))
        await swarm.check()
        count += 1
    return count


def test_sender_whose_child_could_not_wake_it_is_woken_by_the_sweep(tmp_path: Path) -> None:
    async def whole() -> None:
        store = open_store(f"sqlite:///{tmp_path}/agency.db")
        swarm = await Swarm().begin(store, 1)
        await swarm.wait(store)
        with pytest.raises(StoreUnavailable):
            await swarm.end(Faulty(store, ["", "before"]), 0)
        assert (await stored(store, swarm.sender.run.id))[0] == State.WAITING
        await child_runs.wake_senders(Service(store))
        await swarm.check()
        await store.aclose()

    asyncio.run(whole())


def test_attempt_whose_messages_were_answered_before_it_waits_is_no_failed_one(tmp_path: Path) -> None:
    async def whole() -> None:
        store = open_store(f"sqlite:///{tmp_path}/agency.db")
        swarm = await Swarm().begin(store, 1)
        with pytest.raises(StoreUnavailable):  # the sender does not hear of it
            await swarm.end(Faulty(store, ["", "before"]), 0)
        with pytest.raises(MessagesAnswered):
            await swarm.sender.agents_until()
        await store.aclose()

    asyncio.run(whole())


def test_last_two_children_that_end_at_once_wake_their_sender(tmp_path: Path) -> None:
    assert played(tmp_path, 2, 4, waits=False) >= 50


def test_sender_that_begins_to_wait_while_its_children_end_goes_on(tmp_path: Path) -> None:
    assert played(tmp_path, 1, 3, waits=True) >= 50
    assert played(tmp_path, 2, 1, waits=True) >= 30


def test_sender_of_a_child_that_dies_at_any_moment_of_its_end_goes_on(tmp_path: Path) -> None:
    died = 0
    while played(tmp_path, 2, 1, waits=True, dies_at=died + 1):
        died += 1
    assert died >= 5
