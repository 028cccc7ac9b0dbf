"""Build the Lambda bundle without Docker: the requirements, `handler/`, and what is IN `src/` and `agents/`.

The same input gives the same bytes.
"""

# The folder `agents/` itself must not be in the bundle: there, `agents` is the import name of the Agents SDK.

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from agency_lambda_cdk.bundle import agencies, bytecode, imports, left_out, sources
from agency_lambda_cdk.bundle.agencies import lacking
from agency_lambda_cdk.bundle.sources import AGENTS, ROOT, BundleError, Sources

__all__ = ["AGENTS", "ROOT", "Architecture", "BundleError", "beside", "build", "lacking", "make", "parts", "zipped"]

Architecture = Literal["arm64", "x86_64"]

LIMIT = 262_144_000  # bytes: what Lambda unzips at most
_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
_PYTHON = (3, 13)


def build(architecture: Architecture, agents: Path = AGENTS, *, offline_model: bool = True) -> Path:
    """Return the folder of the bundle below `build/`, with its zip beside it; build them if the sources changed.

    agents: the folder whose contents are the agencies. offline_model: whether `agency_lambda/offline` is in it.

    Raises:
        BundleError: the bundle cannot be built, or Lambda would refuse it.
    """
    if architecture not in _PLATFORMS:
        raise BundleError(f"architecture {architecture!r} is unknown: write arm64 or x86_64")
    if sys.version_info[:2] != _PYTHON:
        raise BundleError(f"the bytecode is for Python 3.13, and this is Python {sys.version.partition(' ')[0]}")
    contents = Sources(agents, offline_model)
    folder = _place(architecture, contents)
    folder.parent.mkdir(exist_ok=True)
    with _locked(folder):
        stamp, digest = beside(folder, ".digest"), contents.digest(architecture)
        finished = stamp.exists() and folder.is_dir() and beside(folder, ".zip").exists()
        if not finished or stamp.read_text() != digest:
            stamp.unlink(missing_ok=True)  # written last, so that an interrupted build is begun again
            _replace(folder, architecture, contents)
            stamp.write_text(digest)
    return folder


def zipped(architecture: Architecture, agents: Path = AGENTS, *, offline_model: bool = True) -> Path:
    """Return the zip of what `build` makes."""
    return beside(build(architecture, agents, offline_model=offline_model), ".zip")


def make(folder: Path, architecture: Architecture, contents: Sources) -> None:
    """Make the folder, which must not exist, and the zip beside it. Raises what `build` raises."""
    found = agencies.survey(contents.agents)
    files = imports.reachable(found.files, found.roots)
    code = "\n".join(file.read_text() for file in files)
    _install(folder, architecture, contents, code)
    left_out.remove_files(folder, code)
    contents.copy_into(folder)
    (folder / agencies.MANIFEST).write_text(json.dumps(found.manifest, sort_keys=True))
    shipped = contents.files().values()
    ours = [path for path in shipped if path.suffix == ".py" and not path.is_relative_to(contents.agents)]
    imports.check([*ours, *files], found.roots, code, sources.names(folder) | sys.stdlib_module_names)
    bytecode.write(folder)
    size = sum(parts(folder).values())
    if size > LIMIT:
        raise BundleError(f"the bundle is {size:,} bytes, and Lambda takes {LIMIT:,}")
    _zip(folder, beside(folder, ".zip"))


def parts(folder: Path) -> Counter[str]:
    """Return bytes by name at the top of the bundle."""
    sizes: Counter[str] = Counter()
    for path in _files(folder):
        sizes[path.relative_to(folder).parts[0]] += path.stat().st_size
    return sizes


def _place(architecture: Architecture, contents: Sources) -> Path:
    other = contents.agents.resolve() != AGENTS.resolve()
    marks = [hashlib.sha256(str(contents.agents.resolve()).encode()).hexdigest()[:8]] if other else []
    return ROOT / "build" / "-".join(("bundle", architecture, *marks, *([] if contents.offline_model else ["online"])))


def _replace(folder: Path, architecture: Architecture, contents: Sources) -> None:
    new = beside(folder, ".new")
    shutil.rmtree(new, ignore_errors=True)
    make(new, architecture, contents)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    beside(new, ".zip").rename(beside(folder, ".zip"))


def _install(folder: Path, architecture: Architecture, contents: Sources, code: str) -> None:
    named, added_named, lock, added = contents.requirements().values()
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    command = [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", "-", "--link-mode", "copy"]
    platform = ["--python-platform", _PLATFORMS[architecture], "--python-version", "3.13", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, *platform, "--target", str(folder)],
        cwd=ROOT,
        env={**os.environ, "UV_SYSTEM_CERTS": "1"},
        input=left_out.requirements(lock, f"{named}\n{added_named}", code, added),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BundleError(f"uv could not install the requirements: {done.stderr.strip()}")


def _zip(folder: Path, target: Path) -> None:
    with ZipFile(target, "w") as archive:
        for path in _files(folder):
            entry = ZipInfo(str(path.relative_to(folder)))  # of 1980-01-01
            entry.create_system = 3  # Unix: the permissions count
            entry.external_attr = (0o100755 if path.suffix == ".sh" else 0o100644) << 16
            archive.writestr(entry, path.read_bytes(), ZIP_DEFLATED, 9)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(folder.name + suffix)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with beside(folder, ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
