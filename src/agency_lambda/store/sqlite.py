"""The local store, used on the event loop where that is quick."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from agency_lambda.store import Change, NotWritten, Put, Record, StoreUnavailable
from agency_lambda.store.encoding import TooLarge, check_changes, compress, encode_json
from agency_lambda.store.pace import Pace
from agency_lambda.store.sqlite_file import NotOnLoop, SQLiteFile, close
from agency_lambda.store.sqlite_records import Query, apply_changes

logger = logging.getLogger(__name__)
_THREADS = 4  # calls at a time; SQLite lets one of them write
_SLICE = 0.002  # seconds of a query before other tasks have their turn
_LARGE = 32_000  # bytes of bodies that are written or decoded in a thread
_LOG = 4_000_000  # bytes of writes until the file's log is shortened
_LOG_PER_CHANGE = 2048
# A transaction with such an error has been rolled back.
_ROLLED_BACK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_WRITE)


class SQLiteStore:
    """Calls go to a thread if the file is busy, the disk slow or the body large."""

    def __init__(self, path: str) -> None:
        self._file = SQLiteFile(Path(path))
        self._reads, self._writes = Pace(), Pace()
        # Not the loop's own pool: slow tools could fill it, and no lease would be renewed.
        self._threads = ThreadPoolExecutor(_THREADS, "store")
        self._log = _LOG  # bytes since it was shortened; the processes before this one may have been killed
        self._shortening: Future[None] | None = None

    async def get(self, partition: str, sort: str) -> Record | None:
        records = await self._read(partition, "AND sort = ?", sort)
        return records[0] if records else None

    async def query(
        self,
        partition: str,
        *,
        after: str = "",
        before: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Record]:
        end = b"" if before is None else before  # SQLite sorts every blob after every text
        count = -1 if limit is None else limit
        where = f"AND sort > ? AND sort < ? ORDER BY sort {'DESC' if descending else 'ASC'} LIMIT ?"
        return await self._read(partition, where, after, end, count)

    async def write(self, *changes: Change) -> None:
        check_changes(changes)
        await asyncio.sleep(0)  # other tasks have their turn, and this one can be cancelled
        # A thread would hold the interpreter's lock while it makes JSON, and the loop would wait as long.
        bodies = [encode_json(change.body) if isinstance(change, Put) else b"" for change in changes]
        size = sum(map(len, bodies))
        if not (size <= _LARGE and self._write_on_loop(changes, bodies)):
            await self._in_thread(_timed, self._writes, self._write, changes, bodies)
        self._log += size + _LOG_PER_CHANGE * len(changes)
        if self._log >= _LOG and not self._is_shortening:
            self._log, self._shortening = 0, self._threads.submit(self._shorten)

    async def aclose(self) -> None:
        if self._file.idle or self._is_shortening:
            await self._in_thread(self._close)

    def _close(self) -> None:
        if self._shortening:
            wait([self._shortening])
        close(self._file.idle)

    async def _in_thread[T](self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _read(self, partition: str, where: str, *values: Any) -> list[Record]:
        await asyncio.sleep(0)
        query = Query(partition, where, values)
        try:
            if self._reads.is_quick:
                with suppress(NotOnLoop, TooLarge):
                    return await self._read_in_slices(query)
            return await self._in_thread(_timed, self._reads, self._read_at_once, query)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable("The store could not be read.") from error

    async def _read_in_slices(self, query: Query) -> list[Record]:
        records, begun = list[Record](), time.perf_counter()
        with self._file.connection(may_wait=False) as connection, closing(query.rows(connection, _LARGE)) as rows:
            for row in rows:
                records.append(query.record(row, _LARGE))
                if (seconds := time.perf_counter() - begun) > _SLICE:
                    self._reads.record(seconds)
                    await asyncio.sleep(0)
                    begun = time.perf_counter()
        self._reads.record(time.perf_counter() - begun)
        return records

    def _read_at_once(self, query: Query) -> list[Record]:
        with self._file.connection(may_wait=True) as connection:
            rows = query.rows(connection).fetchall()
        return [query.record(row) for row in rows]

    def _write_on_loop(self, changes: Sequence[Change], bodies: Sequence[bytes]) -> bool:
        """Return False if they need a thread."""
        if not self._writes.is_quick or self._is_shortening:
            return False
        try:
            _timed(self._writes, self._write, changes, bodies, may_wait=False)
        except NotOnLoop:
            return False
        return True

    def _write(self, changes: Sequence[Change], bodies: Sequence[bytes], *, may_wait: bool = True) -> None:
        stored = [compress(body) for body in bodies]
        try:
            with self._file.connection(may_wait=may_wait) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                apply_changes(connection, changes, stored)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) in _ROLLED_BACK:
                logger.error("the store's file could not be written: %s", error)
                raise NotWritten("The store could not be written.") from error
            raise StoreUnavailable("The store could not be written.") from error

    @property
    def _is_shortening(self) -> bool:
        return self._shortening is not None and not self._shortening.done()

    def _shorten(self) -> None:
        try:
            self._file.shorten()
        except (sqlite3.Error, OSError, StoreUnavailable):
            logger.warning("the log of the store's file could not be shortened", exc_info=True)


def _timed[T](pace: Pace, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    begun = time.perf_counter()
    try:
        return work(*arguments, **options)
    finally:
        pace.record(time.perf_counter() - begun)
