"""The store's contract."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handler.errors import ConversationBusy, StoreUnavailable
from handler.store import Store
from handler.store.sqlite import SQLiteStore


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return SQLiteStore(f"{tmp_path}/new/folder/agency.db")


def turn(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def test_what_was_appended_is_loaded_in_order(store: Store) -> None:
    async def use() -> None:
        assert await store.load("a") == []
        await store.append("a", 0, turn("one", "two"))
        await store.append("a", 2, turn("drei \u0000 😀"))
        await store.append("b", 0, turn("other"))
        assert await store.load("a") == turn("one", "two", "drei \u0000 😀")

    asyncio.run(use())


def test_two_runs_on_one_conversation_never_mix(store: Store) -> None:
    async def use() -> None:
        await store.append("a", 0, turn("one"))
        with pytest.raises(ConversationBusy):
            await store.append("a", 0, turn("uno", "dos"))
        assert await store.load("a") == turn("one")

    asyncio.run(use())


def test_a_broken_file_is_never_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "agency.db"
    path.write_bytes(b"no database at all " * 100)
    with pytest.raises(StoreUnavailable):
        asyncio.run(SQLiteStore(str(path)).load("a"))
    with pytest.raises(StoreUnavailable):
        asyncio.run(SQLiteStore(f"{path}/below/a/file.db").load("a"))


WRITER = """
import asyncio, sys
from handler.errors import ConversationBusy
from handler.store.sqlite import SQLiteStore
store, name, done = SQLiteStore(sys.argv[1]), sys.argv[2], 0
async def write():
    global done
    while done < 20:
        history = await store.load("shared")
        try:
            await store.append("shared", len(history), [{"from": name, "n": done}, {"from": name, "n": done}])
            done += 1
        except ConversationBusy:
            pass
asyncio.run(write())
"""


def test_writers_in_several_processes_lose_and_interleave_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/agency.db"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    items = asyncio.run(SQLiteStore(path).load("shared"))
    assert len(items) == 3 * 20 * 2
    assert all(first == second for first, second in zip(items[::2], items[1::2], strict=True))


def test_the_file_is_left_in_wal_mode_and_closed(store: Store, tmp_path: Path) -> None:
    asyncio.run(store.append("a", 0, turn("one")))
    connection = sqlite3.connect(tmp_path / "new" / "folder" / "agency.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
