"""stream.sh, which Lambda calls with the command that starts AWS's client (AWS_LAMBDA_EXEC_WRAPPER)."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agency_lambda.testing.events import rest_event
from tests.library.runtime.environments import ROOT, Environment, task_root
from tests.library.runtime.runtime_api import RuntimeApi

SCRIPT = ROOT / "src" / "lambda_loop" / "runtime" / "stream.sh"
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]
_PYTHON = '#!/bin/sh\nprintf "%s\\n" "path $PYTHONPATH" "$0" "$@"\n'


@pytest.fixture
def python(tmp_path: Path) -> str:
    """Tells how it was called."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = folder / "python3.13"
    path.write_text(_PYTHON)
    path.chmod(0o755)
    return str(path)


def run(command: list[str], **variables: str) -> list[str]:
    environment = {"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": "/var/task", "PYTHONPATH": "/var/runtime"}
    done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_it_is_a_script_that_can_be_executed(python: str) -> None:
    assert os.access(SCRIPT, os.X_OK)
    assert run([str(SCRIPT), python, "/var/runtime/bootstrap.py"])[1:] == [python, "-m", "lambda_loop.runtime"]


@pytest.mark.parametrize("shell", SHELLS)
def test_our_client_takes_the_place_of_awss_and_finds_what_that_would(shell: str, python: str) -> None:
    path = "/var/task:/opt/python/lib/python3.13/site-packages:/opt/python:/var/runtime"
    assert run([shell, str(SCRIPT), python, "/var/runtime/bootstrap.py"]) == [
        f"path {path}",
        *(python, "-m", "lambda_loop.runtime"),
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_under_sam_local_the_command_runs_as_it_is(shell: str, python: str) -> None:
    arguments = ["two words", "", "it's", '"', "*", "$HOME", "-x"]
    command = run([shell, str(SCRIPT), python, *arguments], AWS_SAM_LOCAL="true")
    assert command == ["path /var/runtime", python, *arguments]


def test_sam_locals_variable_set_to_anything_else_changes_nothing(python: str) -> None:
    assert run(["sh", str(SCRIPT), python], AWS_SAM_LOCAL="false")[1:] == [python, "-m", "lambda_loop.runtime"]


def test_a_task_root_that_cannot_be_written_is_enough(tmp_path: Path) -> None:
    root = task_root(tmp_path)
    for link in list(root.iterdir()):  # a copy, so that nothing but this test can write to it
        target = link.resolve()
        link.unlink()
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(target, link, ignore=ignore) if target.is_dir() else shutil.copy(target, link)
    before = _frozen(root)
    with RuntimeApi() as api, Environment(api, tmp_path, "apps.handler", PYTHONDONTWRITEBYTECODE="1"):
        assert api.invoke(rest_event(path="/hello")).body == b'"hello"'
    assert _frozen(root) == before  # root may write everywhere, so its tests see it only here
    assert api.violations == []
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)


def _frozen(root: Path) -> dict[str, int]:
    paths = sorted([root, *root.rglob("*")], reverse=True)
    for path in paths:
        path.chmod(0o555)
    return {str(path): path.stat().st_mtime_ns for path in paths}
