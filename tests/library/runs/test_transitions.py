"""The table of a run's states: every row of it. `test_walk.py` walks through it."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import get_args
from unittest.mock import patch

import pytest

from agency_lambda.approvals.model import pending_partition
from agency_lambda.errors import ServiceError, StoreUnavailable
from agency_lambda.runs.attempt import Attempt, AttemptOptions
from agency_lambda.runs.deletion import delete_run
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.outcome import HandedOver
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import OutcomeUncertain, save_new
from agency_lambda.runs.transitions import STOPS, TABLE, NotAllowed, RunEvent, State, Stop, find
from agency_lambda.runs.waiting import MOST_ASKED, wait_in_place
from agency_lambda.store import Change, NotWritten, Store, open_store
from tests.library.runs.states import (
    CONVERSATION,
    OWNER,
    POLICY,
    REQUEST,
    Crash,
    Faulty,
    Service,
    ask,
    check_entry,
    end,
    entry_status,
    expire,
    new,
    stored,
    wait,
)


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
            await Service(store).take(run_id)
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
        for _ in range(40):
            run = await new(store, background=True, conversation_id=CONVERSATION)
            await save_new(store, run, [])
            await Leases(store).cancel(run.id)
            attempt = await Service(store).take(run.id)
            assert attempt
            attempts.append(attempt)
        await asyncio.gather(*(end(attempt, event) for attempt in attempts))
        assert {(await stored(store, attempt.run.id))[0] for attempt in attempts} == {State.FINAL}

    on_store(play)


def test_what_was_asked_stays_asked_where_an_attempt_does_not_come_to_it() -> None:
    async def play(store: Store) -> None:
        run_id, _ = await bring(store, State.WAITING)
        await Leases(store).wake(run_id)
        attempt = await Service(store).take(run_id)
        assert attempt
        others = [replace(REQUEST, key=f"Clerk/{number}") for number in range(2, 2 + MOST_ASKED)]
        approvals = await attempt.open_approvals(others, POLICY)
        assert [each.request.key for each in approvals[:2]] == [REQUEST.key, "Clerk/2"]
        assert len(approvals) == MOST_ASKED
        await attempt.wait({**attempt.run.stored.response, "output": []}, [], wait_in_place(approvals), None)
        assert len(await store.query(pending_partition(OWNER))) == MOST_ASKED
        await Leases(store).cancel(run_id)
        attempt = await Service(store).take(run_id)
        assert attempt
        await end(attempt, RunEvent.END_CANCELLED)
        assert await store.query(pending_partition(OWNER)) == []

    on_store(play)


def test_every_reason_to_stop_is_in_the_table() -> None:
    assert set(STOPS) == set(get_args(Stop))


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("reason", STOPS)
def test_attempt_that_stops_writes_what_the_table_says(reason: Stop, durable: bool) -> None:
    async def play(store: Store) -> None:
        run = await save_new(store, await new(store, background=False), [])
        log, repository = EventLog(run.id, records_events=False), RunRepository(store, run)
        attempt = Attempt(run.stored.response, log, repository, AttemptOptions(stopped=reason), durable=durable)
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
