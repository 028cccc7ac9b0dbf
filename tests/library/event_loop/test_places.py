"""Whose code it is, is decided by where its file lies."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import starlette.routing

from lambda_loop import environment_loop
from lambda_loop.places import describe, is_library_file, place


def test_standard_library_installed_packages_and_the_loop_are_libraries() -> None:
    for module in (asyncio, os, starlette.routing, environment_loop):
        assert is_library_file(str(module.__file__))
    assert is_library_file("<frozen importlib._bootstrap>")
    assert is_library_file("/usr/lib/python3/dist-packages/some.py")
    assert not is_library_file(__file__)


def test_in_a_flat_folder_the_packages_that_are_installed_there_are_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "somebodys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: somebodys\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("somebodys\nsingle\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert is_library_file(str(tmp_path / "somebodys" / "deep" / "module.py"))
    assert is_library_file(str(tmp_path / "single.py"))
    assert not is_library_file(str(tmp_path / "my_agency" / "tools.py"))
    assert not is_library_file(str(tmp_path / "agencies.py"))


def test_a_place_is_the_nearest_line_of_the_users() -> None:
    seen: list[str] = []
    sorted([1, 2], key=lambda number: seen.append(place(sys._getframe())) or number)
    assert seen[0].startswith("tests/library/event_loop/test_places.py:")


def test_a_callable_is_described_by_where_it_is_written() -> None:
    async def coroutine() -> None:
        """Nothing."""

    class Thing:
        def method(self) -> None:
            """Nothing."""

    def function(*given: Any) -> None:
        """Nothing."""

    made = coroutine()
    import contextvars

    for each in (
        function,
        partial(function, 1),
        Thing().method,
        made,
        partial(contextvars.copy_context().run, function),
    ):
        assert "test_places.py:" in describe(each)
    assert describe(print) == "print"
    made.close()
