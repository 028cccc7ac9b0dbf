"""A store that is watched: what it is asked, how much it is given, and how long a run waits for it."""

# watched = WatchedStore(MemoryStore())
# use(watched)     # before the service opens its own

import asyncio
from bisect import insort
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import agency_lambda.store
from agency_lambda.store import ABSENT, Change, Conflict, Put, Record, Store
from agency_lambda.store.encoding import decode_body, encode_body


class MemoryStore:
    """Implements `Store` in a dictionary, with bodies as they are stored: what a run costs on it is the run's own."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self._sorts: defaultdict[str, list[str]] = defaultdict(list)

    async def get(self, partition: str, sort: str) -> Record | None:
        found = self._records.get((partition, sort))
        return found and _read(found)

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Record]:
        sorts = [sort for sort in self._sorts[partition] if after < sort and (before is None or sort < before)]
        found = [self._records[partition, sort] for sort in (sorts[::-1] if descending else sorts)[:limit]]
        return [_read(record) for record in found]

    async def write(self, *changes: Change) -> None:
        for change in changes:
            there = self._records.get((change.partition, change.sort))
            if change.expected not in (None, there.version if there else ABSENT):
                raise Conflict
        for change in changes:
            self._change(change)

    def _change(self, change: Change) -> None:
        key = change.partition, change.sort
        if self._records.pop(key, None) is not None:
            self._sorts[change.partition].remove(change.sort)
        if isinstance(change, Put):
            insort(self._sorts[change.partition], change.sort)
            self._records[key] = Record(*key, encode_body(change.body), change.version, change.expires)

    async def aclose(self) -> None: ...


def _read(record: Record) -> Record:
    body, size = decode_body(record.body)
    return replace(record, body=body, size=size)


class WatchedStore:
    """Passes everything on.

    counts: "reads", "writes", and the "records" that those change; and "waits": the calls at whose end nothing else was
    at work, where `busy` says what is. seconds: that each call takes longer. weigh: with it, `weight()` knows how much.
    """

    def __init__(self, store: Store, *, weigh: bool = False, busy: Callable[[], bool] = lambda: False) -> None:
        self.store, self.seconds, self._busy = store, 0.0, busy
        self.counts = dict.fromkeys(("reads", "writes", "records", "waits"), 0)
        self._put: list[Put] | None = [] if weigh else None

    def weight(self) -> int:
        """Bytes of the bodies that were written since the last time somebody asked, as they are stored."""
        put, self._put = self._put or [], []
        return sum(len(encode_body(each.body)) for each in put)

    async def get(self, *key: str) -> Record | None:
        return await self._read(self.store.get(*key))

    async def query(self, partition: str, **range_: Any) -> list[Record]:
        return await self._read(self.store.query(partition, **range_))

    async def write(self, *changes: Change) -> None:
        self.counts["writes"] += 1
        self.counts["records"] += len(changes)
        if self._put is not None:
            self._put += [change for change in changes if isinstance(change, Put)]
        await self._take()
        await self.store.write(*changes)

    async def aclose(self) -> None:
        await self.store.aclose()

    async def _read[T](self, reading: Awaitable[T]) -> T:
        self.counts["reads"] += 1
        await self._take()
        return await reading

    async def _take(self) -> None:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        self.counts["waits"] += not self._busy()


def use(store: Store) -> None:
    """The service opens this one, whatever STORE says."""
    agency_lambda.store.open_store = lambda url: store
