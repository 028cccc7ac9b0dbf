"""Reads and writes the rows of a journal."""

from collections.abc import Sequence
from typing import Any

from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.protocol.journal_keys import Row, row_key, stored_key, stored_range
from agency_lambda.runs.model import expiry
from agency_lambda.store import ABSENT, Change, Conflict, Delete, Put, Store


class JournalStore:
    """The rows of one journal. store: None if its run is not stored; then there are none.

    rows: as an attempt has found them, by key. Each is written once, by the attempt that comes first.
    """

    def __init__(self, store: Store | None, partition: str) -> None:
        self.store, self._partition = store, partition
        self.rows: dict[str, Any] = {}
        self._unwritten: dict[str, dict[str, Any]] = {}

    async def load(self) -> None:
        if self.store:
            records = await self.store.query(self._partition, **stored_range())
            self.rows = {row_key(record.sort): record.body for record in records}
            self.rows.pop(Row.PENDING, None)  # calls that were pending at a heartbeat

    def keys(self, kind: Row) -> list[str]:
        return [key for key in self.rows if kind.has(key)]

    def put(self, key: str, body: dict[str, Any]) -> Put:
        """Return the change that adds a row."""
        return Put(self._partition, stored_key(key), body, expiry(), expected=ABSENT)

    async def add(self, key: str, body: dict[str, Any], more: Sequence[Change] = ()) -> dict[str, Any]:
        """Return the row that is stored: `body` itself, or an earlier one. more: to write with it.

        Raises:
            AnswerNotStored: the store is away.
        """
        try:
            if self.store is None:
                return body
            for later, record in [*self._unwritten.items()]:
                await self._add(self.store, later, record)
                self._unwritten.pop(later, None)
            return await self._add(self.store, key, body, more)
        except StoreUnavailable as error:
            raise AnswerNotStored from error

    def add_later(self, key: str, body: dict[str, Any]) -> None:
        """Add a row before the next one that is added."""
        if self.store:
            self._unwritten[key] = body

    async def delete(self, key: str) -> None:
        if self._unwritten.pop(key, None) is None and self.store:
            await self.store.write(Delete(self._partition, stored_key(key)))

    async def _add(self, store: Store, key: str, body: dict[str, Any], more: Sequence[Change] = ()) -> dict[str, Any]:
        put = self.put(key, body)
        while True:
            try:
                await store.write(put, *more)
            except Conflict:  # an attempt that has lost its lease, and does not know yet, or ours that has
                if there := await store.get(put.partition, put.sort):
                    await store.write(*more)  # both were paid
                    return dict(there.body)
                continue
            return body
