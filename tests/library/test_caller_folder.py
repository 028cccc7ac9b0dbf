"""An agent's paths are relative to the file that makes it, whoever remembers where that is."""

import os
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from agency_swarm import Agent
from agency_swarm.utils import files

from agency_lambda.framework import caller_folder

_MAKE = "def make(answer):\n    return answer()\n"


def module(path: Path) -> Any:
    """What code in that file finds as `make`: it calls what it is given."""
    names: dict[str, Any] = {}
    exec(compile(_MAKE, str(path), "exec"), names)
    return names["make"]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """answers(call) -> the framework's own answer, and the one that is remembered."""
    assert caller_folder.install(), (
        "get_external_caller_directory of agency_swarm is not what caller_folder.py was written for: read it again, "
        "and change both together"
    )
    remembered = files.get_external_caller_directory.__code__
    own = original()

    def answers(make: Any) -> tuple[str, str]:
        def ask(code: CodeType) -> str:
            monkeypatch.setattr(files.get_external_caller_directory, "__code__", code)
            return str(make(files.get_external_caller_directory))

        return ask(own), ask(remembered)

    return answers


def original() -> CodeType:
    """The framework's own code, compiled again from its source."""
    source = Path(files.__file__)
    body = compile(source.read_text(), str(source), "exec")
    (code,) = (each for each in body.co_consts if getattr(each, "co_name", "") == "get_external_caller_directory")
    return code


def test_the_answer_is_the_framework_s_own(answers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path(files.__file__).parent / "other.py"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    for path in (tmp_path / "a.py", tmp_path / "deep" / "b.py", link / "c.py", Path("<string>"), Path("relative/d.py")):
        for _ in range(2):
            own, remembered = answers(module(path))
            assert own == remembered
    for folder in ("first", "second"):  # the same relative file name, elsewhere
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        own, remembered = answers(module(Path("relative/d.py")))
        assert own == remembered == str(tmp_path / folder / "relative")
    own, remembered = answers(lambda answer: module(inside)(answer))  # it is the framework's, so its caller is meant
    assert own == remembered == str(Path(__file__).parent)


def test_instructions_are_read_again_from_where_the_agent_is_made(tmp_path: Path) -> None:
    """Where they lie is remembered, and nothing of what they say."""
    assert caller_folder.install()
    instructions = tmp_path / "instructions.md"
    code = compile("one = Agent(name='One', instructions='./instructions.md')", str(tmp_path / "agent.py"), "exec")
    for said in ("Be brief.", "Be exact."):
        instructions.write_text(said)
        names: dict[str, Any] = {"Agent": Agent}
        exec(code, names)
        assert names["one"].instructions == said


def test_another_release_keeps_its_own() -> None:
    script = (
        "from agency_swarm.utils import files\n"
        "def other(*, internal_package='agency_swarm'): return 'other'\n"
        "files.get_external_caller_directory = other\n"
        "from handler import caller_folder\n"
        "print(caller_folder.install(), files.get_external_caller_directory())\n"
    )
    command, root = [sys.executable, "-W", "ignore", "-c", script], Path(__file__).parents[2]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "other"]


def test_a_fresh_agent_asks_the_disk_for_no_path_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert caller_folder.install()
    asked = []
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: asked.append(path) or lstat(path))
    for _ in range(2):
        asked.clear()
        Agent(name="One", instructions="Be brief.")
    assert asked == []
