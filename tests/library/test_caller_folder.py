"""An agent's paths are relative to the file that makes it, also where resolved paths are remembered."""

import os
from pathlib import Path
from typing import Any

import pytest
from agency_swarm.utils import files

from agency_lambda.framework import caller_folder

_MAKE = "def make(answer):\n    return answer()\n"


def module(path: Path) -> Any:
    """Return the function `make` of a module in that file: it calls what it is given."""
    names: dict[str, Any] = {}
    exec(compile(_MAKE, str(path), "exec"), names)
    return names["make"]


def answers(make: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the framework's own answer, and the one with remembered paths."""
    monkeypatch.setattr(files, "Path", Path)
    own = str(make(files.get_external_caller_directory))
    caller_folder.install()
    return own, str(make(files.get_external_caller_directory))


def test_answer_is_the_framework_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path(files.__file__).parent / "other.py"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    for path in (tmp_path / "a.py", tmp_path / "deep" / "b.py", link / "c.py", Path("<string>"), Path("relative/d.py")):
        for _ in range(2):
            own, remembered = answers(module(path), monkeypatch)
            assert remembered == own, path
    assert answers(module(link / "c.py"), monkeypatch)[1] == str(tmp_path / "real")
    through = answers(lambda ask: module(inside)(ask), monkeypatch)
    assert through[0] == through[1] == str(Path(__file__).parent)


def test_relative_name_is_looked_up_in_each_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = module(Path("here.py"))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert answers(made, monkeypatch)[1] == str(tmp_path / name) == os.getcwd()


def test_absolute_path_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = module(tmp_path / "a.py")
    answers(made, monkeypatch)
    monkeypatch.setattr(os.path, "realpath", None)
    assert made(files.get_external_caller_directory) == str(tmp_path)
