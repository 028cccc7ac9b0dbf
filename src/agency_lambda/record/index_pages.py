"""Pages of an index: a partition whose entries are sorted by `{created in Unix microseconds, 16 digits}/{id}`."""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import batched
from typing import Any

from agency_lambda.store import Record, Store

_AT_ONCE = 16  # partitions that are read at the same time


@dataclass(frozen=True)
class PageQuery:
    """after, before: keys of entries, "" for none, in the list's order.

    created_after (inclusive), created_before: Unix seconds.
    """

    limit: int
    descending: bool = True
    after: str = ""
    before: str = ""
    created_after: int | None = None
    created_before: int | None = None

    @property
    def is_backward(self) -> bool:
        """Return whether the page ends at a given entry."""
        return bool(self.before) and not self.after

    @property
    def reads_descending(self) -> bool:
        return self.descending != self.is_backward

    @property
    def bounds(self) -> tuple[str, str | None]:
        low, high = (self.before, self.after) if self.descending else (self.after, self.before)
        created = (self.created_after, self.created_before)
        since, until = (None if seconds is None else f"{seconds * 10**6:016d}" for seconds in created)
        return max(low, since or ""), min((each for each in (high, until) if each), default=None)


def list_of(data: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Return the list object of a page. data: items with their ids."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


def page(data: Sequence[dict[str, Any]], query: PageQuery, *, last_read: str | None) -> dict[str, Any]:
    """last_read: the last id that was read, if there are more. The next page begins there, even if `data` is empty."""
    ordered = list(reversed(data)) if query.is_backward else list(data)
    found = list_of(ordered, has_more=last_read is not None)
    return found | ({"first_id" if query.is_backward else "last_id": last_read} if last_read else {})


async def read_page(
    store: Store, partition: str, query: PageQuery, show: Callable[[Record], dict[str, Any] | None]
) -> dict[str, Any]:
    """Return a page of one partition. show: makes an item of the list, with its id, of an entry; None to skip it."""
    data = list[dict[str, Any]]()
    async with aclosing(entries(store, [partition], query, at_once=query.limit + 1)) as found:
        async for record in found:
            if (item := show(record)) is None:
                continue
            if len(data) == query.limit:
                return page(data, query, last_read=data[-1]["id"])
            data.append(item)
    return page(data, query, last_read=None)


async def entries(store: Store, partitions: Sequence[str], query: PageQuery, *, at_once: int) -> AsyncGenerator[Record]:
    """Merge the partitions in order. at_once: entries read together from one partition."""
    sign = -1 if query.reads_descending else 1
    sources = [_Source(store, partition, query, at_once) for partition in partitions]
    for some in batched(sources, _AT_ONCE, strict=False):
        await asyncio.gather(*(source.fill() for source in some))
    heads = [(sign * source.position, number) for number, source in enumerate(sources) if source.entries]
    heapq.heapify(heads)
    while heads:
        _, number = heapq.heappop(heads)
        source = sources[number]
        yield source.entries.popleft()
        if not source.entries:
            await source.fill()
        if source.entries:
            heapq.heappush(heads, (sign * source.position, number))


class _Source:
    def __init__(self, store: Store, partition: str, query: PageQuery, at_once: int) -> None:
        self._store, self._partition, self._at_once = store, partition, at_once
        self._descending, (self._low, self._high) = query.reads_descending, query.bounds
        self._is_read = False
        self.entries = deque[Record]()

    @property
    def position(self) -> int:
        return int.from_bytes(self.entries[0].sort.encode())

    async def fill(self) -> None:
        if self._is_read:
            return
        records = await self._store.query(
            self._partition, after=self._low, before=self._high, limit=self._at_once, descending=self._descending
        )
        self._is_read = len(records) < self._at_once
        self.entries.extend(records)
        if records and self._descending:
            self._high = records[-1].sort
        elif records:
            self._low = records[-1].sort
