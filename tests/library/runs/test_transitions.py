"""The table of a run's states: every row of it, and a walk through it with crashes and conflicts at every write."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, get_args
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agency_lambda.errors import NotFound, ServiceError, StoreUnavailable
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import HistoryCursor, load_turns
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.deletion import delete_run, purge
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import (
    Lease,
    Run,
    StoredRequest,
    StoredResponse,
    response_partition,
)
from agency_lambda.runs.outcome import HandedOver
from agency_lambda.runs.repository import OutcomeUncertain, RunRepository, load_run, save_new
from agency_lambda.runs.run_index import entry_key, index_partition
from agency_lambda.runs.transitions import STOPS, TABLE, NotAllowed, RunEvent, State, Stop, find, lease_state
from agency_lambda.runs.waiting import ApprovalPolicy, wait_in_continuation, wait_in_place
from agency_lambda.store import ABSENT, Change, Conflict, NotWritten, Put, Store, open_store

OWNER, CONVERSATION = "owner", "conv_1"
POLICY = ApprovalPolicy("agency", "both", 3600.0)
REQUEST = ApprovalRequest(key="Clerk/1", agent="Clerk", name="refund", arguments="{}")
ENDS = (RunEvent.COMPLETE, RunEvent.CUT_SHORT, RunEvent.FAIL, RunEvent.END_CANCELLED, RunEvent.GIVE_UP)


class Crash(BaseException):
    """The process ends here."""


async def new(store: Store, *, background: bool, conversation_id: str | None = None) -> Run:
    """A run that is not stored yet."""
    run_id, conversation, cursor = new_id("resp"), None, HistoryCursor()
    cursor = cursor.branch(f"{OWNER}/log/{run_id}")
    if conversation_id:
        conversation = await Conversations(store, OWNER).load_to_extend(conversation_id, create=True)
        cursor = conversation.end
    response = {"id": run_id, "status": "", "background": background, "output": [], "error": None}
    response |= dict.fromkeys(("model", "created_at", "completed_at", "incomplete_details", "usage"))
    said = [{"type": "message", "id": run_id}]
    asked = StoredRequest({"background": background}, said, cursor.as_json, conversation_id)
    lease = Lease(run_id, OWNER, "", 0.0, 0, time.time())
    return Run(OWNER, StoredResponse(response, asked), cursor, lease, conversation)


async def stored(store: Store, run_id: str) -> tuple[State, dict[str, Any] | None, Lease | None]:
    """How a run lies in the store."""
    record = await store.get(response_partition(OWNER, run_id), "response")
    response = record.body["response"] if record and record.body else None
    lease = await Leases(store).find(run_id)
    if response is None:
        return (State.DELETED if lease else State.ABSENT), None, lease
    is_final = response["status"] in FINAL
    assert is_final == (lease is None or lease.dead), f"{run_id}: {response['status']} with {lease}"
    return lease_state(lease), response, lease


async def entry_status(store: Store, run_id: str) -> str | None:
    """What the index of runs says of it; None for no entry."""
    key = entry_key(run_id)
    assert key
    record = await store.get(index_partition(OWNER), key)
    return record and record.body["status"]


async def check_entry(store: Store, run_id: str) -> None:
    """A run has an entry if and only if it has a response, and the same status when it is final."""
    _, response, _ = await stored(store, run_id)
    status = await entry_status(store, run_id)
    if response and response["status"] in FINAL:
        assert status == response["status"]
    elif response:
        assert status in (response["status"], "queued" if response["background"] else "in_progress")
    else:
        assert status is None


async def expire(store: Store, run_id: str) -> None:
    lease = await Leases(store).find(run_id)
    if lease and not lease.dead:
        with suppress(Conflict):
            await store.write(lease.put(until=1.0))


async def take(store: Store, run_id: str, holder: str) -> RunRepository | None:
    """What `RunService.resume` does."""
    if (lease := await Leases(store).take(run_id, holder)) is None:
        return None
    try:
        run = await load_run(store, OWNER, run_id, lease)
    except NotFound:
        await purge(store, OWNER, run_id, lease)
        return None
    repository = RunRepository(store, run)
    if run.waits_for_conversation and not lease.cancelled:
        await repository.release(counts_as_attempt=False)
        return None
    return repository


async def end(attempt: RunRepository, event: RunEvent) -> None:
    """What `Attempt` does at its end."""
    appends = TABLE[State.HELD, event].conversation == "append"
    if appends and attempt.run.waits_for_conversation:  # only a cancelled run is taken before its turn
        event, appends = RunEvent.END_CANCELLED, False
    response = {**attempt.run.stored.response, "output": []}
    try:
        await attempt.end(event, response, [{"id": attempt.run.id}] if appends else None, [])
    except NotFound:
        await attempt.end(RunEvent.FAIL, response, None, [])


async def wait(attempt: RunRepository) -> None:
    approvals = await attempt.open_approvals([REQUEST], POLICY)
    await attempt.wait({**attempt.run.stored.response, "output": []}, [], wait_in_place(approvals), None)


async def ask(attempt: RunRepository) -> str:
    """End a response with an open approval, and return the id of the run that continues it."""
    approvals = await attempt.open_approvals([REQUEST], POLICY)
    response = {**attempt.run.stored.response, "output": [], "usage": {}}
    make = partial(wait_in_continuation, approvals=approvals, by_model={}, response=response)
    await attempt.end(RunEvent.ASK, response, [{"id": attempt.run.id}], [], asked=make)
    assert attempt.run.stored.continued_by
    return attempt.run.stored.continued_by


# Every row


async def bring(store: Store, state: State) -> tuple[str, RunRepository | None]:
    """A run in this state, and the attempt that has it or had it."""
    run = await save_new(store, await new(store, background=state == State.FREE), [])
    attempt = RunRepository(store, run)
    if state == State.FINAL:
        await end(attempt, RunEvent.COMPLETE)
    if state == State.GIVEN_UP:
        await end(attempt, RunEvent.GIVE_UP)
    if state == State.WAITING:
        await wait(attempt)
    if state == State.DELETED:
        with pytest.raises(Crash):
            await delete_run(Faulty(store, ["crash after"]), OWNER, run.id)
    return run.id, attempt


async def cause(store: Store, run_id: str, attempt: RunRepository | None, event: RunEvent) -> None:
    assert attempt
    match event:
        case RunEvent.START:
            await attempt.start()
        case RunEvent.HEARTBEAT:
            await attempt.heartbeat([], {})
        case RunEvent.RELEASE:
            await attempt.release()
        case RunEvent.REQUEUE:
            (lease,) = await Leases(store).all()
            assert await Leases(store).requeued(lease)
        case RunEvent.CANCEL:
            assert await Leases(store).cancel(run_id)
        case RunEvent.DELETE:
            is_final = (await stored(store, run_id))[0] == State.FINAL
            with suppress(Crash):  # before the rest of an unfinished run is removed
                await delete_run(Faulty(store, [] if is_final else ["crash after"]), OWNER, run_id)
        case RunEvent.TAKE | RunEvent.PURGE:
            await take(store, run_id, "other")
        case RunEvent.WAIT:
            await wait(attempt)
        case RunEvent.WAIT_FOR_TURN:
            await attempt.wait_for_turn(time.time() + 60, int(time.time()) + 600)
        case RunEvent.WAKE:
            assert await Leases(store).wake(run_id)
        case RunEvent.ASK:
            await ask(attempt)
        case _:
            await end(attempt, event)


@pytest.mark.parametrize(("state", "event"), [key for key in TABLE if key[0] != State.ABSENT])
def test_row_of_the_table_is_what_is_stored(state: State, event: RunEvent) -> None:
    async def play(store: Store) -> None:
        run_id, attempt = await bring(store, state)
        row = TABLE[state, event]
        if row.overdue:
            lease = await Leases(store).find(run_id)
            assert lease
            with pytest.raises(NotAllowed):
                find(state, event, lease)
            await expire(store, run_id)
        assert (await stored(store, run_id))[0] == state
        await cause(store, run_id, attempt, event)
        after, response, _ = await stored(store, run_id)
        assert after == row.to
        assert response is None or not row.status or response["status"] == row.status
        await check_entry(store, run_id)

    on_store(play)


@pytest.mark.parametrize("background", [True, False])
def test_new_run_is_free_or_held(background: bool) -> None:
    async def play(store: Store) -> None:
        run = await save_new(store, await new(store, background=background), [])
        row = TABLE[State.ABSENT, RunEvent.ENQUEUE if background else RunEvent.CREATE]
        state, response, _ = await stored(store, run.id)
        assert response
        assert (state, response["status"]) == (row.to, row.status)
        assert await entry_status(store, run.id) == row.status

    on_store(play)


def test_write_that_certainly_did_not_happen_leaves_nothing_uncertain() -> None:
    async def play(store: Store) -> None:
        async def full(*changes: Change) -> None:
            raise NotWritten("The disk is full.")

        with patch.object(store, "write", full), pytest.raises(StoreUnavailable):
            await save_new(store, await new(store, background=True), [])

    on_store(play)


@pytest.mark.parametrize("event", [RunEvent.END_CANCELLED, RunEvent.FAIL])
def test_runs_that_end_at_once_in_one_conversation_all_end(event: RunEvent) -> None:
    async def play(store: Store) -> None:
        attempts = list[RunRepository]()
        for number in range(40):
            run = await new(store, background=True, conversation_id=CONVERSATION)
            await save_new(store, run, [])
            await Leases(store).cancel(run.id)
            attempt = await take(store, run.id, f"attempt {number}")
            assert attempt
            attempts.append(attempt)
        await asyncio.gather(*(end(attempt, event) for attempt in attempts))
        assert {(await stored(store, attempt.run.id))[0] for attempt in attempts} == {State.FINAL}

    on_store(play)


def test_every_reason_to_stop_is_in_the_table() -> None:
    assert set(STOPS) == set(get_args(Stop))


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("reason", STOPS)
def test_attempt_that_stops_writes_what_the_table_says(reason: Stop, durable: bool) -> None:
    async def play(store: Store) -> None:
        run = await save_new(store, await new(store, background=False), [])
        log, repository = EventLog(run.id, records_events=False), RunRepository(store, run)
        attempt = Attempt(run.stored.response, log, repository, durable=durable, stopped=reason)
        with suppress(ServiceError, OutcomeUncertain, HandedOver, asyncio.CancelledError):
            await attempt.execute()
        event = STOPS[reason][not durable]
        state, response, _ = await stored(store, run.id)
        assert response
        assert state == (TABLE[State.HELD, event].to if event else State.HELD)
        assert response["status"] == ((event and TABLE[State.HELD, event].status) or "in_progress")

    on_store(play)


def on_store(play: Callable[[Store], Awaitable[None]]) -> None:
    async def whole(folder: str) -> None:
        store = open_store(f"sqlite:///{folder}/runs.db")
        try:
            await play(store)
        finally:
            await store.aclose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(whole(folder))


# A walk


class Faulty:
    """A store whose next writes fail: "before" or "after" they take effect, by a "crash", or by a conflicting write."""

    def __init__(self, store: Store, faults: list[str], conflict: Callable[[], Awaitable[Any]] | None = None) -> None:
        self._store, self._faults, self._conflict = store, faults, conflict
        self.get, self.query = store.get, store.query

    async def write(self, *changes: Any) -> None:
        fault = self._faults.pop(0) if self._faults else ""
        if fault == "conflict" and self._conflict:
            await self._conflict()
        if fault == "crash before":
            raise Crash
        if fault == "before":
            raise StoreUnavailable("The store is away.")
        await self._store.write(*changes)
        if fault == "crash after":
            raise Crash
        if fault == "after":
            raise StoreUnavailable("Nobody knows whether it was written.")

    async def aclose(self) -> None: ...


FAULT = st.sampled_from(["", "before", "after", "crash before", "crash after", "conflict"])
FAULTS = st.just([""]) | st.lists(FAULT, min_size=1, max_size=3)
WHICH = st.integers(0, 5)
PAIRS = {(state, row.to) for (state, _), row in TABLE.items()}


class Transitions(RuleBasedStateMachine):
    """Attempts at some runs of one conversation and of none, by processes that crash and overtake each other."""

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.folder = asyncio.Runner(), tempfile.TemporaryDirectory()
        self.store = open_store(f"sqlite:///{self.folder.name}/runs.db")
        self.plain, self.runs = self.store.write, list[str]()
        self.attempts: list[RunRepository] = []
        self.finals: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()
        self.crashed: set[str] = set()  # what their attempts wrote after a deletion is left until it expires
        self.talking: set[str] = set()
        self.store.write = self.checked  # type: ignore[method-assign]

    async def checked(self, *changes: Any) -> None:
        """Write, and see that each run has gone as a row of the table says."""
        before = {run: (await stored(self.store, run))[0] for run in self.runs}
        await self.plain(*changes)
        for run, state in before.items():
            after = (await stored(self.store, run))[0]
            assert after == state or (state, after) in PAIRS, (run, state, after)
            await check_entry(self.store, run)

    def do(self, work: Callable[[Store], Awaitable[Any]], faults: list[str], which: int = 0) -> Any:
        """Let a process do something, until it ends or crashes."""

        async def whole() -> Any:
            faulty = Faulty(self.store, faults, lambda: self.interfere(which))
            with suppress(StoreUnavailable, OutcomeUncertain, NotFound, Conflict):
                return await work(faulty)
            return None

        with suppress(Crash):
            return self.runner.run(whole())

    async def interfere(self, which: int) -> None:
        """Another process is faster."""
        conversations = Conversations(self.store, OWNER)
        if which % 3 == 0 and self.runs:
            await Leases(self.store).cancel(self.runs[which % len(self.runs)])
        elif which % 3 == 1 and self.runs:
            await expire(self.store, self.runs[which % len(self.runs)])
            await Leases(self.store).take(self.runs[which % len(self.runs)], "interferer")
        else:
            with suppress(NotFound):
                await conversations.update(CONVERSATION, {"n": str(time.time())})

    @initialize()
    def begin(self) -> None:
        async def create(store: Store) -> None:
            conversations = Conversations(store, OWNER)
            head = (await conversations.load_to_extend(CONVERSATION, create=True)).set_metadata({})
            await store.write(head)

        self.do(create, [])
        for background in (False, True, True):
            self.create(background, True, [], 0)

    @rule(background=st.booleans(), talks=st.booleans(), faults=FAULTS, which=WHICH)
    def create(self, background: bool, talks: bool, faults: list[str], which: int) -> None:
        async def create(store: Store) -> None:
            run = await new(store, background=background, conversation_id=CONVERSATION if talks else None)
            if talks and not background and run.conversation and run.conversation.active_run_id:
                return
            self.runs.append(run.id)
            self.talking |= {run.id} if talks else set()
            run = await save_new(store, run, [])
            if not background:
                self.attempts.append(RunRepository(store, run))

        self.do(create, faults, which)

    @rule(which=WHICH, late=st.booleans(), faults=FAULTS)
    def take(self, which: int, late: bool, faults: list[str]) -> None:
        async def work(store: Store) -> None:
            run_id = self.runs[which % len(self.runs)]
            if late:
                await expire(self.store, run_id)
            if attempt := await take(store, run_id, f"attempt {len(self.attempts)}"):
                self.attempts.append(attempt)

        self.do(work, faults, which)

    @rule(which=WHICH, late=st.booleans(), event=st.sampled_from(ENDS), faults=FAULTS)
    def work(self, which: int, late: bool, event: RunEvent, faults: list[str]) -> None:
        """A whole attempt: with faults at its last write, or at the one before."""

        async def whole(store: Store) -> None:
            run_id = self.runs[which % len(self.runs)]
            if late:
                await expire(self.store, run_id)
            if attempt := await take(self.store, run_id, "worker"):
                attempt._store, attempt._leases = store, Leases(store)
                self.attempts.append(attempt)
                await end(attempt, event)

        self.do(whole, faults, which)

    @rule(
        which=WHICH, event=st.sampled_from([RunEvent.START, RunEvent.HEARTBEAT, RunEvent.RELEASE, *ENDS]), faults=FAULTS
    )
    def go_on(self, which: int, event: RunEvent, faults: list[str]) -> None:
        if not self.attempts:
            return
        attempt = self.attempts[-1 - which % len(self.attempts)]

        async def work(store: Store) -> None:
            attempt._store, attempt._leases = store, Leases(store)
            try:
                await cause(store, attempt.run.id, attempt, event)
            except OutcomeUncertain:
                await attempt.purge_if_deleted()
                raise
            except Crash:
                self.attempts.remove(attempt)
                self.crashed.add(attempt.run.id)
                raise

        self.do(work, faults, which)

    @rule(which=WHICH)
    def write_journal(self, which: int) -> None:
        if self.attempts:
            partition = response_partition(OWNER, self.attempts[which % len(self.attempts)].run.id)
            self.do(lambda store: store.write(Put(partition, f"journal/{which}", {}, expected=ABSENT)), [])

    @rule(which=WHICH, faults=FAULTS)
    def cancel(self, which: int, faults: list[str]) -> None:
        self.do(lambda store: Leases(store).cancel(self.runs[which % len(self.runs)]), faults)

    @rule(which=WHICH, faults=FAULTS)
    def delete(self, which: int, faults: list[str]) -> None:
        run_id = self.runs[which % len(self.runs)]
        self.deleted.add(run_id)
        self.do(lambda store: delete_run(store, OWNER, run_id), faults, which)

    @rule(faults=FAULTS)
    def reap(self, faults: list[str]) -> None:
        async def work(store: Store) -> None:
            leases = Leases(store)
            for lease in await leases.all():
                await expire(self.store, lease.id)
                await leases.requeued(lease)

        self.do(work, faults)

    @invariant()
    def nothing_is_forgotten_and_ends_stay(self) -> None:
        self.runner.run(self.check())

    async def check(self) -> None:
        for run_id in self.runs:
            await check_entry(self.store, run_id)
            state, response, _ = await stored(self.store, run_id)  # no run without a lease that is not final
            if state in (State.FINAL, State.GIVEN_UP):
                assert response
                assert self.finals.setdefault(run_id, response) == response
            elif run_id in self.finals:
                assert run_id in self.deleted
        conversation = await Conversations(self.store, OWNER).get(CONVERSATION)
        turns = Counter(item["id"] for turn in await load_turns(self.store, conversation.end) for item in turn.items)
        answered = {run for run, final in self.finals.items() if final["status"] in ("completed", "incomplete")}
        assert turns == dict.fromkeys(answered & self.talking, 1)
        for run_id in (conversation.active_run_id, *conversation.waiting_run_ids):
            assert run_id is None or (await stored(self.store, run_id))[0] in (State.FREE, State.HELD), run_id

    def teardown(self) -> None:
        try:
            self.runner.run(self.finish())
        finally:
            self.runner.run(self.store.aclose())
            self.runner.close()
            self.folder.cleanup()

    async def finish(self) -> None:
        """Processes that live look at their leases; whoever finds an expired lease ends its run."""
        for attempt in self.attempts:
            with suppress(OutcomeUncertain, NotFound):
                attempt._store, attempt._leases = self.store, Leases(self.store)
                await attempt.heartbeat([], {})
            await attempt.purge_if_deleted()
        for _ in range(2 * len(self.runs)):
            for lease in await Leases(self.store).all():
                await expire(self.store, lease.id)
                if attempt := await take(self.store, lease.id, "the last"):
                    await end(attempt, RunEvent.COMPLETE)
        await self.check()
        assert [lease for lease in await Leases(self.store).all() if not lease.dead] == []
        assert (await Conversations(self.store, OWNER).get(CONVERSATION)).active_run_id is None
        for run_id in self.runs:
            state, _, lease = await stored(self.store, run_id)
            if state == State.ABSENT and run_id in self.deleted - self.crashed:
                assert lease is None
                assert [each.sort for each in await self.store.query(response_partition(OWNER, run_id))] == []


TestTransitions = Transitions.TestCase
TestTransitions.settings = settings(
    max_examples=40,
    phases=(Phase.generate,),  # shrinking a walk takes minutes
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
