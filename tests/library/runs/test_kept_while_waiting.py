"""What a run keeps while it waits: what that writes, and what is left of it if nothing has swept for months."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.approvals.deciders import Decider
from agency_lambda.approvals.model import Approval, pending_partition
from agency_lambda.history.turns import HistoryCursor, Span, Turn
from agency_lambda.protocol.approvals import Decision
from agency_lambda.runs.decisions import decide
from agency_lambda.runs.lease_changes import change_lease
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import DUE_PARTITION, RETENTION, Lease, Run, response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.retention import keep
from agency_lambda.runs.stored_runs import save_new
from agency_lambda.runs.worker import reap_expired
from agency_lambda.store import Add, Put, Record, Store, open_store
from tests.library.runs.states import CONVERSATION, OWNER, POLICY, REQUEST, Service, ask, new, wait

DAY = 24 * 3600
SOON, LATER = int(time.time()) + 30 * DAY, int(time.time()) + 60 * DAY
OLD_FIELDS = {"owner", "holder", "until", "attempts", "queued_at", "lost", "cancelled", "dead"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield store
    asyncio.run(store.aclose())


class Counting:
    def __init__(self, store: Store) -> None:
        self._store, self.writes, self.get, self.query = store, 0, store.get, store.query

    async def write(self, *changes: Any) -> None:
        self.writes += 1
        await self._store.write(*changes)


async def long_run(store: Store) -> Run:
    """A run with 100 rows in its journal, behind 200 turns."""
    run = await new(store, background=False)
    run = await save_new(store, run, [])
    log = f"{OWNER}/log/before"
    rows = [Put(response_partition(OWNER, run.id), f"journal/model/{number}", {}, SOON) for number in range(100)]
    turns = [Turn([], []).put(HistoryCursor((Span(log, number),)), SOON) for number in range(200)]
    for put in [*rows, *turns]:
        await store.write(put)
    return Run(OWNER, run.stored, HistoryCursor((Span(log, 200), *run.cursor.spans)), run.lease)


def test_rows_are_written_ten_at_a_time_and_not_again_for_what_is_asked_next(store: Store) -> None:
    async def play() -> None:
        run, counting = await long_run(store), Counting(store)
        await keep(counting, run, LATER)  # type: ignore[arg-type]
        assert counting.writes == 30  # of 300 rows
        for partition in (response_partition(OWNER, run.id), f"{OWNER}/log/before"):
            kept = [each for each in await store.query(partition) if each.sort != "response"]
            assert min(each.expires or 0 for each in kept) >= LATER
        await keep(counting, run, LATER + 3600)  # type: ignore[arg-type]
        assert counting.writes == 30
        await keep(counting, run, LATER + 7 * 3600)  # type: ignore[arg-type]
        assert counting.writes == 60

    asyncio.run(play())


def test_what_a_run_has_spent_is_kept(url: str) -> None:
    async def play() -> None:
        store = open_store(url)
        run = await save_new(store, await new(store, background=False), [])
        spent = Add(response_partition(OWNER, run.id), "spend", {"usd": 5}, expires=SOON)
        await store.write(spent)
        await keep(store, run, LATER)
        kept = await store.get(spent.partition, spent.sort)
        assert kept
        assert (kept.body, (kept.expires or 0) >= LATER) == ({"usd": 5}, True)
        await store.write(Add(spent.partition, spent.sort, {"usd": 2}))
        after = await store.get(spent.partition, spent.sort)
        assert after
        assert after.body == {"usd": 7}
        await store.aclose()

    asyncio.run(play())


@pytest.mark.parametrize("days", [61, 400])
def test_run_whose_records_have_expired_before_anything_swept_is_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    async def play() -> None:
        service, now = Service(store), time.time()
        run = await save_new(store, await new(store, background=True, conversation_id=CONVERSATION), [])
        attempt = await service.take(run.id)
        assert attempt
        await wait(attempt)
        monkeypatch.setattr("time.time", lambda: now + days * DAY)
        await reap_expired(service)
        assert service.messages.sent == [run.id]
        assert await service.take(run.id) is None
        assert await Leases(store).find(run.id) is None
        assert await store.query(DUE_PARTITION) == []
        await reap_expired(service)
        assert service.messages.sent == [run.id]
        behind = await save_new(store, await new(store, background=True, conversation_id=CONVERSATION), [])
        assert await service.take(behind.id) is None  # it passes the lock on
        attempt = await service.take(behind.id)
        assert attempt
        assert not attempt.run.waits_for_conversation

    asyncio.run(play())


def test_chain_is_kept_from_its_root_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """R1 asks, R2 goes on 29 days later and asks, and so does R3: all their rows outlive the last approval."""

    monkeypatch.setattr("tests.library.runs.states.POLICY", replace(POLICY, seconds=30.0 * DAY))

    async def play() -> None:
        service, begun = Service(store), time.time()
        run = await save_new(store, await new(store, background=False), [])
        attempt: RunRepository | None = RunRepository(store, run)
        chain = [run.id]
        for days in (0, 29, 58):
            monkeypatch.setattr("time.time", lambda days=days: begun + days * DAY)
            assert attempt
            chain.append(await ask(attempt, [replace(REQUEST, key=str(days))]))
            (pending,) = await store.query(pending_partition(OWNER))
            if days < 58:
                await decide(
                    service, [(Approval.from_record(pending), Decision(approve=True))], Decider(OWNER, "owner")
                )
                attempt = await service.take(chain[-1])
        assert pending.body["expires_at"] == pytest.approx(begun + 88 * DAY, abs=10)
        for run_id in chain:
            rows = await store.query(response_partition(OWNER, run_id))
            assert min(row.expires or 0 for row in rows) >= pending.body["expires_at"] + RETENTION, run_id
        assert len(await store.query(f"{OWNER}/log/{run.id}", before="000000003")) == 3

    asyncio.run(play())


def test_lease_of_a_run_that_asks_nobody_is_what_earlier_versions_read() -> None:
    lease = Lease("resp_1", OWNER, holder="", until=0.0, attempts=0, queued_at=0.0)
    for how in ("hold", "renew", "free", "requeue", "mark", "bury", "decide"):
        put = change_lease(lease, how)[0]  # type: ignore[arg-type]
        assert isinstance(put, Put)
        assert put.body.keys() == OLD_FIELDS, how


def test_lease_of_an_earlier_version_is_read() -> None:
    body = {"owner": OWNER, "holder": "a", "until": 5.0, "attempts": 2, "queued_at": 1.0}
    lease = Lease.from_record(Record("running#00", "resp_1", body, "v", None, 0))
    assert (lease.wake_pending, lease.attempts_before_wait, lease.is_waiting) == (False, 0, False)
    new = {"wake_pending", "attempts_before_wait", "waits_for_child_runs"}
    assert {each.name for each in fields(Lease)} - OLD_FIELDS == {"id", "version", "partition"} | new


def test_lease_is_written_under_the_names_that_earlier_versions_read() -> None:
    free = Lease("resp_1", OWNER, holder="a", until=0.0, attempts=2, queued_at=0.0)
    waiting = change_lease(free, "wait", until=5.0, for_child_runs=True)[0]
    decided = change_lease(free, "decide")[0]
    assert isinstance(waiting, Put)
    assert isinstance(decided, Put)
    assert (waiting.body["forgiven"], waiting.body["for_agents"], decided.body["decided"]) == (2, True, True)
    assert (waiting.body | decided.body).keys() == OLD_FIELDS | {"decided", "forgiven", "for_agents"}
    read = Lease.from_record(Record("running#00", "resp_1", waiting.body | decided.body, "v", None, 0))
    assert (read.wake_pending, read.attempts_before_wait, read.waits_for_child_runs) == (True, 2, True)


def test_time_in_the_queue_is_without_earlier_attempts_and_waits() -> None:
    lease = Lease("resp_1", OWNER, holder="", until=0.0, attempts=1, queued_at=0.0).moved(waiting=True)
    for how in ("wake", "wake cancelled", "revoke"):
        put = change_lease(lease, how)[0]  # type: ignore[arg-type]
        assert isinstance(put, Put)
        assert put.body["queued_at"] == pytest.approx(time.time(), abs=5), how
    put = change_lease(replace(lease.moved(waiting=False), holder="a"), "free", after=60)[0]
    assert isinstance(put, Put)
    assert put.body["queued_at"] == pytest.approx(time.time() + 60, abs=5)
