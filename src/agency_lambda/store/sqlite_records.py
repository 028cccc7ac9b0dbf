import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agency_lambda.store import ABSENT, Add, Change, Conflict, LimitReached, Put, Record
from agency_lambda.store.encoding import TooLarge, decode_body, encode_body

_ANY = 2**31  # bytes; SQLite's own limit is less
_UNEXPIRED = "FROM record WHERE partition = ? AND ifnull(expires > ?, TRUE)"
_PUT = "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM record WHERE partition = ? AND sort = ?"


@dataclass(frozen=True)
class Query:
    """The unexpired records of a partition for which `where` is true."""

    partition: str
    where: str
    values: tuple[Any, ...]

    def rows(self, connection: sqlite3.Connection, largest: int = 0) -> sqlite3.Cursor:
        columns = "sort, iif(length(body) <= ?, body, NULL), version, expires"
        values = (largest or _ANY, self.partition, int(time.time()), *self.values)
        return connection.execute(f"SELECT {columns} {_UNEXPIRED} {self.where}", values)

    def record(self, row: tuple[str, bytes | None, str, int | None], largest: int = 0) -> Record:
        """Raises TooLarge."""
        sort, data, version, expires = row
        if data is None:
            raise TooLarge
        body, size = decode_body(data, largest)
        return Record(self.partition, sort, body, version, expires, size)


def apply_changes(connection: sqlite3.Connection, changes: Sequence[Change], bodies: Sequence[bytes]) -> None:
    """Write, unless an earlier call has. Raises Conflict."""
    now = int(time.time())
    if _is_written(connection, changes, now):
        return
    for change, body in zip(changes, bodies, strict=True):
        if isinstance(change, Add):
            connection.execute(_PUT, _added(connection, change, now))
        elif isinstance(change, Put):
            connection.execute(_PUT, (change.partition, change.sort, body, change.version, change.expires))
        else:
            connection.execute(_DELETE, (change.partition, change.sort))


def _is_written(connection: sqlite3.Connection, changes: Sequence[Change], now: int) -> bool:
    """Return whether an earlier call has written them. Raises Conflict."""
    versions: list[str] = []
    for change in changes:
        key = (change.partition, now, change.sort)
        row = connection.execute(f"SELECT version {_UNEXPIRED} AND sort = ?", key).fetchone()
        versions.append(row[0] if row else ABSENT)
    if all(change.expected in (None, version) for change, version in zip(changes, versions, strict=True)):
        return False
    if {change.version for change in changes if isinstance(change, Put)} & set(versions):
        return True
    raise Conflict


def _added(connection: sqlite3.Connection, add: Add, now: int) -> tuple[Any, ...]:
    """Return a counter record's row with its new sums. Raises LimitReached."""
    row = connection.execute(f"SELECT body {_UNEXPIRED} AND sort = ?", (add.partition, now, add.sort)).fetchone()
    sums: dict[str, int] = decode_body(row[0])[0] if row else {}
    if name := add.exceeded(sums):
        raise LimitReached(add, name)
    after = sums | {name: sums.get(name, 0) + amount for name, amount in add.amounts.items()}
    return add.partition, add.sort, encode_body(after), add.version, add.expires
