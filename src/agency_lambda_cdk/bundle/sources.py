"""What the bundle takes from this checkout: `handler/`, and what is IN `agents/`."""

import hashlib
import shutil
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from agency_lambda_cdk.bundle.left_out import NEVER

ROOT = Path(__file__).parents[3]

OURS = ("handler", "src/agency_lambda", "src/deferred_imports", "src/lambda_loop", "src/idempotency.py")
#: folder -> what its files are relative to in the bundle
_FOLDERS = {"handler": ".", "agents": "agents"} | dict.fromkeys(OURS[1:], "src")


class BundleError(RuntimeError):
    """The bundle cannot be built or would be refused; the message says why."""


def files() -> dict[Path, Path]:
    """Path in the bundle -> file."""
    found = {}
    for folder, base in _FOLDERS.items():
        top = ROOT / folder
        for path in [top] if top.is_file() else sorted(top.rglob("*", recurse_symlinks=True)):
            inside = path.relative_to(ROOT / base)
            if path.is_file() and not any(fnmatchcase(part, never) for part in inside.parts for never in NEVER):
                found[inside] = path
    return found


def copy_into(bundle: Path) -> None:
    """Copy `files` to the installed packages.

    Raises:
        BundleError: a name in agents/ is taken.
    """
    taken = names(bundle) | sys.stdlib_module_names | {Path(folder).name for folder in OURS}
    for inside, path in files().items():
        top = inside.parts[0]
        if path.is_relative_to(ROOT / "agents") and top.removesuffix(".py") in taken:
            raise BundleError(f"agents/{top} has the name of an installed package: rename it")
        (bundle / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, bundle / inside)


def digest(architecture: str) -> str:
    """Of everything that the bundle is made from."""
    digest = hashlib.sha256(architecture.encode())
    tools = {path: path for path in sorted(Path(__file__).parent.glob("*.py"))}
    locks = {Path(name): ROOT / name for name in ("requirements.in", "requirements.txt")}
    for inside, path in (locks | tools | files()).items():
        content = path.read_bytes()
        digest.update(f"{inside.name if path in tools else inside}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def names(bundle: Path) -> set[str]:
    """Return what can be imported from it: `x/`, `x.py`, `x.cpython-313-aarch64-linux-gnu.so`."""
    return {path.name.partition(".")[0] for path in bundle.iterdir() if path.suffix != ".dist-info"}
