"""The embedded store: one SQLite file, safe for several processes."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pydantic_core import to_jsonable_python

from handler.errors import ConversationBusy, StoreUnavailable

from . import Item

_BUSY = 5.0  # seconds to wait for another process's write
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS item (
    conversation TEXT NOT NULL,
    position INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (conversation, position)
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""


class SQLiteStore:
    """Implements `Store`. A connection a call: cheap, and nothing to renew after a fork or a snapshot."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def load(self, conversation: str) -> list[Item]:
        return await asyncio.to_thread(self._load, conversation)

    async def append(self, conversation: str, position: int, items: Sequence[Item]) -> None:
        await asyncio.to_thread(self._append, conversation, position, items)

    def _load(self, conversation: str) -> list[Item]:
        query = "SELECT item FROM item WHERE conversation = ? ORDER BY position"
        try:
            with closing(self._connect()) as connection:
                return [json.loads(item) for (item,) in connection.execute(query, (conversation,))]
        except (sqlite3.Error, OSError, ValueError) as error:
            raise StoreUnavailable("The conversation could not be read.") from error

    def _append(self, conversation: str, position: int, items: Sequence[Item]) -> None:
        rows = [
            (conversation, number, json.dumps(item, default=to_jsonable_python))
            for number, item in enumerate(items, position)
        ]
        try:
            with closing(self._connect()) as connection, connection:
                connection.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
        except sqlite3.IntegrityError as error:
            raise ConversationBusy(
                "Another run continued this conversation meanwhile. What this run did is done, but not in the history."
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable("The conversation could not be written.") from error

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY)
        try:
            _set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _set_up(connection: sqlite3.Connection) -> None:
    """The first of several processes that start together makes the file; SQLite itself does not wait for that."""
    deadline = time.monotonic() + _BUSY
    while not connection.execute("PRAGMA user_version").fetchone()[0]:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
