"""Follow a run that another process executes: each look reads only what is new."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from typing import Any

from agency_lambda.errors import StoreUnavailable
from agency_lambda.runs.leases import Leases
from agency_lambda.store import Record, Store
from lambda_loop import seconds_remaining

ROWS, BEHIND_ROWS = "event/", "event0"  # some events each; what follows is the number of the first
_POLL = 0.25  # seconds between looks
_LEAVE = 1.0  # seconds before the end of an invocation, at which nobody should wait any more


async def until_over(store: Store, partition: str, run: str, seconds: float) -> None:
    """Return when a run is final or deleted, or time is up."""
    end = time.monotonic() + seconds
    while not await _is_over(store, partition, run):
        if time.monotonic() > end or seconds_to_wait() < 0:
            return
        await asyncio.sleep(_POLL)


async def follow(store: Store, partition: str, run: str, after: int) -> AsyncGenerator[Any]:
    """Yield the events behind number `after` until the run is over, or the invocation ends."""
    rows = _Rows(store, partition)
    while True:
        try:
            over = await _is_over(store, partition, run)  # first: what it has written at its end is there then
            found = await rows.new(again=over)
        except StoreUnavailable:
            return
        for event in found:
            if event["sequence_number"] > after:
                after = event["sequence_number"]
                yield event
        if over or seconds_to_wait() < 0:
            return
        await asyncio.sleep(_POLL)


class _Rows:
    """Reads each row once, and the last again, which may have grown."""

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
        start = ROWS if self._last is None else row(self._last - 1 if again else self._last)
        return await self._store.query(self._partition, after=start, before=BEHIND_ROWS)


def row(number: int) -> str:
    return f"{ROWS}{number:09d}"


def _number(record: Record) -> int:
    return int(record.sort.removeprefix(ROWS))


async def _is_over(store: Store, partition: str, run: str) -> bool:
    lease = await Leases(store).find(run)
    if lease is None or lease.dead:
        return True
    # Whoever deletes the response of a run has it cancelled before.
    return lease.cancelled and await store.get(partition, "response") is None


def seconds_to_wait() -> float:
    left = seconds_remaining()
    return math.inf if left is None else left - _LEAVE
