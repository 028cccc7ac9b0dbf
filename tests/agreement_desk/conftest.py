import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agreement_desk import planfix_items
from agreement_desk.planfix import Planfix, open_planfix
from tests.agreement_desk.planfix_server import TOKEN, PlanfixServer
from agency_lambda.testing.aws import dynamodb_table


@pytest.fixture(autouse=True)
def board_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a board of its own and no Planfix of the developer's."""
    for name in ("PLANFIX_URL", "PLANFIX_TOKEN", "PLANFIX_TOKEN_SECRET", "AWS_LAMBDA_FUNCTION_NAME"):
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


@pytest.fixture(scope="session")
def one_table() -> Iterator[tuple[str, dict[str, str]]]:
    with dynamodb_table() as made:
        yield made


@pytest.fixture
def use_table(one_table: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a table that is PLANFIX_BOARD, and empty."""
    name, environment = one_table
    for variable, value in {**environment, "PLANFIX_BOARD": f"dynamodb://{name}"}.items():
        monkeypatch.setenv(variable, value)
    planfix_items.client.cache_clear()
    client = planfix_items.client()
    for page in client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
        for item in page["Items"]:
            client.delete_item(TableName=name, Key={key: item[key] for key in ("partition", "sort")})
    yield name
    client.close()
    planfix_items.client.cache_clear()


@pytest.fixture(params=["board", "table", "rest"])
def implementation(request: pytest.FixtureRequest) -> str:
    if request.param == "rest":
        request.getfixturevalue("use_server")
    if request.param == "table":
        request.getfixturevalue("use_table")
    return request.param


@pytest.fixture
def planfix(implementation: str) -> Planfix:
    return open_planfix()


@pytest.fixture
def comments(implementation: str, request: pytest.FixtureRequest) -> Callable[[], list[tuple[int, str]]]:
    """The comments that are there, read behind the contract's back: it can only add them."""
    if implementation == "rest":
        return lambda: request.getfixturevalue("server").comments
    if implementation == "table":
        items = planfix_items.Items(request.getfixturevalue("use_table")).all
        return lambda: [(int(item["task_id"]["N"]), item["text"]["S"]) for item in items("comment")]

    def rows() -> list[tuple[int, str]]:
        with closing(sqlite3.connect(request.getfixturevalue("board_path"))) as board:
            return board.execute("SELECT task_id, text FROM comment ORDER BY id").fetchall()

    return rows
