"""The Lambda bundle, built without Docker: the requirements for its platform, `handler/`, and what is IN `agents/`.

The folder `agents/` itself must not be in it: there, `agents` is the import name of the Agents SDK.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

Architecture = Literal["arm64", "x86_64"]

ROOT = Path(__file__).parents[1]
LIMIT = 262_144_000  # bytes: what Lambda unzips at most
_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
_IGNORED = shutil.ignore_patterns("__pycache__", ".*")


class BundleError(RuntimeError):
    """The bundle cannot be built or would be refused; the message says why."""


def build(architecture: Architecture) -> Path:
    """Build into `build/bundle-ARCHITECTURE`, or find it there unchanged.

    Raises:
        BundleError: the architecture is unknown, uv failed, an agency is named like a package, or it is too large.
    """
    if architecture not in _PLATFORMS:
        raise BundleError(f"architecture {architecture!r} is unknown: write arm64 or x86_64")
    target, digest = ROOT / "build" / f"bundle-{architecture}", _digest(architecture)
    stamp = target.with_suffix(".digest")
    if stamp.exists() and stamp.read_text() == digest:
        return target
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    _install(target, architecture)
    _copy(target)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size > LIMIT:
        raise BundleError(f"the bundle is {size:,} bytes, and Lambda takes {LIMIT:,}")
    stamp.write_text(digest)
    return target


def _install(target: Path, architecture: Architecture) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", "requirements.txt"]
    platform = ["--python-platform", _PLATFORMS[architecture], "--python-version", "3.13", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, *platform, "--target", str(target)],
        cwd=ROOT,
        env={**os.environ, "UV_SYSTEM_CERTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BundleError(f"uv could not install the requirements: {done.stderr.strip()}")


def _copy(target: Path) -> None:
    shutil.copytree(ROOT / "handler", target / "handler", ignore=_IGNORED)
    for source in sorted((ROOT / "agents").iterdir()):
        if source.name.startswith((".", "__pycache__")):
            continue
        if (target / source.name).exists():
            raise BundleError(f"agents/{source.name} has the name of an installed package: rename it")
        if source.is_dir():
            shutil.copytree(source, target / source.name, ignore=_IGNORED)
        else:
            shutil.copy2(source, target / source.name)


def _digest(architecture: Architecture) -> str:
    """Of everything that the bundle is made from."""
    digest = hashlib.sha256(architecture.encode())
    sources = [path for folder in ("handler", "agents") for path in sorted((ROOT / folder).rglob("*"))]
    for path in [ROOT / "requirements.txt", Path(__file__), *sources]:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print(build(sys.argv[1] if sys.argv[1:] else "arm64"))  # type: ignore[arg-type]
