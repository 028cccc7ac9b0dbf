"""What another process does at any moment in which a run begins to wait, on each store."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import pytest

from agency_lambda.approvals.deciders import Decider
from agency_lambda.approvals.model import Approval, decided_partition, pending_partition
from agency_lambda.errors import ApprovalDecided
from agency_lambda.protocol.approvals import ApprovalRequest, Decision
from agency_lambda.runs.decisions import decide
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import save_new
from agency_lambda.runs.transitions import RunEvent, State
from agency_lambda.store import Store, open_store
from tests.library.runs.states import CONVERSATION, OWNER, Service, end, new, stored, wait, wait_or_ask

A, B, C = (ApprovalRequest(key=key, agent="Clerk", name="pay", arguments="{}") for key in "abc")
YES, NO = Decision(approve=True), Decision(approve=False, reason="No.")
ANN, EVE = Decider(OWNER, "owner"), Decider("eve", "operator")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    asyncio.run(store.aclose())


class Interleaved:
    """A store before whose call of this number somebody else does something."""

    def __init__(self, store: Store, number: int, other: Callable[[], Awaitable[Any]]) -> None:
        self._store, self._left, self._other = store, number, other

    def __getattr__(self, name: str) -> Any:
        async def called(*args: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                await self._other()
            return await getattr(self._store, name)(*args, **named)

        return called

    @property
    def is_over(self) -> bool:
        """Return whether the calls were fewer than its number."""
        return self._left > 0


async def every_moment(play: Callable[[int], Awaitable[Interleaved]]) -> int:
    """Return how many moments there are."""
    for number in count(1):
        if (await play(number)).is_over:
            return number - 1
    raise AssertionError


async def waiting(store: Store, *requests: ApprovalRequest, background: bool = True) -> str:
    """Return the run that waits; in the foreground it is the continuation."""
    service = Service(store)
    run = await save_new(store, await new(store, background=background), [])
    attempt = await service.take(run.id) if background else RunRepository(store, run)
    assert attempt
    await wait_or_ask(attempt, requests)
    return attempt.run.stored.continued_by or run.id


async def pending(store: Store, run_id: str, key: str) -> Approval:
    found = [Approval.from_record(each) for each in await store.query(pending_partition(OWNER))]
    (approval,) = [each for each in found if (each.run, each.request.key) == (run_id, key)]
    return approval


def test_of_two_who_decide_at_once_one_counts(store: Store) -> None:
    async def pair(service: Service) -> None:
        run_id = await waiting(store, A)
        approval = await pending(store, run_id, "a")
        tries = [decide(service, [(approval, YES)], ANN), decide(service, [(approval, NO)], EVE)]
        won = await asyncio.gather(*tries, return_exceptions=True)
        assert sorted(type(each).__name__ for each in won) == ["ApprovalDecided", "str"]
        content = await store.get(response_partition(OWNER, run_id), "journal/decision/a")
        record = await store.get(decided_partition(OWNER), approval.id)
        assert content
        assert record
        first = isinstance(won[0], str)
        assert (content.body["approve"], content.body["reason"]) == ((True, None) if first else (False, "No."))
        assert record.body["decided_by"] == (OWNER if first else "eve")
        assert (await stored(store, run_id))[0] == State.FREE
        assert service.messages.sent.count(run_id) == 1

    async def pairs() -> None:
        service = Service(store)
        for _ in range(5):  # four pairs at the same time
            await asyncio.gather(*(pair(service) for _ in range(4)))

    asyncio.run(pairs())


@pytest.mark.parametrize("asks", [[B], [B, C]])
@pytest.mark.parametrize("background", [True, False])
def test_decision_at_any_moment_in_which_a_run_waits_again_lets_it_go_on(
    store: Store, asks: list[ApprovalRequest], background: bool
) -> None:
    async def play(number: int) -> Interleaved:
        run_id = await waiting(store, A, B, background=background)
        await decide(Service(store), [(await pending(store, run_id, "a"), YES)], ANN)
        attempt = await Service(store).take(run_id)
        assert attempt

        async def other() -> None:  # whoever is asked where a continuation has taken its place is too late
            run_that_asks = attempt.run.stored.continued_by or run_id
            await decide(Service(store), [(await pending(store, run_that_asks, "b"), YES)], EVE)

        interleaved = Interleaved(store, number, other)
        attempt._store, attempt._leases = interleaved, Leases(interleaved)  # type: ignore[assignment, arg-type]
        await wait_or_ask(attempt, asks)
        last = attempt.run.stored.continued_by or run_id
        expected = State.WAITING if interleaved.is_over else State.FREE
        assert (await stored(store, last))[0] == expected
        if expected == State.FREE:
            after = await Service(store).take(last)
            assert after
            assert not after.lease.wake_pending
            if asks == [B, C]:
                await wait_or_ask(after, [C])  # and waits again, where nobody decides: it does not spin
                assert (await stored(store, after.run.stored.continued_by or last))[0] == State.WAITING
        return interleaved

    assert asyncio.run(every_moment(play)) >= 3


@pytest.mark.parametrize("background", [True, False])
def test_run_that_is_cancelled_at_any_moment_in_which_it_begins_to_wait_is_cancelled(
    store: Store, background: bool
) -> None:
    async def play(number: int) -> Interleaved:
        run = await save_new(store, await new(store, background=background), [])
        attempt = await Service(store).take(run.id) if background else RunRepository(store, run)
        assert attempt
        interleaved = Interleaved(store, number, lambda: Service(store).cancel(OWNER, run.id))
        attempt._store, attempt._leases = interleaved, Leases(interleaved)  # type: ignore[assignment, arg-type]
        await wait_or_ask(attempt, [A])
        _, response, _ = await stored(store, run.id)
        assert response
        if interleaved.is_over:
            assert (await stored(store, attempt.run.stored.continued_by or run.id))[0] == State.WAITING
        else:
            assert response["status"] == "cancelled"
            assert [each for each in await store.query(pending_partition(OWNER)) if each.body["run"] == run.id] == []
        return interleaved

    assert asyncio.run(every_moment(play)) >= 2


def test_run_whose_turn_comes_at_any_moment_in_which_it_begins_to_wait_for_it_takes_it(store: Store) -> None:
    async def play(number: int) -> Interleaved:
        conversation, service = f"{CONVERSATION}_{number}", Service(store)
        first, second = [
            await save_new(store, await new(store, background=True, conversation_id=conversation), []) for _ in range(2)
        ]
        attempt = await service.take(first.id)
        assert attempt
        await wait(attempt, [A])

        async def first_ends() -> None:
            await decide(service, [(await pending(store, first.id, "a"), YES)], ANN)
            attempt = await service.take(first.id)
            assert attempt
            next_run_id = await end(attempt, RunEvent.COMPLETE)
            assert next_run_id == second.id
            await service.give_turn(OWNER, next_run_id)

        interleaved = Interleaved(store, number, first_ends)
        attempt = await Service(interleaved).take(second.id)
        state = (await stored(store, second.id))[0]
        if interleaved.is_over:
            assert state == State.WAITING
        else:
            assert state == (State.HELD if attempt else State.FREE)
            assert attempt or second.id in service.messages.sent
        return interleaved

    assert asyncio.run(every_moment(play)) >= 5


def test_run_that_is_woken_while_its_lease_is_looked_for_is_found(store: Store) -> None:
    async def play(number: int) -> Interleaved:
        run_id = await waiting(store, A)
        interleaved = Interleaved(store, number, lambda: Leases(store).wake(run_id))
        assert await Leases(interleaved).find(run_id)  # type: ignore[arg-type]
        return interleaved

    assert asyncio.run(every_moment(play)) == 2


def test_decision_about_a_run_that_has_ended_is_too_late(store: Store) -> None:
    async def play() -> None:
        run_id = await waiting(store, A)
        approval = await pending(store, run_id, "a")
        await Service(store).cancel(OWNER, run_id)
        attempt = await Service(store).take(run_id)
        assert attempt
        await end(attempt, RunEvent.END_CANCELLED)
        with pytest.raises(ApprovalDecided):
            await decide(Service(store), [(approval, YES)], ANN)
        record = await store.get(decided_partition(OWNER), approval.id)
        assert record
        assert record.body["status"] == "withdrawn"

    asyncio.run(play())
