"""Which calls of the SQLite store are made on the event loop, and which never block it."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.store import Put, Store, open_store, pace

LONGEST = 0.02  # seconds of CPU; 5 ms are meant, on a machine that is quick
SLOW = 0.05  # seconds of a slow statement
connect = sqlite3.connect


class Disk:
    """Counts the commits on the loop and in threads; a slow one takes its time to begin and to commit."""

    def __init__(self) -> None:
        self.delay, self.loop, self.on_loop, self.in_threads = 0.0, threading.get_ident(), 0, 0
        self.checkpoints = list[bool]()  # on the loop?
        self.at_checkpoint = self.beside_checkpoint = 0  # at one now; commits on the loop meanwhile

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                on_loop = threading.get_ident() == disk.loop
                if statement == "BEGIN IMMEDIATE":
                    disk.on_loop += on_loop
                    disk.in_threads += not on_loop
                    disk.beside_checkpoint += on_loop and disk.at_checkpoint > 0
                    time.sleep(disk.delay)
                if "wal_checkpoint" in statement:
                    disk.checkpoints.append(on_loop)
                    disk.at_checkpoint += 1
                    time.sleep(SLOW)
                    disk.at_checkpoint -= 1
                return super().execute(statement, *values)

        return connect(*arguments, **options, factory=Connection)

    def counts(self) -> tuple[int, int]:
        counted = self.on_loop, self.in_threads
        self.on_loop = self.in_threads = 0
        return counted


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("agency_lambda.store.sqlite_file.sqlite3.connect", disk.connect)
    return disk


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("agency_lambda.store.sqlite._LOG", 1_000_000)
    store = open_store(f"sqlite:///{tmp_path}/agency.db")
    store._log = 0  # type: ignore[attr-defined]
    yield store
    asyncio.run(store.aclose())


async def longest_block(work: Coroutine[Any, Any, Any]) -> float:
    """Return the most seconds that the loop's thread worked without a turn for others; what it slept is not counted."""
    ticks, task = [time.thread_time()], asyncio.create_task(work)
    while not task.done():
        await asyncio.sleep(0.001)
        ticks.append(time.thread_time())
    await task
    return max(later - earlier for earlier, later in pairwise(ticks))


async def warm_up(store: Store) -> None:
    """Make calls until both reads and writes are made on the loop."""
    for number in range(8):
        await store.write(Put("warm", f"{number}", 1))
        await store.get("warm", f"{number}")


async def put(store: Store, count: int, body: Any = 1) -> None:
    for number in range(count):
        await store.write(Put("p", f"{number:06}", body))


def run(use: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(use())


def test_quick_writes_need_no_thread(store: Store, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LIMIT", 10.0)

    async def use() -> None:
        await put(store, 20)
        disk.counts()
        await put(store, 50)
        assert disk.counts() == (50, 0)

    run(use)


def test_a_disk_that_is_slow_from_the_start_never_blocks_the_loop(store: Store, disk: Disk) -> None:
    async def use() -> None:
        disk.delay = SLOW
        await put(store, 8)
        assert disk.counts() == (0, 8)

    run(use)


def test_a_disk_that_becomes_slow_blocks_the_loop_once(
    store: Store, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LIMIT", SLOW / 2)

    async def use() -> None:
        await put(store, 20)
        disk.counts()
        disk.delay = SLOW
        await put(store, 1)
        await put(store, 8)
        assert disk.counts() == (1, 8)
        disk.delay = 0.0
        await put(store, 50)
        assert disk.counts()[0] > 30  # it has come back

    run(use)


def test_no_commit_on_the_loop_waits_for_a_checkpoint(store: Store, disk: Disk) -> None:
    async def use() -> None:
        await put(store, 5)
        await put(store, 3000, "x" * 900)
        connection = store._file.idle[-1]  # type: ignore[attr-defined]
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)  # SQLite begins none of its own

    run(use)
    asyncio.run(store.aclose())
    assert disk.checkpoints
    assert not any(disk.checkpoints)
    assert disk.beside_checkpoint == 0  # the first commit after one waits for the disk


def test_the_log_stays_short(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.store.sqlite_file._LONGEST_LOG", 4000)  # pages of 512 bytes
    asyncio.run(put(store, 8000, "x" * 900))
    assert (tmp_path / "agency.db-wal").stat().st_size < 16_000_000  # 33 were written


def test_a_long_query_gives_others_their_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LIMIT", 10.0)  # what else the machine does sends nothing to a thread

    async def use() -> None:
        for start in range(0, 20_000, 25):
            await store.write(*(Put("p", f"{start + number:06}", [{"n": number}] * 5) for number in range(25)))
        await warm_up(store)
        # The least of three: a collection of garbage is in the time of one.
        assert min([await longest_block(store.query("p")) for _ in range(3)]) < LONGEST
        assert len(await store.query("p")) == 20_000

    run(use)


def test_a_large_body_is_compressed_and_decompressed_in_a_thread(store: Store, disk: Disk) -> None:
    large = os.urandom(1_500_000).hex()

    async def use() -> None:
        await warm_up(store)
        disk.counts()
        assert await longest_block(put(store, 1, large)) < LONGEST
        assert disk.counts() == (0, 1)
        read = asyncio.create_task(store.get("p", "000000"))
        assert await longest_block(asyncio.wait_for(read, 10)) < LONGEST
        record = await read
        assert record
        assert record.body == large

    run(use)


def test_a_body_that_only_grows_large_is_not_decoded_on_the_loop(
    store: Store, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LIMIT", 10.0)

    async def use() -> None:
        await put(store, 1, "x" * 3_000_000)  # 3 kB compressed
        await warm_up(store)
        threads = list[int]()
        store._read_at_once, read = lambda query: (threads.append(1), read(query))[1], store._read_at_once  # type: ignore[attr-defined]
        await store.get("warm", "0")
        await store.query("p", limit=1)
        assert threads == [1]

    run(use)


def test_a_cancelled_query_leaves_no_snapshot_behind(store: Store, tmp_path: Path) -> None:
    store._log = -(10**9)  # type: ignore[attr-defined]  # nothing else is at work

    async def use() -> None:
        for start in range(0, 5000, 25):
            await store.write(*(Put("p", f"{start + number:06}", [{"n": number}] * 5) for number in range(25)))
        for _ in range(5):
            await store.query("p", limit=1)
        query = asyncio.create_task(store.query("p"))
        await asyncio.sleep(0.005)
        query.cancel()
        with pytest.raises(asyncio.CancelledError):
            await query
        with closing(connect(tmp_path / "agency.db", timeout=0)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # nobody reads

    run(use)
