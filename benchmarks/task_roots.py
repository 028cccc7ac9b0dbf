"""What each subject has on its Lambda, as folders under build/bench/. Made when missing or when its input changes."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from agency_lambda_cdk import bundle
from agency_lambda_cdk.bundle import left_out

FOLDER = bundle.ROOT / "build" / "bench"
ARCHITECTURE: bundle.Architecture = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "arm64"
_HERE = Path(__file__).parent
AGENTS = _HERE / "task"
_LOCK, _TOOLS = bundle.ROOT / "requirements.txt", bundle.ROOT / "requirements-dev.txt"
_RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


@cache
def as_pip_ships_it() -> Path:
    """All of requirements.txt: wheels have no bytecode, and Lambda's file system keeps none."""
    return made("run_fastapi", _install_everything, _LOCK, *_ours_in_every_root())


@cache
def with_bytecode() -> Path:
    """The same, compiled, also as beartype compiles what it checks."""
    return made("run_fastapi-bytecode", _compile_everything, _LOCK, *_ours_in_every_root())


@cache
def floors() -> Path:
    """FastAPI, Mangum and OpenAI's client, compiled."""
    return made("floors", _install_floors, _LOCK, *_ours_in_every_root())


@cache
def agency_lambda() -> Path:
    """The bundle as it is deployed, of the benchmark's agencies."""
    return bundle.build(ARCHITECTURE, AGENTS)


@cache
def runtime() -> Path:
    """AWS's runtime client and what it needs, as it is in the development environment; on Lambda: /var/runtime."""
    return made("runtime", _copy_runtime, _TOOLS)


def _ours_in_every_root() -> list[Path]:
    return sorted([*(_HERE / "task").glob("*.py"), *(_HERE / "peers").glob("*.py"), Path(__file__)])


def made(name: str, make: Callable[[Path], None], *inputs: Path) -> Path:
    # The stamp comes last: who is interrupted begins again.
    folder, stamp = FOLDER / name, FOLDER / f"{name}.digest"
    digest = hashlib.sha256(sys.version.encode() + b"".join(path.read_bytes() for path in inputs)).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest or not folder.is_dir():
        print(f"Preparing build/bench/{name} (once) ...", file=sys.stderr)
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        stamp.write_text(digest)
    return folder


def _install_everything(folder: Path) -> None:
    _install(folder, _LOCK.read_text())
    _add_ours(folder, "task", "peers")


def _compile_everything(folder: Path) -> None:
    _link(as_pip_ships_it(), folder)
    _compile(folder)
    script = "import served_by_run_fastapi"  # its run leaves beartype's bytecode, which compileall cannot make
    environment = {"PYTHONPATH": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHON_DOTENV_DISABLED": "1"}
    subprocess.run([python(), "-S", "-s", "-P", "-c", script], env=environment, capture_output=True, check=True)


def _install_floors(folder: Path) -> None:
    _install(folder, left_out.requirements(_LOCK.read_text(), "fastapi\nmangum\nopenai", ""))
    _add_ours(folder, "peers")
    _compile(folder)


def _copy_runtime(folder: Path) -> None:
    for name in _RUNTIME:
        for file in distribution(name).files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    _compile(folder)


def _install(folder: Path, requirements: str) -> None:
    options = ["-q", "--no-deps", "--require-hashes", "-r", "-", "--only-binary", ":all:", "--python", sys.executable]
    uv("pip", "install", *options, "--target", str(folder), given=requirements)


def uv(*arguments: str, given: str = "") -> None:
    """Run uv. given: its standard input. Raises CalledProcessError, after uv has said why."""
    command = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    certificates = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}  # the system's, as scripts/setup
    subprocess.run([command, *arguments], env={**os.environ, **certificates}, input=given, text=True, check=True)


def _add_ours(folder: Path, *names: str) -> None:
    for name in names:
        for path in (_HERE / name).glob("*.py"):
            shutil.copy(path, folder)


def _compile(folder: Path, *options: str) -> None:
    # Compile as the bundle does: never checked against the source.
    command = [python(), "-S", "-P", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, "-j", "0", *options, str(folder)], capture_output=True, check=False)


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def python() -> str:
    """The interpreter itself, not the development environment's: what a task root lacks must be missing."""
    return str(getattr(sys, "_base_executable", sys.executable))
