"""A walk over a run and those that work on its messages: crashes and conflicts at every write, in any order."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from agency_lambda.errors import NotFound, StoreUnavailable
from agency_lambda.framework.interruptions import AttemptOver
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.protocol.messages import Message, MessageAnswer
from agency_lambda.runs import child_runs
from agency_lambda.runs.child_runs import ChildRuns, MessageLimits, wake_sender, wake_senders
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.message_rows import ENDED_PARTITION, open_messages, wakes
from agency_lambda.runs.model import DUE_PARTITION, response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import OutcomeUncertain, save_new
from agency_lambda.runs.transitions import RunEvent, State
from agency_lambda.runs.waiting import WaitOver, wait_in_place
from agency_lambda.runs.worker import reap_expired
from agency_lambda.store import Conflict
from tests.library.runs.states import OWNER, Crash, Faulty, Service, StoreWalk, end, expire, new, stored

BATCHES = ({"a", "b"}, {"c"}, {"d", "e"})  # the keys of the root's messages
LIMITS = MessageLimits(most=100, depth=5, seconds=600.0)
FAULT = st.sampled_from(["before", "after", "crash before", "crash after", "conflict"])
GOOD = st.sampled_from([0, 0, 0, 1, 1, 2, 4])  # writes before the one with a fault
FAULTS = st.just([""]) | st.builds(lambda good, fault: [*[""] * good, fault], GOOD, FAULT)
WHICH = st.integers(0, 6)
CHILD_ENDS = (RunEvent.COMPLETE, RunEvent.FAIL, RunEvent.END_CANCELLED, RunEvent.GIVE_UP, RunEvent.RELEASE)


class Walk(StoreWalk):
    """Attempts at one root, and at its child runs, by processes that crash and overtake each other."""

    def __init__(self) -> None:
        super().__init__()
        self.root = ""
        self.told: dict[str, str] = {}  # a message's row -> what its sender was told
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(child_runs, "execute_until_final", self.end_free)

    @initialize()
    def begin(self) -> None:
        self.root = self.runner.run(self._begin())
        self.go_on_with_root([], 0)

    async def _begin(self) -> str:
        return (await save_new(self.store, await new(self.store, background=True), [])).id

    def do(self, work: Callable[[Service], Awaitable[Any]], faults: list[str], which: int = 0) -> None:
        async def whole() -> None:
            service = Service(Faulty(self.store, [*faults], lambda: self.interfere(which)))
            with suppress(StoreUnavailable, OutcomeUncertain, NotFound, Conflict, AttemptOver):
                await work(service)

        with suppress(Crash):
            self.runner.run(whole())

    async def interfere(self, which: int) -> None:
        """Another process is faster."""
        runs = [self.root, *await self.children()]
        run_id = runs[which % len(runs)]
        if which % 3 == 0:
            await Leases(self.store).cancel(run_id)
        elif which % 3 == 1:
            await expire(self.store, run_id)
            await self.work_on(Service(self.store), run_id, RunEvent.COMPLETE)
        else:
            await wake_senders(Service(self.store))

    async def rows(self) -> dict[str, dict[str, Any]]:
        partition = response_partition(OWNER, self.root)
        found = await self.store.query(partition, after="journal/message/", before="journal/message0")
        return {record.sort.removeprefix("journal/message/"): record.body for record in found}

    async def children(self) -> list[str]:
        return [body["run"] for body in (await self.rows()).values()]

    async def work_on(self, service: Service, run_id: str, event: RunEvent) -> None:
        attempt = await Service(self.store).take(run_id)
        if attempt is None:
            return
        attempt._store, attempt._leases = service.store, Leases(service.store)  # what it writes from now on may fail
        await (self.go_on(service, attempt) if run_id == self.root else self.end_child(service, attempt, event))

    async def go_on(self, service: Service, attempt: RunRepository) -> None:
        """What an attempt at the root does: it sends, and waits for, one batch after the other."""
        rows, children = await self.rows(), ChildRuns(service, attempt.run, HistoryCursor(), LIMITS)
        if attempt.lease.cancelled:
            await children.end()
            await end(attempt, RunEvent.END_CANCELLED)
            return
        for batch in BATCHES:
            for key in sorted(batch - rows.keys()):
                message = Message(
                    **{"key": key, "batch": str(sorted(batch)), "number": 0, "sender": "Boss", "recipient": "Clerk"},
                    **{"tool": "send_message", "arguments": "{}", "call_id": key},
                )
                await children.send(message, [], {})
            if not all("output" in rows.get(key, {}) for key in batch):
                return await self.wait(service, attempt)
        await children.end()
        await end(attempt, RunEvent.COMPLETE)

    async def wait(self, service: Service, attempt: RunRepository) -> None:
        try:
            until = await attempt.agents_until()
            await attempt.wait({**attempt.run.stored.response, "output": []}, [], wait_in_place([], until), None)
        except WaitOver:
            if attempt.lease.cancelled:
                await end(attempt, RunEvent.END_CANCELLED)
                return
            await attempt.release(counts_as_attempt=False)
            await service.send(self.root, owner=OWNER)

    async def end_free(self, service: Service, owner: str, run_ids: list[str]) -> None:
        """What the end of a root does with child runs that nobody works on; it does not wait for the others here."""
        for run_id in run_ids:
            if (attempt := await service.take(run_id)) is not None:
                await self.end_child(service, attempt, RunEvent.END_CANCELLED)

    async def end_child(self, service: Service, attempt: RunRepository, event: RunEvent) -> None:
        if event == RunEvent.RELEASE:
            await attempt.release()
            return
        if attempt.lease.cancelled:
            event = RunEvent.END_CANCELLED
        sending, response = attempt.run.stored.sending, {**attempt.run.stored.response, "output": []}
        assert sending
        answer = MessageAnswer(output=f"re {sending.message.key}") if event == RunEvent.COMPLETE else None
        error = {"message": "it failed"} if event in (RunEvent.FAIL, RunEvent.GIVE_UP) else None
        await attempt.end(event, {**response, "error": error}, None, [], answer=answer)
        await wake_sender(service, attempt.run.id, wakes(OWNER, sending))

    @rule(which=WHICH, late=st.booleans(), event=st.sampled_from(CHILD_ENDS), faults=FAULTS)
    def work(self, which: int, late: bool, event: RunEvent, faults: list[str]) -> None:
        async def whole(service: Service) -> None:
            runs = [each.body["run"] for each in await open_messages(self.store, OWNER, self.root)]
            if not runs:
                return await self.work_on(service, self.root, event)
            run_id = runs[which % len(runs)]
            if late:
                await expire(self.store, run_id)
            await self.work_on(service, run_id, event)

        self.do(whole, faults, which)

    @rule(faults=FAULTS, which=WHICH)
    def go_on_with_root(self, faults: list[str], which: int) -> None:
        self.do(lambda service: self.work_on(service, self.root, RunEvent.COMPLETE), faults, which)

    @rule(which=st.integers(0, 12), faults=FAULTS)
    def cancel(self, which: int, faults: list[str]) -> None:
        async def whole(service: Service) -> None:
            runs = await self.children()
            if which < len(runs):
                await service.leases.cancel(runs[which])
            elif which == 12:
                await service.leases.cancel(self.root)

        self.do(whole, faults, which)

    @rule(faults=FAULTS, which=WHICH, event=st.sampled_from(CHILD_ENDS))
    def sweep_and_work(self, faults: list[str], which: int, event: RunEvent) -> None:
        self.do(self._sweep, faults)
        self.work(which, False, event, faults)

    async def _sweep(self, service: Service) -> None:
        await reap_expired(service)
        await wake_senders(service)

    @invariant()
    def check(self) -> None:
        if self.root:
            self.runner.run(self._check())

    async def _check(self) -> None:
        """Nothing is told twice; whoever waits has somebody who wakes it."""
        rows = await self.rows()
        for key, body in rows.items():
            if "output" in body:
                assert self.told.setdefault(key, body["output"]) == body["output"]
        assert len(await self.children()) == len(set(await self.children()))
        opened = {each.body["run"] for each in await open_messages(self.store, OWNER, self.root)}
        assert opened == {body["run"] for body in rows.values() if "output" not in body}
        for run_id in opened:
            assert (await stored(self.store, run_id))[0] in (State.FREE, State.HELD, State.WAITING)
        if (await stored(self.store, self.root))[0] == State.WAITING:
            assert opened or await self.store.query(ENDED_PARTITION)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.patch.undo()

    async def finish(self) -> None:
        """Workers that do not crash work on what the sweep finds, and on nothing else."""
        if not self.root:
            return
        for _ in range(30):
            for lease in await Leases(self.store).all():
                await expire(self.store, lease.id)
            service = Service(self.store)
            await self._sweep(service)
            for run_id in dict.fromkeys(service.messages.sent):
                await self.work_on(service, run_id, RunEvent.COMPLETE)
        await self._check()
        leases = [*await Leases(self.store).all(), *await Leases(self.store).waiting()]
        assert [lease for lease in leases if not lease.dead] == []
        for partition in (ENDED_PARTITION, DUE_PARTITION):
            assert await self.store.query(partition) == []
        _, response, _ = await stored(self.store, self.root)
        assert response
        if response["status"] == "completed":
            assert self.told.keys() == set().union(*BATCHES)
        else:
            assert response["status"] == "cancelled"


TestWalk = Walk.TestCase
TestWalk.settings = settings(
    max_examples=30,
    phases=(Phase.generate,),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
