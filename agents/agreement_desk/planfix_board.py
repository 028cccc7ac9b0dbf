"""The embedded board: a SQLite file that any number of threads and processes may share."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from agreement_desk.task import PAGE, PlanfixError, Task, missing

BUSY_SECONDS = 10.0
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    parent_id INTEGER REFERENCES task (id)
) STRICT;
CREATE TABLE IF NOT EXISTS comment (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL REFERENCES task (id),
    text TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
COMMIT;
"""


class Board:
    def __init__(self, path: Path) -> None:
        self._path = path

    def create_task(self, name: str, description: str = "", parent_id: int | None = None) -> int:
        insert = "INSERT INTO task (name, description, parent_id) VALUES (?, ?, ?) RETURNING id"
        with self._connection(about=parent_id) as board:
            return int(board.execute(insert, (name, description, parent_id)).fetchone()[0])

    def get_task(self, task_id: int) -> Task:
        select = "SELECT id, name, description, parent_id FROM task WHERE id = ?"
        with self._connection(about=task_id) as board:
            row = board.execute(select, (task_id,)).fetchone()
        if row is None:
            raise missing(task_id)
        return Task(*row)

    def list_tasks(self, text: str = "", parent_id: int | None = None) -> list[Task]:
        select = """SELECT id, name, description, parent_id FROM task
            WHERE instr(casefold(name), casefold(?1)) AND (?2 IS NULL OR parent_id = ?2)
            ORDER BY id LIMIT ?3"""
        with self._connection(about=parent_id) as board:
            return [Task(*row) for row in board.execute(select, (text, parent_id, PAGE))]

    def update_task(self, task_id: int, name: str | None = None, description: str | None = None) -> None:
        update = """UPDATE task SET name = coalesce(?, name), description = coalesce(?, description)
            WHERE id = ?"""
        with self._connection(about=task_id) as board:
            changed = board.execute(update, (name, description, task_id)).rowcount
        if not changed:
            raise missing(task_id)

    def add_comment(self, task_id: int, text: str) -> int:
        insert = "INSERT INTO comment (task_id, text) VALUES (?, ?) RETURNING id"
        with self._connection(about=task_id) as board:
            return int(board.execute(insert, (task_id, text)).fetchone()[0])

    @contextmanager
    def _connection(self, about: int | None) -> Iterator[sqlite3.Connection]:
        """One connection an operation: nothing to leak, to freeze with Lambda or to share between threads."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, autocommit=True)
            with closing(connection) as board:
                _set_up(board)
                yield board
        except (sqlite3.IntegrityError, OverflowError):  # a foreign key, or an id beyond 64 bits
            raise missing(about) from None
        except (sqlite3.Error, OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PlanfixError(f"The embedded board cannot be used: {reason}") from error


def _set_up(board: sqlite3.Connection) -> None:
    board.execute("PRAGMA foreign_keys = ON")
    board.create_function("casefold", 1, str.casefold, deterministic=True)  # SQLite's own knows ASCII only
    if not board.execute("PRAGMA user_version").fetchone()[0]:
        _switch_to_wal(board)
        board.executescript(SCHEMA)


def _switch_to_wal(board: sqlite3.Connection) -> None:
    """SQLite does not wait for its busy timeout here, so processes that start together would fail."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            board.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
