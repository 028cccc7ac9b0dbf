"""docs/agency-swarm.md: every row has a test that holds it, and every test a row."""

import ast
from pathlib import Path

from tests.library.features.rows import STATES, rows

FOLDER = Path(__file__).parent


def held() -> dict[str, list[str]]:
    """Row -> the tests that hold it."""
    found: dict[str, list[str]] = {}
    for path in FOLDER.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for each in node.decorator_list:
                if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "holds":
                    assert node.name.startswith("test_"), node.name
                    for name in each.args:
                        assert isinstance(name, ast.Constant)
                        found.setdefault(str(name.value), []).append(node.name)
    return found


def test_every_row_is_held_by_a_test_and_every_test_holds_a_row() -> None:
    names = [row.name for row in rows()]
    assert sorted(names) == sorted(held())
    assert len(names) >= 40


def test_rows_are_whole() -> None:
    for row in rows():
        assert row.state in STATES, row
        assert row.feature, row
        assert row.notes or row.state == "works", row


def test_what_is_refused_is_held_by_a_test_that_sees_it_refused() -> None:
    for row in rows():
        if row.state == "refused at start":
            assert any("refused" in test for test in held()[row.name]), row
