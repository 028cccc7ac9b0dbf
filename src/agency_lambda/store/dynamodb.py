"""The deployed store: records in a DynamoDB table.

A record is an item with its `body` (B). A body that is too long for an item lies in parts, which are items under
`part/<version>`; the record's own item, their head, says how many there are (`parts`, N). They are written before their
head and removed after it, so no head lacks one; what a writer leaves that dies in between is never read.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

from agency_lambda.store import ABSENT, Change, Conflict, Put, Record, StoreUnavailable
from agency_lambda.store.encoding import check_changes, decode_body, encode_body
from agency_lambda.store.table import CONNECTIONS, FAILURES, Item, Table, key_of

_ITEM, _TRANSACTION = 350_000, 2_900_000  # bytes of bodies; DynamoDB takes 400 KB an item and, as base64, 4 MB at once
_READINGS = 5


class DynamoDBStore:
    """Implements `Store`. After `aclose()` it connects anew: that is all that a snapshot asks for."""

    def __init__(self, table: str) -> None:
        self._table = Table(table)
        # Not the loop's own pool: where slow tools fill that one, a lease could not be renewed.
        self._threads = ThreadPoolExecutor(CONNECTIONS, "store")

    async def get(self, partition: str, sort: str) -> Record | None:
        return await self._in_thread("read", self._get, partition, sort)

    async def query(
        self, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[Record]:
        return await self._in_thread("read", self._query, partition, after, before, limit)

    async def write(self, *changes: Change) -> None:
        check_changes(changes)
        if changes:
            await self._in_thread("written", self._write, changes)

    async def aclose(self) -> None:
        self._table.close()

    async def _in_thread[T](self, done: str, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        except FAILURES as error:
            raise StoreUnavailable(f"The store could not be {done}.") from error

    def _get(self, partition: str, sort: str) -> Record | None:
        return self._whole(self._table.get(_key(partition, sort)))

    def _query(self, partition: str, after: str, before: str | None, limit: int | None) -> list[Record]:
        if before is not None and before <= after:
            return []  # DynamoDB refuses such a range
        records = map(self._whole, self._table.query(partition, after, before, limit))
        return list(islice((record for record in records if record), limit))

    def _whole(self, item: Item | None) -> Record | None:
        """The record with its parts; read again if it was replaced, and they removed, meanwhile."""
        for _ in range(_READINGS):
            expires = int(item["expires"]["N"]) if item and "expires" in item else None
            if item is None or (expires is not None and expires <= time.time()):
                return None
            partition, sort, version = (item[name]["S"] for name in ("partition", "sort", "version"))
            parts = list(self._table.query(f"part/{version}")) if "parts" in item else [item]
            if "body" in item or len(parts) == int(item["parts"]["N"]):
                body, size = decode_body(b"".join(part["body"]["B"] for part in parts))
                return Record(partition, sort, body, version, expires, size)
            item = self._table.get(_key(partition, sort))
        raise StoreUnavailable("A stored record is damaged.")

    def _write(self, changes: Sequence[Change]) -> None:
        room = min(_ITEM, _TRANSACTION // len(changes))
        items = [self._laid(change, room) for change in changes]
        try:
            replaced = self._replace(changes, items)
        except Conflict:
            self._forget(items)
            raise
        ours = [item["version"] for item in items if "version" in item]
        self._forget(head for head in replaced if head.get("version") not in ours)

    def _laid(self, change: Change, room: int) -> Item:
        """What the table shall hold: an item, of which the parts are written; for a deletion only the key."""
        key = _key(change.partition, change.sort)
        if not isinstance(change, Put):
            return key
        body = encode_body(change.body)
        expires = {} if change.expires is None else {"expires": {"N": str(change.expires)}}
        item = key | expires | {"version": {"S": change.version}}
        if len(body) <= room:
            return item | {"body": {"B": body}}
        parts = [{"body": {"B": body[start : start + _ITEM]}} for start in range(0, len(body), _ITEM)]
        head = item | {"parts": {"N": str(len(parts))}}
        for place, part in zip(_places(head), parts, strict=True):
            self._table.put(place | expires | part)
        return head

    def _replace(self, changes: Sequence[Change], items: Sequence[Item]) -> list[Item]:
        """Write and delete as expected; returns what was there before, where that can have parts.

        A deletion leaves nothing by which its second attempt could know the work of the first. But DynamoDB remembers
        the token that botocore gives to a transaction: so a deletion with a condition is one, too.
        """
        first, more = changes[0], changes[1:]
        if not more and isinstance(first, Put):
            return [self._table.put(items[0], first.expected)]
        if not more and first.expected is None:
            return [self._table.delete(items[0])]
        old = [key_of(item) for item, change in zip(items, changes, strict=True) if change.expected != ABSENT]
        replaced = self._table.heads(old)
        self._table.write([(item, change.expected) for item, change in zip(items, changes, strict=True)])
        return replaced

    def _forget(self, heads: Iterable[Item]) -> None:
        """Remove the parts of these. Who cannot leaves garbage, but what was asked for is done."""
        with suppress(*FAILURES):
            for head in heads:
                for place in _places(head):
                    self._table.delete(place)


def _key(partition: str, sort: str) -> Item:
    return {"partition": {"S": partition}, "sort": {"S": sort}}


def _places(head: Item) -> list[Item]:
    """The keys of its parts."""
    number = int(head["parts"]["N"]) if "parts" in head else 0
    return [_key(f"part/{head['version']['S']}", f"{place:04}") for place in range(number)]
