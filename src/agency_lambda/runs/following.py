"""Follow a run that another process executes."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from agency_lambda.errors import StoreUnavailable
from agency_lambda.runs.asked_in_messages import needs_person
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import BEHIND_EVENT_ROWS, EVENT_ROWS, Lease, StoredResponse, event_row
from agency_lambda.runs.time_left import seconds_to_wait
from agency_lambda.store import Record, Store

_POLL = 0.25  # seconds between looks
_NEEDS_PERSON_POLL = 2.0  # and between those at what a run's messages wait for
_DECISION_POLL = 1.0  # and between those whether a person has decided


async def until_over(store: Store, partition: str, run_id: str, seconds: float) -> None:
    """Return when a run is final, deleted or waits for a person, or when the time is up."""
    end, run = time.monotonic() + seconds, _Followed(store, partition, run_id)
    while not await run.is_over():
        if time.monotonic() > end or seconds_to_wait() < 0:
            return
        await asyncio.sleep(_POLL)


async def until_decided(store: Store, partition: str, run_id: str, seconds: float) -> bool:
    """Return True once a run does not wait for a person any more, False when the time is up."""
    end = time.monotonic() + seconds
    while await _Followed(store, partition, run_id).waits_for_person():
        if time.monotonic() > end or seconds_to_wait() < 0:
            return False
        await asyncio.sleep(_DECISION_POLL)
    return True


async def follow(store: Store, partition: str, run_id: str, after: int) -> AsyncGenerator[Any]:
    """Yield the events behind number `after`, until the run or the invocation is over."""
    # A run that begins to wait adds its request to another run's stream afterwards: the second look has it.
    reader, run = _EventReader(store, partition), _Followed(store, partition, run_id, looks=2)
    while True:
        try:
            is_over = await run.is_over()  # first: what it has written at its end is there then
            new_events = await reader.new(again=is_over)
        except StoreUnavailable:
            return
        for event in new_events:
            if event["sequence_number"] > after:
                after = event["sequence_number"]
                yield event
        if is_over or seconds_to_wait() < 0:
            return
        await asyncio.sleep(_POLL)


class _EventReader:
    """Reads each row once; the last again, as it may have grown."""

    def __init__(self, store: Store, partition: str) -> None:
        self._store, self._partition = store, partition
        self._last: int | None = None  # the number of the row that was read last
        self._next = 0  # the number of the event that follows

    async def new(self, *, again: bool) -> list[Any]:
        records = await self._read(again)
        if not again and self._last is not None and records and _number(records[0]) != self._next:
            records = await self._read(True)
        events = [event for record in records for event in record.body]
        if records:
            self._last, self._next = _number(records[-1]), events[-1]["sequence_number"] + 1
        return events

    async def _read(self, again: bool) -> list[Record]:
        start = EVENT_ROWS if self._last is None else event_row(self._last - 1 if again else self._last)
        return await self._store.query(self._partition, after=start, before=BEHIND_EVENT_ROWS)


def _number(record: Record) -> int:
    return int(record.sort.removeprefix(EVENT_ROWS))


class _Followed:
    """A run that another process executes.

    looks: consecutive polls that must agree before a run that waits for child runs counts as waiting for a person.
    """

    def __init__(self, store: Store, partition: str, run_id: str, looks: int = 1) -> None:
        self._store, self._partition, self._run_id = store, partition, run_id
        self._most_looks = self._looks = looks
        self._next_look = 0.0
        self._stored: StoredResponse | None = None

    async def is_over(self) -> bool:
        lease = await Leases(self._store).find(self._run_id)
        if lease is None or lease.dead or await self._waits(lease):
            return True
        # A run is cancelled before its response is deleted.
        return lease.cancelled and await self._store.get(self._partition, "response") is None

    async def waits_for_person(self) -> bool:
        lease = await Leases(self._store).find(self._run_id)
        return lease is not None and not lease.dead and await self._waits(lease)

    async def _waits(self, lease: Lease) -> bool:
        return lease.waits_for_person or (lease.waits_for_child_runs and await self._needs_person(lease.owner))

    async def _needs_person(self, owner: str) -> bool:
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _NEEDS_PERSON_POLL
        if self._stored is None:
            record = await self._store.get(self._partition, "response")
            if record is None or record.body is None:
                return True
            self._stored = StoredResponse.from_record(record)
        needed = await needs_person(self._store, owner, self._stored)
        self._looks = self._looks - 1 if needed else self._most_looks
        return self._looks == 0
