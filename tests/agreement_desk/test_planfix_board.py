"""The embedded board under several threads and processes."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from agreement_desk.planfix_board import Board
from agreement_desk.task import PlanfixError

ROOT = Path(__file__).parents[2]
WRITER = """
from agreement_desk.planfix import open_planfix
parent = open_planfix().create_task("parent")
for number in range(15):
    task = open_planfix().create_task(f"task {number}", "", parent)
    open_planfix().update_task(task, description="done")
    open_planfix().add_comment(task, "done")
    assert len(open_planfix().list_tasks("", parent)) == number + 1
"""


@pytest.fixture
def board(board_path: Path) -> Board:
    return Board(board_path)


def test_several_processes_start_on_a_new_board_together(board_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'agents'}"}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER], env=env) for _ in range(5)]
    assert [writer.wait(60) for writer in writers] == [0] * 5
    with closing(sqlite3.connect(board_path)) as rows:
        assert rows.execute("SELECT count(*) FROM task").fetchone() == (5 * 16,)
        assert rows.execute("SELECT count(*) FROM comment").fetchone() == (5 * 15,)
        assert rows.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_several_threads_share_a_board(board: Board) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(board.create_task, [f"task {number}" for number in range(80)]))
    assert sorted(ids) == [task.id for task in board.list_tasks()]
    assert len(set(ids)) == 80


def test_a_board_that_another_process_is_setting_up_is_waited_for(board: Board, board_path: Path) -> None:
    board_path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(board_path, autocommit=True, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        started = time.monotonic()
        assert board.create_task("first") == 1
        assert time.monotonic() - started > 0.2
        release.join()


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[sqlite3.Connection]]:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(connect(*a, **k)) or opened[-1])
    return opened


def test_no_connection_is_left_open(board: Board, connections: list[sqlite3.Connection]) -> None:
    board.add_comment(board.create_task("first"), "text")
    for failing in (lambda: board.get_task(9), lambda: board.add_comment(9, "x"), lambda: board.get_task(10**30)):
        with pytest.raises(PlanfixError):
            failing()
    assert len(connections) == 5
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_file_that_is_no_board_is_one_sentence(board: Board, board_path: Path) -> None:
    board_path.parent.mkdir(parents=True)
    board_path.write_text("This is not a database, and long enough to be looked at as one. " * 50)
    with pytest.raises(PlanfixError, match=r"^The embedded board cannot be used: file is not a database$"):
        board.list_tasks()


def test_a_folder_that_cannot_be_made_is_one_sentence_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlanfixError, match=r"^The embedded board cannot be used: ") as error:
        Board(tmp_path / "file" / "board.db").list_tasks()
    assert str(tmp_path) not in str(error.value)
