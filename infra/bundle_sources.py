"""What the bundle takes from this checkout: `handler/`, and what is IN `agents/`."""

import ast
import hashlib
import shutil
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from infra.bundle_left_out import OURS, is_left_out

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


def agents_code() -> str:
    return "\n".join(path.read_text() for path in files().values() if _is_agents(path) and _is_python(path))


def copy_into(bundle: Path) -> None:
    """Copy `files` to the installed packages.

    Raises:
        BundleError: a name in agents/ is taken, or a file imports what would not be there.
    """
    taken = _names(bundle) | sys.stdlib_module_names | {"handler"}
    for inside, path in files().items():
        top = inside.parts[0]
        if _is_agents(path) and top.removesuffix(".py") in taken:
            raise BundleError(f"agents/{top} has the name of an installed package: rename it")
        (bundle / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, bundle / inside)
    there, code = _names(bundle) | sys.stdlib_module_names, agents_code()
    for path in filter(_is_python, files().values()):
        for name in _imported(_parsed(path)):
            if name.partition(".")[0] not in there or is_left_out(name, code):
                raise BundleError(
                    f"{path.relative_to(ROOT)} imports {name}, which the bundle does not have: write its package "
                    "into requirements.in and run `make lock`, see infra/bundle_left_out.py, or import it in a `try`"
                )


def digest(architecture: str) -> str:
    """Of everything that the bundle is made from."""
    digest = hashlib.sha256(architecture.encode())
    tools = {path: path for path in sorted((ROOT / "infra").glob("bundle*.py"))}
    locks = {Path(name): ROOT / name for name in ("requirements.in", "requirements.txt")}
    for inside, path in (locks | tools | files()).items():
        content = path.read_bytes()
        digest.update(f"{inside.name if path in tools else inside}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _is_agents(path: Path) -> bool:
    return path.is_relative_to(ROOT / "agents")


def _is_python(path: Path) -> bool:
    return path.suffix == ".py"


def _names(bundle: Path) -> set[str]:
    """What can be imported from it: `x/`, `x.py`, `x.cpython-313-aarch64-linux-gnu.so`."""
    return {path.name.partition(".")[0] for path in bundle.iterdir() if path.suffix != ".dist-info"}


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise BundleError(f"{path.relative_to(ROOT)}, line {error.lineno}: {error.msg}") from None


def _imported(node: ast.AST) -> Iterator[str]:
    """The modules that must be there; what is imported in a `try` or an `if` need not be."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
    elif not isinstance(node, ast.Try | ast.If):
        for child in ast.iter_child_nodes(node):
            yield from _imported(child)
