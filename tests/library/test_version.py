"""One version: the package's, the newest heading's of CHANGELOG.md, the recorded one, and what /health answers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agency_lambda import __version__

ROOT = Path(__file__).parents[2]


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "check_version.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_version_is_the_same_everywhere() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stderr
    assert "scripts/check_version.py" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("name", ["CHANGELOG.md", ".agency-lambda-version"])
def test_version_that_differs_fails_the_check(tmp_path: Path, name: str) -> None:
    for each in ("CHANGELOG.md", ".agency-lambda-version"):
        shutil.copy(ROOT / each, tmp_path)
    (tmp_path / name).write_text((tmp_path / name).read_text().replace(__version__, "99.0.0", 1))
    done = check(tmp_path)
    assert done.returncode == 1
    assert "99.0.0" in done.stderr
