"""A walk through the table of a run's states, with crashes and conflicts at every write, and persons who decide."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from agency_lambda.approvals.deciders import Client, Decider
from agency_lambda.approvals.model import Approval, decided_partition, pending_partition
from agency_lambda.budgets.accounts import spend_partition
from agency_lambda.budgets.running import RUNNING, RunCount
from agency_lambda.errors import ApprovalDecided, InvalidRequest, NotFound, StoreUnavailable
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.loading import TurnCache, load_history
from agency_lambda.history.turns import load_turns
from agency_lambda.protocol.approvals import ApprovalRequest, Decision
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.answers import answer
from agency_lambda.runs.decisions import decide
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import DUE_PARTITION, StoredResponse, response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import OutcomeUncertain, save_new
from agency_lambda.runs.transitions import TABLE, RunEvent, State
from agency_lambda.runs.worker import reap_expired
from agency_lambda.store import ABSENT, Conflict, Put
from tests.library.runs.states import (
    CONVERSATION,
    OWNER,
    Crash,
    Faulty,
    Service,
    StoreWalk,
    check_entry,
    end,
    expire,
    new,
    stored,
    wait_or_ask,
)

ENDS = (RunEvent.COMPLETE, RunEvent.CUT_SHORT, RunEvent.FAIL, RunEvent.END_CANCELLED, RunEvent.GIVE_UP)
FAULT = st.sampled_from(["", "before", "after", "crash before", "crash after", "conflict"])
FAULTS = st.just([""]) | st.lists(FAULT, min_size=1, max_size=3)
WHICH = st.integers(0, 6)
PAIRS = {(state, row.to) for (state, _), row in TABLE.items()}
UNFINISHED = (State.FREE, State.HELD, State.WAITING)
CALLS = 3  # of a run that need a person, each of which the run may ask for
DECIDERS = [Decider(OWNER, "owner"), Decider("operator", "operator")]


class Walk(StoreWalk):
    """Attempts at some runs of one conversation and of none, by processes that crash and overtake each other."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.runs = self.store.write, list[str]()
        self.attempts: list[RunRepository] = []
        self.finals: dict[str, dict[str, Any]] = {}
        self.decided: dict[str, dict[str, Any]] = {}  # the records of decisions
        self.read: list[Approval] = []  # as somebody has read them, who decides later
        self.won = Counter[str]()  # decisions that counted
        self.queued: list[str] = []  # in the conversation
        self.deleted: set[str] = set()
        self.crashed: set[str] = set()  # what their attempts wrote after a deletion is left until it expires
        self.talking: set[str] = set()
        self.store.write = self.checked  # type: ignore[method-assign]

    async def checked(self, *changes: Any) -> None:
        """Write, and see that each run has gone as a row of the table says."""
        before = {run: (await stored(self.store, run))[0] for run in self.runs}
        await self.plain(*changes)
        for run, state in before.items():
            after, response, _ = await stored(self.store, run)
            assert after == state or (state, after) in PAIRS, (run, state, after)
            await check_entry(self.store, run)
            if response and (other := await self.continued_by(run)) and other not in self.runs:
                self.runs.append(other)
                self.talking |= {other} if run in self.talking else set()

    async def continued_by(self, run_id: str) -> str | None:
        found = await self.kept(run_id)
        return found and found.continued_by

    async def kept(self, run_id: str) -> StoredResponse | None:
        record = await self.store.get(response_partition(OWNER, run_id), "response")
        return StoredResponse.from_record(record) if record and record.body else None

    def do(self, work: Callable[[Service], Awaitable[Any]], faults: list[str], which: int = 0) -> Any:
        """Let a process do something, until it ends or crashes."""

        async def whole() -> Any:
            service = Service(Faulty(self.store, faults, lambda: self.interfere(which)))
            with suppress(StoreUnavailable, OutcomeUncertain, NotFound, Conflict, ApprovalDecided):
                return await work(service)
            return None

        with suppress(Crash):
            return self.runner.run(whole())

    async def interfere(self, which: int) -> None:
        """Another process is faster."""
        run_id, service = self.runs[which % len(self.runs)], Service(self.store)
        match which % 5:
            case 0:
                await service.cancel(OWNER, run_id)
            case 1:
                await expire(self.store, run_id)
                if (attempt := await service.take(run_id)) and which == 6:
                    await self.ask(attempt, 1)
            case 2 | 3:
                for approval in (await self.pending())[which % 2 :][:1]:
                    await self.decide_now(service, approval, DECIDERS[0])
            case _:
                with suppress(NotFound):
                    await Conversations(self.store, OWNER).update(CONVERSATION, {"n": str(time.time())})

    async def pending(self) -> list[Approval]:
        return [Approval.from_record(each) for each in await self.store.query(pending_partition(OWNER))]

    async def decide_now(self, service: Service, approval: Approval, decider: Decider) -> None:
        with suppress(ApprovalDecided):
            await decide(service, [(approval, Decision(approve=True))], decider)
            self.won[approval.id] += 1

    @initialize()
    def begin(self) -> None:
        async def create(service: Service) -> None:
            conversations = Conversations(service.store, OWNER)
            head = (await conversations.load_to_extend(CONVERSATION, create=True)).set_metadata({})
            await service.store.write(head)

        self.do(create, [])
        for background in (False, True, True):
            self.create(background, True, [], 0)

    @rule(background=st.booleans(), talks=st.booleans(), faults=FAULTS, which=WHICH)
    def create(self, background: bool, talks: bool, faults: list[str], which: int) -> None:
        async def create(service: Service) -> None:
            run = await new(service.store, background=background, conversation_id=CONVERSATION if talks else None)
            if talks and not background and run.conversation and run.conversation.active_run_id:
                return
            self.runs.append(run.id)
            self.talking |= {run.id} if talks else set()
            run = replace(run, stored=replace(run.stored, budget={"counted": True}))
            run = await save_new(service.store, run, [RunCount(service.store, OWNER, 10**6).begun()])
            if not background:
                self.attempts.append(RunRepository(service.store, run))

        self.do(create, faults, which)

    @rule(which=WHICH, late=st.booleans(), faults=FAULTS)
    def take(self, which: int, late: bool, faults: list[str]) -> None:
        async def work(service: Service) -> None:
            run_id = self.runs[which % len(self.runs)]
            if late:
                await expire(self.store, run_id)
            if attempt := await service.take(run_id):
                self.attempts.append(attempt)

        self.do(work, faults, which)

    @rule(which=WHICH, late=st.booleans(), event=st.sampled_from(ENDS), faults=FAULTS, gives_turn=st.booleans())
    def work(self, which: int, late: bool, event: RunEvent, faults: list[str], gives_turn: bool) -> None:
        """A whole attempt: with faults at its last write, or at the one before."""

        async def whole(service: Service) -> None:
            run_id = self.runs[which % len(self.runs)]
            if late:
                await expire(self.store, run_id)
            if attempt := await Service(self.store).take(run_id):
                self.attempts.append(through(attempt, service.store))
                next_run_id = await end(attempt, event)
                if next_run_id and gives_turn:
                    await service.give_turn(OWNER, next_run_id)

        self.do(whole, faults, which)

    @rule(which=WHICH, count=st.integers(1, CALLS), faults=FAULTS)
    def attempt_that_asks(self, which: int, count: int, faults: list[str]) -> None:
        """Take a run that can be taken: it waits for what is not decided yet, or completes."""

        async def whole(service: Service) -> None:
            for number in range(len(self.runs)):
                if attempt := await Service(self.store).take(self.runs[(which + number) % len(self.runs)]):
                    self.attempts.append(through(attempt, service.store))
                    return await self.ask(attempt, count)

        self.do(whole, faults, which)

    async def ask(self, attempt: RunRepository, count: int = CALLS) -> None:
        if attempt.run.lease is None:  # it has ended
            return
        partition = response_partition(OWNER, attempt.run.stored.root)
        rows = await self.store.query(partition, after="journal/decision/", before="journal/decision0")
        decided = {row.sort.removeprefix("journal/decision/") for row in rows}
        known = [each["key"] for each in attempt.run.stored.asked]
        keys = [key for key in dict.fromkeys([*known, *map(str, range(count))]) if key not in decided]
        await asyncio.sleep(0)
        if attempt.lease.cancelled or attempt.run.waits_for_conversation:
            await end(attempt, RunEvent.END_CANCELLED)
        elif keys:
            requests = [ApprovalRequest(key=key, agent="Clerk", name="pay", arguments="{}") for key in keys]
            await wait_or_ask(attempt, requests)
        else:
            await end(attempt, RunEvent.COMPLETE)

    @rule(
        which=WHICH,
        event=st.sampled_from([RunEvent.START, RunEvent.HEARTBEAT, RunEvent.RELEASE, RunEvent.WAIT, *ENDS]),
        faults=FAULTS,
    )
    def go_on(self, which: int, event: RunEvent, faults: list[str]) -> None:
        if not self.attempts:
            return
        attempt = self.attempts[-1 - which % len(self.attempts)]

        async def work(service: Service) -> None:
            through(attempt, service.store)
            try:
                match event:
                    case RunEvent.START:
                        lease = attempt.run.lease
                        await attempt.start(counts=lease is not None and lease.attempts_before_wait > 0)
                    case RunEvent.HEARTBEAT:
                        await attempt.heartbeat([], {})
                    case RunEvent.RELEASE:
                        await attempt.release()
                    case RunEvent.WAIT:
                        await self.ask(attempt)
                    case _:
                        await end(attempt, event)
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
            self.do(lambda service: service.store.write(Put(partition, f"journal/{which}", {}, expected=ABSENT)), [])

    @rule(which=WHICH, faults=FAULTS)
    def cancel(self, which: int, faults: list[str]) -> None:
        self.do(lambda service: service.cancel(OWNER, self.runs[which % len(self.runs)]), faults, which)

    @rule(which=WHICH, faults=FAULTS)
    def delete(self, which: int, faults: list[str]) -> None:
        run_id = self.runs[which % len(self.runs)]
        self.deleted.add(run_id)
        self.do(lambda service: service.delete(OWNER, run_id), faults, which)

    @rule(which=WHICH, event=st.sampled_from([*ENDS, None]), faults=FAULTS)
    def end_with_open_approvals(self, which: int, event: RunEvent | None, faults: list[str]) -> None:
        """A run that waits ends, though not all has been decided; event: None if it is deleted."""
        approvals = self.runner.run(self.pending())
        if not approvals:
            return
        run_id = approvals[which % len(approvals)].run

        async def whole(service: Service) -> None:
            if event is None:
                self.deleted.add(run_id)
                return await service.delete(OWNER, run_id)
            if event == RunEvent.END_CANCELLED:
                await Service(self.store).cancel(OWNER, run_id)
            else:
                await self.decide_now(Service(self.store), approvals[which % len(approvals)], DECIDERS[0])
            if attempt := await Service(self.store).take(run_id):
                self.attempts.append(through(attempt, service.store))
                await end(attempt, event)

        self.do(whole, faults, which)

    @rule()
    def read_approvals(self) -> None:
        self.read = self.runner.run(self.pending()) or self.read

    @rule(which=WHICH, late=st.booleans(), by=st.sampled_from(DECIDERS), faults=FAULTS)
    def decide(self, which: int, late: bool, by: Decider, faults: list[str]) -> None:
        approvals = self.read if late else self.runner.run(self.pending())
        if approvals:
            self.do(lambda service: self.decide_now(service, approvals[which % len(approvals)], by), faults, which)

    @rule(which=WHICH, count=st.integers(1, CALLS), faults=FAULTS)
    def decide_and_go_on(self, which: int, count: int, faults: list[str]) -> None:
        """One of its approvals is decided, and the run asks for the next, or for the others again, or ends."""
        approvals = self.runner.run(self.pending())
        if not approvals:
            return
        approval = approvals[which % len(approvals)]

        async def whole(service: Service) -> None:
            await self.decide_now(Service(self.store), approval, DECIDERS[which % 2])
            if attempt := await Service(self.store).take(approval.run):
                self.attempts.append(through(attempt, service.store))
                await self.ask(attempt, count)

        self.do(whole, faults, which)

    @rule(which=WHICH)
    def two_decide_at_once(self, which: int) -> None:
        approvals = self.runner.run(self.pending())
        if not approvals:
            return
        approval = approvals[which % len(approvals)]

        async def both(service: Service) -> None:
            await asyncio.gather(*(self.decide_now(service, approval, by) for by in DECIDERS))

        self.do(both, [])
        assert self.won[approval.id] == 1

    @rule(which=WHICH, background=st.booleans(), faults=FAULTS)
    def client_answers(self, which: int, background: bool, faults: list[str]) -> None:
        """As the stock client does, in whose request the run goes on."""
        approvals = self.runner.run(self.pending())
        if not approvals:
            return
        approval = approvals[which % len(approvals)]
        item = {"type": "mcp_approval_response", "approval_request_id": approval.id, "approve": True}
        fields = {"previous_response_id": approval.response_id, "model": "agency", "background": background}
        request = CreateResponse.model_validate({"input": [item], **fields})

        async def work(service: Service) -> None:
            with suppress(InvalidRequest):
                found = await answer(service, request, Client(OWNER), None)
                self.won[approval.id] += 1
                if not background and (attempt := await service.take(found.response["id"])):
                    self.attempts.append(attempt)

        self.do(work, faults, which)

    @rule(faults=FAULTS, which=WHICH, hours=st.sampled_from([0.02, 2]))
    def sweep(self, faults: list[str], which: int, hours: float) -> None:
        """A sweep, some time later: leases have expired, or what nobody has answered."""
        with later(hours):
            self.do(lambda service: reap_expired(service), faults, which)

    @invariant()
    def nothing_is_forgotten_and_ends_stay(self) -> None:
        self.runner.run(self.check())

    async def check(self) -> None:
        states = {run_id: (await stored(self.store, run_id))[:2] for run_id in self.runs}
        for run_id, (state, response) in states.items():
            await check_entry(self.store, run_id)
            if state in (State.FINAL, State.GIVEN_UP):
                assert response
                assert self.finals.setdefault(run_id, response) == response
            elif run_id in self.finals:
                assert run_id in self.deleted or state == State.ABSENT
        await self.check_waiting(states)
        await self.check_approvals(states)
        await self.check_conversation(states)
        kept = [await self.kept(run_id) for run_id in self.runs]
        counted = sum("counted" in (each.budget or {}) for each in kept if each)
        count = await self.store.get(spend_partition(OWNER), RUNNING)
        assert (count.body["runs"] if count else 0) == counted

    async def check_waiting(self, states: dict[str, Any]) -> None:
        """Each run that waits has one lease, which no sweep reads, and one entry by which its end is found."""
        leases = Leases(self.store)
        waiting, others = await leases.waiting(), await leases.all()
        found = [lease.id for lease in (*waiting, *others)]
        assert len(set(found)) == len(found)
        assert [each.sort for each in await self.store.query(DUE_PARTITION)] == sorted(each.due_key for each in waiting)
        assert {lease.id for lease in waiting} == {run for run, (state, _) in states.items() if state == State.WAITING}
        assert not [lease for lease in waiting if lease.cancelled or lease.wake_pending or lease.holder]

    async def check_approvals(self, states: dict[str, Any]) -> None:
        """Each is pending, and its run unfinished; or decided, for good, and what was decided in the journal."""
        pending = {each.id: each for each in await self.pending()}
        for record in await self.store.query(decided_partition(OWNER)):
            assert self.decided.setdefault(record.sort, record.body) == record.body
            partition = response_partition(OWNER, record.body["root"])
            content = await self.store.get(partition, f"journal/decision/{record.body['key']}")
            if await self.kept(record.body["root"]) and record.body["status"] != "withdrawn":
                assert content
                assert content.body["id"] == record.sort
        assert not pending.keys() & self.decided.keys()
        assert self.won.keys() <= self.decided.keys()
        assert set(self.won.values()) <= {1}
        for approval in pending.values():
            assert states[approval.run][0] in UNFINISHED, approval
            stored_run = await self.kept(approval.run)
            assert stored_run
            assert approval.id in [each["id"] for each in stored_run.asked]
        for run_id, (state, response) in states.items():
            if state == State.WAITING and response["status"] == "in_progress":  # not decided, or it would go on
                stored_run = await self.kept(run_id)
                assert stored_run
                assert stored_run.asked
                assert {each["id"] for each in stored_run.asked} <= pending.keys()
                assert await self.kept(stored_run.root), "it could not go on without its journal"

    async def check_conversation(self, states: dict[str, Any]) -> None:
        conversation = await Conversations(self.store, OWNER).get(CONVERSATION)
        turns = await load_turns(self.store, conversation.end)
        shown = Counter(turn.history[-1]["id"] for turn in turns)
        answered = {run for run, final in self.finals.items() if final["status"] in ("completed", "incomplete")}
        assert shown == dict.fromkeys(answered & self.talking, 1)
        with patch("agency_lambda.history.loading.restored", lambda items, *_: items):
            remembered = await load_history(self.store, conversation.end, TurnCache())
        assert sorted(each["id"] for each in remembered) == sorted(shown)
        queue = [run for run in (conversation.active_run_id, *conversation.waiting_run_ids) if run]
        for run_id in queue:
            assert states[run_id][0] in UNFINISHED, run_id
        unfinished = {run for run, (state, _) in states.items() if state in UNFINISHED}
        assert unfinished & self.talking == set(queue)
        before = [run for run in self.queued if run in queue]
        assert [run for run in queue if run in before] == before
        self.queued = queue

    async def finish(self) -> None:
        """Processes that live look at their leases; whoever finds an expired lease ends its run."""
        for attempt in self.attempts:
            with suppress(OutcomeUncertain, NotFound):
                await through(attempt, self.store).heartbeat([], {})
            await attempt.purge_if_deleted()
        service = Service(self.store)
        for number in range(3 * len(self.runs) + 5):
            with later(2 * number):
                await reap_expired(service)
            for lease in await Leases(self.store).all():
                await expire(self.store, lease.id)
                if attempt := await service.take(lease.id):  # type: ignore[assignment]
                    await self.ask(attempt)
        await self.check()
        assert [lease for lease in await Leases(self.store).all() if not lease.dead] == []
        assert await Leases(self.store).waiting() == []
        assert await self.pending() == []
        assert (await Conversations(self.store, OWNER).get(CONVERSATION)).active_run_id is None
        count = await self.store.get(spend_partition(OWNER), RUNNING)
        assert count is None or count.body["runs"] == 0
        for run_id in self.runs:
            state, _, lease = await stored(self.store, run_id)
            if state == State.ABSENT and run_id in self.deleted - self.crashed:
                assert lease is None
                left = await self.store.query(response_partition(OWNER, run_id))
                assert [each.sort for each in left if each.body is not None] == []  # or it was void from the beginning


def through(attempt: RunRepository, store: Any) -> RunRepository:
    """Let an attempt write into another store from now on."""
    attempt._store, attempt._leases = store, Leases(store)
    return attempt


@contextmanager
def later(hours: float) -> Iterator[None]:
    now = time.time
    with patch("time.time", lambda: now() + hours * 3600):
        yield


TestWalk = Walk.TestCase
TestWalk.settings = settings(
    max_examples=40,
    phases=(Phase.generate,),  # shrinking a walk takes minutes
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
