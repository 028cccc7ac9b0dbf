"""What the bundle takes from this checkout: `handler/`, and what is IN `agents/`."""

import hashlib
import shutil
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from infra.bundle_left_out import OURS

ROOT = Path(__file__).parents[1]


class BundleError(RuntimeError):
    """The bundle cannot be built or would be refused; the message says why."""


def files() -> dict[Path, Path]:
    """Path in the bundle -> file."""
    found = {}
    for folder, base in ((ROOT / "handler", ROOT), (ROOT / "agents", ROOT / "agents")):
        for path in sorted(folder.rglob("*", recurse_symlinks=True)):
            inside = path.relative_to(base)
            if path.is_file() and not any(fnmatchcase(part, never) for part in inside.parts for never in OURS):
                found[inside] = path
    return found


def copy_into(bundle: Path) -> None:
    """Copy `files` to the installed packages.

    Raises:
        BundleError: a name in agents/ is taken.
    """
    taken = names(bundle) | sys.stdlib_module_names | {"handler"}
    for inside, path in files().items():
        top = inside.parts[0]
        if path.is_relative_to(ROOT / "agents") and top.removesuffix(".py") in taken:
            raise BundleError(f"agents/{top} has the name of an installed package: rename it")
        (bundle / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, bundle / inside)


def digest(architecture: str) -> str:
    """Of everything that the bundle is made from."""
    digest = hashlib.sha256(architecture.encode())
    tools = {path: path for path in sorted((ROOT / "infra").glob("bundle*.py"))}
    locks = {Path(name): ROOT / name for name in ("requirements.in", "requirements.txt")}
    for inside, path in (locks | tools | files()).items():
        content = path.read_bytes()
        digest.update(f"{inside.name if path in tools else inside}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def names(bundle: Path) -> set[str]:
    """Return what can be imported from it: `x/`, `x.py`, `x.cpython-313-aarch64-linux-gnu.so`."""
    return {path.name.partition(".")[0] for path in bundle.iterdir() if path.suffix != ".dist-info"}
