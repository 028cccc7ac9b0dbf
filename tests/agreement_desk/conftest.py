import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agreement_desk.planfix import Planfix, open_planfix
from tests.planfix_server import TOKEN, PlanfixServer


@pytest.fixture(autouse=True)
def board_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a board of its own and no Planfix of the developer's."""
    for name in ("PLANFIX_URL", "PLANFIX_TOKEN", "AWS_LAMBDA_FUNCTION_NAME"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "a" / "new" / "folder" / "board.db"
    monkeypatch.setenv("PLANFIX_BOARD", str(path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return path


@pytest.fixture
def server() -> Iterator[PlanfixServer]:
    with PlanfixServer() as server:
        yield server


@pytest.fixture
def use_server(server: PlanfixServer, monkeypatch: pytest.MonkeyPatch) -> PlanfixServer:
    monkeypatch.setenv("PLANFIX_URL", server.url)
    monkeypatch.setenv("PLANFIX_TOKEN", TOKEN)
    return server


@pytest.fixture(params=["board", "rest"])
def implementation(request: pytest.FixtureRequest) -> str:
    if request.param == "rest":
        request.getfixturevalue("use_server")
    return request.param


@pytest.fixture
def planfix(implementation: str) -> Planfix:
    return open_planfix()


@pytest.fixture
def comments(implementation: str, request: pytest.FixtureRequest) -> Callable[[], list[tuple[int, str]]]:
    """The comments that are there, read behind the contract's back: it can only add them."""
    if implementation == "rest":
        return lambda: request.getfixturevalue("server").comments

    def rows() -> list[tuple[int, str]]:
        with closing(sqlite3.connect(request.getfixturevalue("board_path"))) as board:
            return board.execute("SELECT task_id, text FROM comment ORDER BY id").fetchall()

    return rows
