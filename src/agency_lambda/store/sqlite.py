"""The local store: one SQLite file, which several processes may use."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import finalize

from agency_lambda.store import ABSENT, Add, Change, Conflict, LimitReached, Put, Record, StoreUnavailable
from agency_lambda.store.encoding import check_changes, decode_body, encode_body

_BUSY = 5.0  # seconds to wait for another process's write
_THREADS = 4  # calls at a time; SQLite lets one of them write
_VERSION = 2  # version 1 had a table `item`, which is not read
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS record (
    partition TEXT NOT NULL,
    sort TEXT NOT NULL,
    body BLOB NOT NULL,
    version TEXT NOT NULL,
    expires INTEGER,
    PRIMARY KEY (partition, sort)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_expires ON record (expires) WHERE expires IS NOT NULL;
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_UNEXPIRED = "FROM record WHERE partition = ? AND ifnull(expires > ?, TRUE)"
_PUT = "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM record WHERE partition = ? AND sort = ?"
_PURGE = """
DELETE FROM record WHERE (partition, sort) IN (SELECT partition, sort FROM record WHERE expires <= ? LIMIT 25)
"""  # as many as one write may add, so that expired records cannot pile up


class SQLiteStore:
    """Implements `Store` with a pool of connections."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # Opening a connection takes longer than a query, and closing the last one waits for the disk.
        self._idle: list[sqlite3.Connection] = []
        finalize(self, _close, self._idle)
        # Not the loop's own pool: slow tools could fill it, and no lease would be renewed.
        self._threads = ThreadPoolExecutor(_THREADS, "store")

    async def get(self, partition: str, sort: str) -> Record | None:
        records = await self._in_thread(self._select, partition, "AND sort = ?", sort)
        return records[0] if records else None

    async def query(
        self, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[Record]:
        end = b"" if before is None else before  # SQLite sorts every blob after every text
        count = -1 if limit is None else limit
        where = "AND sort > ? AND sort < ? ORDER BY sort LIMIT ?"
        return await self._in_thread(self._select, partition, where, after, end, count)

    async def write(self, *changes: Change) -> None:
        check_changes(changes)
        await self._in_thread(self._write, changes)

    async def aclose(self) -> None:
        if self._idle:
            await self._in_thread(_close, self._idle)

    async def _in_thread[T](self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _select(self, partition: str, where: str, *values: Any) -> list[Record]:
        query = f"SELECT sort, body, version, expires {_UNEXPIRED} {where}"
        try:
            with self._connection() as connection:
                rows = connection.execute(query, (partition, int(time.time()), *values)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable("The store could not be read.") from error
        records = []
        for sort, data, version, expires in rows:
            body, size = decode_body(data)
            records.append(Record(partition, sort, body, version, expires, size))
        return records

    def _write(self, changes: tuple[Change, ...]) -> None:
        bodies = [encode_body(change.body) if isinstance(change, Put) else b"" for change in changes]
        try:
            with self._connection() as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                now = int(time.time())
                if _is_written(connection, changes, now):
                    return
                for change, body in zip(changes, bodies, strict=True):
                    if isinstance(change, Add):
                        connection.execute(_PUT, _added(connection, change, now))
                    elif isinstance(change, Put):
                        row = (change.partition, change.sort, body, change.version, change.expires)
                        connection.execute(_PUT, row)
                    else:
                        connection.execute(_DELETE, (change.partition, change.sort))
                connection.execute(_PURGE, (now,))
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable("The store could not be written.") from error

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection of the pool; one that has failed is closed."""
        if not self._path.exists():  # the file was deleted: open connections would write to nowhere
            _close(self._idle)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            _create_tables(connection)
            yield connection
        except (sqlite3.Error, StoreUnavailable):
            connection.close()
            raise
        except BaseException:
            self._idle.append(connection)
            raise
        self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            # A commit survives the end of this process; a power cut may lose the last commits, but no part of one.
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


def _close(connections: list[sqlite3.Connection]) -> None:
    with suppress(IndexError):  # other threads may take some meanwhile
        while True:
            connections.pop().close()


def _is_written(connection: sqlite3.Connection, changes: tuple[Change, ...], now: int) -> bool:
    """Return whether an earlier call has written these changes. Raises Conflict."""
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
    """Return the row of a counter record with its new sums. Raises LimitReached."""
    row = connection.execute(f"SELECT body {_UNEXPIRED} AND sort = ?", (add.partition, now, add.sort)).fetchone()
    sums: dict[str, int] = decode_body(row[0])[0] if row else {}
    if name := add.exceeded(sums):
        raise LimitReached(add, name)
    after = sums | {name: sums.get(name, 0) + amount for name, amount in add.amounts.items()}
    return add.partition, add.sort, encode_body(after), add.version, add.expires


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables, or wait while another process does."""
    deadline = time.monotonic() + _BUSY
    while (version := connection.execute("PRAGMA user_version").fetchone()[0]) != _VERSION:
        if version > _VERSION:
            raise StoreUnavailable("The store was made by a newer version of this service.")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
