"""An emulator that does not start leaves nothing behind, which a test after it would be blamed for."""

import gc
import subprocess
from pathlib import Path

import pytest

from tests.e2e.cloud import Cloud


def test_an_emulator_that_is_not_installed_leaves_no_open_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Cloud(tmp_path, tmp_path / "none"):
        pass
    gc.collect()  # pytest makes an error of a file that nobody closed


def test_an_emulator_that_ends_says_why_at_once(tmp_path: Path) -> None:
    emulator = tmp_path / "emulator"
    emulator.write_text("#!/bin/sh\necho the port is taken\nexit 3\n")
    emulator.chmod(0o755)
    with pytest.raises(AssertionError, match="the port is taken"), Cloud(tmp_path, emulator):
        pass


def test_an_emulator_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = tmp_path / "emulator"
    emulator.write_text("#!/bin/sh\necho $$ > pid\nexec sleep 60\n".replace("pid", str(tmp_path / "pid")))
    emulator.chmod(0o755)
    monkeypatch.setattr("tests.e2e.cloud.PATIENCE", 0.5)
    with pytest.raises(AssertionError, match="is not true"), Cloud(tmp_path, emulator):
        pass
    pid = (tmp_path / "pid").read_text().strip()
    assert subprocess.run(["kill", "-0", pid], stderr=subprocess.DEVNULL, check=False).returncode != 0
