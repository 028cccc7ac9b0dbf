"""Leases: who may take a run, whatever the clocks say, and where they lie, on every store."""

import asyncio
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.runs import outcome
from agency_lambda.runs.lease_changes import change_lease
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import (
    CLOCK_SKEW,
    GRACE,
    LEASE_SECONDS,
    LONGEST_PAUSE,
    Lease,
    StoredRequest,
    StoredResponse,
)
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import LeaseLost, load_run
from agency_lambda.store import Put, Store, open_store


def on(url: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        store = open_store(url)
        try:
            yield store
        finally:
            await store.aclose()

    async def run() -> Any:
        async with opened() as store:
            return await work(store)

    return asyncio.run(run())


def lease(run: str, holder: str = "another", **fields: Any) -> Lease:
    now = time.time()
    return Lease(run, "owner", holder, **{"until": now + LEASE_SECONDS, "attempts": 1, "queued_at": now, **fields})


async def attempt_at(store: Store, held: Lease) -> RunRepository:
    """An attempt that has taken this lease."""
    stored = StoredResponse({"id": held.id, "status": "in_progress"}, StoredRequest({}, [], [], None))
    await store.write(stored.put(held.owner))
    return RunRepository(store, await load_run(store, held.owner, held.id, held))


# Clocks

NOT_LONGER = st.floats(1, LEASE_SECONDS + CLOCK_SKEW - 1)
TOO_LONG = st.floats(LEASE_SECONDS + CLOCK_SKEW + 1, 1e12) | st.just(math.inf) | st.just(math.nan)


@given(st.booleans(), NOT_LONGER, TOO_LONG, st.floats(-1e9, -0.01))
@settings(max_examples=100, deadline=None)
def test_a_lease_is_its_holders_for_as_long_as_one_can_be_and_no_longer(
    dead: bool, left: float, too_long: float, over: float
) -> None:
    now = time.time()
    assert not lease("run", until=now + left).is_overdue
    for until in (now + too_long, now + over):
        assert lease("run", until=until).is_overdue
        assert not lease("run", until=until, dead=True).is_overdue


@given(st.floats(1, LONGEST_PAUSE + GRACE))
def test_a_pause_between_attempts_is_waited_for(after: float) -> None:
    assert not lease("run", "", until=time.time() + after).is_overdue
    assert lease("run", "", until=time.time() + LONGEST_PAUSE + GRACE + CLOCK_SKEW + 1).is_overdue


def test_no_run_pauses_for_longer_than_a_lease_can_say() -> None:
    assert outcome.LONGEST_WAIT <= LONGEST_PAUSE
    assert outcome.BACKOFF * 2 ** (outcome.MOST_ATTEMPTS - 1) <= LONGEST_PAUSE


@pytest.mark.parametrize("ahead", [LEASE_SECONDS + CLOCK_SKEW + 60, 3600.0, 10 * 365 * 24 * 3600.0])
def test_a_lease_of_the_far_future_is_swept_and_taken(url: str, ahead: float) -> None:
    async def work(store: Store) -> None:
        leases = Leases(store)
        await store.write(lease("run", until=time.time() + ahead).put())
        (found,) = [each for each in await leases.all() if each.is_overdue]
        taken = await leases.take("run", "me")
        assert taken is not None
        assert (taken.holder, taken.lost) == ("me", 1)
        assert taken.until <= time.time() + LEASE_SECONDS
        with pytest.raises(LeaseLost):  # whose clock was wrong has lost it
            await (await attempt_at(store, found)).heartbeat([], {})

    on(url, work)


def test_a_pause_is_never_written_longer_than_it_can_be(url: str) -> None:
    async def work(store: Store) -> None:
        leases = Leases(store)
        await store.write(lease("run", "me").put())
        held = await leases.find("run")
        assert held
        await (await attempt_at(store, held)).release(after=1e9)
        paused = await leases.find("run")
        assert paused
        assert paused.until <= time.time() + LONGEST_PAUSE + GRACE
        assert not paused.is_overdue

    on(url, work)


# Partitions


def test_leases_are_spread_and_a_sweep_finds_them_all(url: str) -> None:
    made = [f"resp_{uuid.uuid4().hex}" for _ in range(64)]

    async def work(store: Store) -> list[Lease]:
        for run in made:
            await store.write(lease(run).put())
        return await Leases(store).all()

    found = on(url, work)
    assert sorted(each.id for each in found) == sorted(made)
    spread = Counter(each.partition for each in found)
    assert set(spread) <= {f"running#{number:02x}" for number in range(16)}
    assert len(spread) > 10


@given(st.lists(st.text(st.characters(codec="ascii"), min_size=1), min_size=1, max_size=9))
def test_a_run_has_one_partition(ids: list[str]) -> None:
    for run in ids:
        assert lease(run).partition == lease(run, "other").partition == lease(run).put().partition


def test_one_partition_takes_no_more_than_its_share() -> None:
    """Also of ids that begin alike, as those do that are made from a clock."""
    for make in (lambda n: f"resp_{n:048x}", lambda n: f"resp_{uuid.uuid4().hex}", lambda n: f"resp_{n}0000"):
        spread = Counter(lease(make(number)).partition for number in range(4000))
        assert len(spread) == 16
        assert max(spread.values()) < 2 * 4000 / 16


def test_runs_of_the_version_before_go_on_where_they_lie(url: str) -> None:
    """For one release: found, swept, taken, renewed and ended in the partition `running`."""

    async def work(store: Store) -> None:
        leases, body = Leases(store), lease("run", until=time.time() - 1).put().body
        await store.write(Put("running", "run", body))
        (found,) = await leases.all()
        assert found.is_overdue
        taken = await leases.take("run", "me")
        assert taken
        assert await (await attempt_at(store, taken)).heartbeat([], {})
        (still,) = await store.query("running")
        assert still.body["holder"] == "me"
        assert await leases.cancel("run")
        ended = await leases.find("run")
        assert ended
        await store.write(ended.delete())
        assert await leases.all() == []

    on(url, work)


def test_a_run_that_waits_for_long_is_queued_again_less_and_less_often(url: str) -> None:
    async def work(store: Store) -> None:
        await store.write(lease("run", "", until=0.0).put(queued_at=time.time() - 100))
        (waiting,) = [each for each in await Leases(store).all() if each.is_overdue]

        def requeued(lease: Lease) -> Any:
            (put,) = change_lease(lease, "requeue")
            assert isinstance(put, Put)
            return put.body

        assert requeued(waiting)["until"] == pytest.approx(time.time() + GRACE + 100, abs=5)
        assert requeued(replace(waiting, queued_at=0.0))["until"] <= time.time() + LONGEST_PAUSE + GRACE
        lost = requeued(replace(waiting, holder="dead"))  # its wait for a worker begins anew
        assert lost["until"] == pytest.approx(time.time() + GRACE, abs=5)
        assert lost["queued_at"] == pytest.approx(time.time(), abs=5)

    on(url, work)
