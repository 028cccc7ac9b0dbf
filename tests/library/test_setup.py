"""`scripts/setup`: a new environment, a half-made one, and what a machine may lack. No registry: `uv` is a stand-in."""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = """#!/bin/sh
echo "uv $*" >> uv.log
case "$1" in venv) for target; do :; done; exec {python} -m venv --without-pip "$target" ;; esac
"""


@pytest.fixture
def setup(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """setup(uv=True): run it in a folder of its own, on a machine that has Python 3.13 and maybe uv."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    (tmp_path / "agents").mkdir()
    for name in ("requirements.txt", "agents/requirements.txt"):
        (tmp_path / name).write_text("nothing\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "cksum", "tr", "rm", "mkdir", "touch", "dirname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    _script(tools / "python3.13", f'#!/bin/sh\nexec {sys._base_executable} "$@"\n')  # type: ignore[attr-defined]

    def run(*, uv: bool = True, python: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        if uv:
            _script(tools / "uv", UV.format(python=sys._base_executable))  # type: ignore[attr-defined]
        if not python:
            (tools / "python3.13").unlink()
        command = [str(tmp_path / "scripts" / "setup"), "run"]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(tools), **variables}, capture_output=True, text=True, check=False
        )

    return run


def _script(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def _dangling(venv: Path) -> None:
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to("/nowhere/python")


def _broken_off(venv: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (venv / ".unfinished").touch()


def _no_environment(venv: Path) -> None:
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)


@pytest.mark.parametrize("half", [Path.mkdir, Path.touch, _dangling, _broken_off, _no_environment])
def test_a_half_made_environment_is_made_anew(setup: Callable[..., object], tmp_path: Path, half: object) -> None:
    half(tmp_path / ".venv")  # type: ignore[operator]
    (tmp_path / ".venv" / "left").touch() if (tmp_path / ".venv").is_dir() else None
    assert setup().returncode == 0  # type: ignore[attr-defined]
    assert (tmp_path / ".venv" / "pyvenv.cfg").exists()
    assert not (tmp_path / ".venv" / "left").exists()
    assert not (tmp_path / ".venv" / ".unfinished").exists()


@pytest.mark.parametrize("name", ["requirements.txt", "agents/requirements.txt"])
def test_a_whole_one_stays_and_is_not_looked_at_again(
    setup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, name: str
) -> None:
    assert setup().returncode == 0
    (tmp_path / ".venv" / "mine").touch()
    (tmp_path / name).write_text("something\n")
    assert setup().returncode == 0
    assert (tmp_path / ".venv" / "mine").exists()
    asked = (tmp_path / "uv.log").read_text()
    assert "-r requirements.txt -r agents/requirements.txt" in asked
    assert setup().returncode == 0
    assert (tmp_path / "uv.log").read_text().count("uv pip") == asked.count("uv pip") == 2


def test_an_installation_that_breaks_off_is_begun_again(
    setup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert setup().returncode == 0
    (tmp_path / "requirements.txt").write_text("something\n")
    (tmp_path / ".venv" / "left").touch()
    uv = tmp_path / "tools" / "uv"
    broken = 'case "$1" in pip) exit 2 ;; esac\n'
    _script(uv, UV.format(python=sys._base_executable).replace("case", broken + "case", 1))  # type: ignore[attr-defined]
    command = [str(tmp_path / "scripts" / "setup"), "run"]
    done = subprocess.run(command, cwd=tmp_path, env={"PATH": str(uv.parent)}, capture_output=True, check=False)
    assert done.returncode == 2
    assert setup().returncode == 0
    assert not (tmp_path / ".venv" / "left").exists()


def test_debian_without_venv_is_told_what_to_install(
    setup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    python = tmp_path / "tools" / "python3.13"
    _script(python, python.read_text().replace("exec", 'case "$*" in *ensurepip*) exit 1 ;; esac\nexec', 1))
    done = setup(uv=False)
    assert done.returncode == 1
    assert "apt install python3.13-venv" in done.stderr


def test_without_python_it_says_what_to_install(setup: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = setup(uv=False, python=False)
    assert done.returncode == 1
    assert "Python 3.13 was not found: install it, or install uv" in done.stderr
    assert "WSL" in done.stderr


def test_uv_is_installed_by_its_hash(setup: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Where a machine has none: by pip, from a registry that may have been given another one."""
    wheel = _wheel(tmp_path / "registry")
    (tmp_path / "requirements-uv.txt").write_text(f"uv==0.0.1 --hash=sha256:{'0' * 64}\n")
    done = setup(uv=False, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent))
    assert done.returncode != 0
    assert f"Got        {hashlib.sha256(wheel.read_bytes()).hexdigest()}" in done.stderr  # the right one would do
    assert not (tmp_path / ".venv" / "bin" / "uv").exists()
    assert (tmp_path / ".venv" / ".unfinished").exists()


def _wheel(folder: Path) -> Path:
    """A package `uv` whose command does nothing."""
    folder.mkdir()
    path = folder / "uv-0.0.1-py3-none-any.whl"
    files = {
        "uv-0.0.1.data/scripts/uv": "#!/bin/sh\n",
        "uv-0.0.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: uv\nVersion: 0.0.1\n",
        "uv-0.0.1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16  # who may run it
            archive.writestr(entry, text)
        archive.writestr("uv-0.0.1.dist-info/RECORD", "".join(f"{name},,\n" for name in files))
    return path


def test_what_repairs_the_locks_does_not_need_them() -> None:
    """A release may bring other pins than agents/requirements.txt, and until `make lock` both cannot be installed."""
    for target in ("lock", "upgrade"):
        command = ["make", "-n", target]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert re.findall(r"scripts/setup (\w+)", done.stdout) == ["uv"]
    assert '  uv) files="requirements-uv.txt" ;;' in (ROOT / "scripts" / "setup").read_text()
