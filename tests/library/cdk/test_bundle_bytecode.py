"""Bytecode beside a source, or in its place: what it keeps, and what stays a source."""

import subprocess
import sys
from pathlib import Path

import pytest

from agency_lambda_cdk.bundle import bytecode

SOURCE = '''"""The module."""
from __future__ import annotations


class Thing:
    """Nothing but this."""


def first(number):
    """The function."""
    assert number, "it is nothing"
    return number


async def second():
    """Nothing but this."""


text = "no docstring"
'''
ASKED = """
import click, traceback
try:
    click.first(0)
except AssertionError as error:
    print(error, traceback.extract_tb(error.__traceback__)[-1])
print(click.__doc__, click.Thing.__doc__, click.first.__doc__, click.second.__doc__, click.text, click.__file__)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with `click`, which is in INSTEAD, and `yours`, which is not."""
    for name in ("click/__init__.py", "yours/__init__.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(SOURCE)
    for name in ("click/template.py", "yours/template.py"):
        (tmp_path / name).write_text("class {{ name }}:")
    bytecode.write(tmp_path)
    return tmp_path


def run(folder: Path, code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}){code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_package_of_yours_keeps_its_sources_and_what_does_not_compile_stays(folder: Path) -> None:
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.py*")} == {
        *("click/__init__.pyc", "click/template.py"),
        *("yours/__init__.py", "yours/__pycache__/__init__.cpython-313.pyc", "yours/template.py"),
    }


def test_bytecode_alone_has_lines_and_assertions_and_of_docstrings_those_of_classes(folder: Path) -> None:
    error, rest = run(folder, ASKED)
    assert error == "it is nothing <FrameSummary file /var/task/click/__init__.py, line 11 in first>"
    assert rest == f"None Nothing but this. None None no docstring {folder}/click/__init__.pyc"


def test_bytecode_beside_a_source_has_all(folder: Path) -> None:
    error, rest = run(folder, ASKED.replace("click", "yours"))
    assert "line 11 in first" in error
    assert rest.startswith("The module. Nothing but this. The function. Nothing but this.")
