import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

from agency_lambda.store import ABSENT, Add, Change, Conflict, Delete, Put, Record, StoreUnavailable
from agency_lambda.store.counters import is_counter, sums_of
from agency_lambda.store.encoding import check_changes, decode_body, encode_body
from agency_lambda.store.table import CONNECTIONS, FAILURES, Item, Table, key_of

# A record is an item with its `body` (B). A longer body is split into items under `part/<version>`; the record's own
# item, the head, has their number (`parts`, N). Parts are written before their head and removed after it, so that no
# head lacks one.
_MAX_ITEM, _MAX_TRANSACTION = 350_000, 2_900_000  # bytes of bodies; DynamoDB takes 400 KB, and 4 MB of base64
_MAX_READS = 5


class DynamoDBStore:
    """May be used again after `aclose()`."""

    def __init__(self, table: str) -> None:
        self._table = Table(table)
        # Not the loop's own pool: slow tools could fill it, and no lease would be renewed.
        self._threads = ThreadPoolExecutor(CONNECTIONS, "store")

    async def get(self, partition: str, sort: str) -> Record | None:
        return await self._in_thread("read", self._get, partition, sort)

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Record]:
        return await self._in_thread("read", self._query, partition, after, before, limit, descending)

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
        return self._read_record(self._table.get(_key(partition, sort)))

    def _query(
        self, partition: str, after: str, before: str | None, limit: int | None, descending: bool
    ) -> list[Record]:
        if before is not None and before <= after:
            return []  # DynamoDB refuses such a range
        records = map(self._read_record, self._table.query(partition, after, before, limit, descending))
        return list(islice((record for record in records if record), limit))

    def _read_record(self, item: Item | None) -> Record | None:
        """Read a record with its parts, again if they were removed meanwhile."""
        for _ in range(_MAX_READS):
            expires = int(item["expires"]["N"]) if item and "expires" in item else None
            if item is None or (expires is not None and expires <= time.time()):
                return None
            partition, sort, version = (item[name]["S"] for name in ("partition", "sort", "version"))
            if is_counter(item):
                sums = sums_of(item)
                return Record(partition, sort, sums, version, expires, len(encode_body(sums)))
            parts = list(self._table.query(f"part/{version}")) if "parts" in item else [item]
            if "body" in item or len(parts) == int(item["parts"]["N"]):
                body, size = decode_body(b"".join(part["body"]["B"] for part in parts))
                return Record(partition, sort, body, version, expires, size)
            item = self._table.get(_key(partition, sort))
        raise StoreUnavailable("A stored record is damaged.")

    def _write(self, changes: Sequence[Change]) -> None:
        max_body = min(_MAX_ITEM, _MAX_TRANSACTION // len(changes))
        items = [self._write_parts(change, max_body) for change in changes]
        try:
            replaced = self._replace(changes, items)
        except Conflict:
            self._delete_parts(items)
            raise
        written = [item["version"] for item in items if "version" in item]
        self._delete_parts(head for head in replaced if head.get("version") not in written)

    def _write_parts(self, change: Change, max_body: int) -> Item:
        """Return the item to write, or the key to delete."""
        key = _key(change.partition, change.sort)
        if not isinstance(change, Put):
            return key
        body = encode_body(change.body)
        expires = {} if change.expires is None else {"expires": {"N": str(change.expires)}}
        item = key | expires | {"version": {"S": change.version}}
        if len(body) <= max_body:
            return item | {"body": {"B": body}}
        parts = [{"body": {"B": body[start : start + _MAX_ITEM]}} for start in range(0, len(body), _MAX_ITEM)]
        head = item | {"parts": {"N": str(len(parts))}}
        for key, part in zip(_part_keys(head), parts, strict=True):
            self._table.put(key | expires | part)
        return head

    def _replace(self, changes: Sequence[Change], items: Sequence[Item]) -> list[Item]:
        """Return the replaced heads."""
        first, others = changes[0], changes[1:]
        if not others and isinstance(first, Put):
            return [self._table.put(items[0], first.expected)]
        if not others and isinstance(first, Delete) and first.expected is None:
            return [self._table.delete(items[0])]
        # Also one deletion with a condition: a repeated transaction is known by botocore's token, while a repeated
        # deletion cannot be told from a conflict.
        adds = [change for change in changes if isinstance(change, Add)]
        pairs = [
            (item, change.expected) for item, change in zip(items, changes, strict=True) if not isinstance(change, Add)
        ]
        replaced = self._table.heads([key_of(item) for item, expected in pairs if expected != ABSENT])
        self._table.write(pairs, adds)
        return replaced

    def _delete_parts(self, heads: Iterable[Item]) -> None:
        with suppress(*FAILURES):  # a part that stays is never read
            for head in heads:
                for key in _part_keys(head):
                    self._table.delete(key)


def _key(partition: str, sort: str) -> Item:
    return {"partition": {"S": partition}, "sort": {"S": sort}}


def _part_keys(head: Item) -> list[Item]:
    count = int(head["parts"]["N"]) if "parts" in head else 0
    return [_key(f"part/{head['version']['S']}", f"{number:04}") for number in range(count)]
