"""Follow a run that another process executes."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from typing import Any

from agency_lambda.errors import StoreUnavailable
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import BEHIND_EVENT_ROWS, EVENT_ROWS, event_row
from agency_lambda.store import Record, Store
from lambda_loop import seconds_remaining

_POLL = 0.25  # seconds between looks
_RESERVED = 1.0  # seconds before the end of an invocation, in which nothing waits any more


async def until_over(store: Store, partition: str, run_id: str, seconds: float) -> None:
    """Return when a run is final or deleted, or time is up."""
    end = time.monotonic() + seconds
    while not await _is_over(store, partition, run_id):
        if time.monotonic() > end or seconds_to_wait() < 0:
            return
        await asyncio.sleep(_POLL)


async def follow(store: Store, partition: str, run_id: str, after: int) -> AsyncGenerator[Any]:
    """Yield the events behind number `after`, until the run or the invocation is over."""
    reader = _EventReader(store, partition)
    while True:
        try:
            is_over = await _is_over(store, partition, run_id)  # first: what it has written at its end is there then
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


async def _is_over(store: Store, partition: str, run_id: str) -> bool:
    lease = await Leases(store).find(run_id)
    if lease is None or lease.dead or lease.waits_for_person:
        return True
    # A run is cancelled before its response is deleted.
    return lease.cancelled and await store.get(partition, "response") is None


def seconds_to_wait() -> float:
    left = seconds_remaining()
    return math.inf if left is None else left - _RESERVED


def limited_to_invocation(seconds: float) -> float:
    """Return `seconds`, but at most half of what is left of the invocation."""
    left = seconds_remaining()
    return seconds if left is None else min(seconds, left / 2)
