"""The file of a store: connections, tables and cleaning."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import finalize

from agency_lambda.store import StoreUnavailable

BUSY = 5.0  # seconds to wait for another process's write
_VERSION = 2  # version 1 had a table `item`, which is not read
# A commit writes whole pages, and most records are a few hundred bytes: with SQLite's own 4,096 it wrote four times as
# much. A file that is there keeps its size of pages.
_PAGE = 512
_LONGEST_LOG = 16_000_000 // _PAGE  # pages
_SWEPT = 10_000  # records in one step: five times as many as are written from one to the next
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
PRAGMA user_version = {_VERSION};
COMMIT;
"""
# An index on `expires` would be a quarter of all that is written.
_SWEPT_SCHEMA = """
DROP INDEX IF EXISTS record_expires;
CREATE TABLE IF NOT EXISTS swept (partition TEXT NOT NULL, sort TEXT NOT NULL);
"""
_AFTER = "FROM record WHERE (partition, sort) > (?, ?)"
_NEXT = f"SELECT partition, sort {_AFTER} ORDER BY partition, sort LIMIT 1 OFFSET ?"


class NotOnLoop(Exception):
    """A call needs a thread: it would wait for another process, or for the disk."""


class SQLiteFile:
    """A pool of connections to a file that other processes may use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Opening a connection takes longer than a query, and closing the last one waits for the disk.
        self.idle: list[sqlite3.Connection] = []
        finalize(self, close, self.idle)

    @contextmanager
    def connection(self, *, may_wait: bool) -> Iterator[sqlite3.Connection]:
        """Lend a connection; one that has failed is closed. Raises NotOnLoop if it would wait."""
        connection = self._take(may_wait=may_wait)
        try:
            connection.execute(f"PRAGMA busy_timeout = {round(BUSY * 1000) if may_wait else 0}")
            if may_wait:
                _create_tables(connection)
            elif _stored_version(connection) != _VERSION:
                raise NotOnLoop
            yield connection
        except (sqlite3.Error, StoreUnavailable) as error:
            if not may_wait and is_busy(error):
                self.idle.append(connection)
                raise NotOnLoop from error
            connection.close()
            raise
        except BaseException:
            self.idle.append(connection)
            raise
        self.idle.append(connection)

    def _take(self, *, may_wait: bool) -> sqlite3.Connection:
        if not self._path.exists():  # the file was deleted: open connections would write to nowhere
            close(self.idle)
        try:
            return self.idle.pop()
        except IndexError:
            if not may_wait:
                raise NotOnLoop from None
            return self._open()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            # A commit survives the end of this process; a power cut may lose the last commits, but no part of one.
            connection.execute("PRAGMA synchronous = NORMAL")
            # SQLite would do it within some commit, and that one would wait for the disk: `shorten` does it.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:
            connection.close()
            raise
        return connection

    def shorten(self) -> None:
        """Copy the log of the last writes into the file, and delete some expired records."""
        with self.connection(may_wait=True) as connection:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages > _LONGEST_LOG:  # others have written all the while, so that the log could not begin anew
                connection.execute("PRAGMA wal_checkpoint(RESTART)")
            # The first write after a checkpoint waits for the disk. This is one.
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                _sweep(connection, int(time.time()))


def close(connections: list[sqlite3.Connection]) -> None:
    with suppress(IndexError):  # other threads may take some meanwhile
        while True:
            connections.pop().close()


def is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _sweep(connection: sqlite3.Connection, now: int) -> None:
    """Delete the expired among the next records, and store the position."""
    for statement in _SWEPT_SCHEMA.strip().splitlines():
        connection.execute(statement)
    start = connection.execute("SELECT partition, sort FROM swept").fetchone() or ("", "")
    end = connection.execute(_NEXT, (*start, _SWEPT - 1)).fetchone()
    until, keys = ("AND (partition, sort) <= (?, ?)", (*start, *end)) if end else ("", start)
    connection.execute(f"DELETE {_AFTER} {until} AND expires <= ?", (*keys, now))
    connection.execute("DELETE FROM swept")
    connection.execute("INSERT INTO swept VALUES (?, ?)", end or ("", ""))


def _stored_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables, or wait while another process does."""
    deadline = time.monotonic() + BUSY
    while (version := _stored_version(connection)) != _VERSION:
        if version > _VERSION:
            raise StoreUnavailable("The store was made by a newer version of this service.")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
