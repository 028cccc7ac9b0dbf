"""Check that the bundle has what its code imports."""

# Of `agents/` only the files count that are imported when the agencies are built, and what those import: beside them an
# agency's folder may hold a server of its own, tests and scripts.

import ast
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from agency_lambda_cdk.bundle import sources
from agency_lambda_cdk.bundle.left_out import is_left_out
from agency_lambda_cdk.bundle.sources import BundleError


def reachable(files: Iterable[str | Path], roots: Iterable[str | Path]) -> list[Path]:
    """Return files and what they import from `roots` or relatively, in functions too; sorted."""
    folders = [Path(root) for root in roots]
    waiting, found = [Path(file) for file in files], set[Path]()
    while waiting:
        file = waiting.pop()
        if file not in found and file.suffix == ".py" and file.is_file():
            found.add(file)
            waiting += _siblings(file, folders)
    return sorted(found)


def check(ours: Collection[Path], roots: Iterable[str | Path], code: str, there: set[str]) -> None:
    """Raise BundleError for a file that imports what the bundle lacks.

    code: the text of all that is reachable. there: the names at the top of the bundle.
    """
    folders = [Path(root) for root in roots]
    for path in ours:
        for name in imported(_parsed(path)):
            top = name.partition(".")[0]
            if _found(name, folders) or (top in there and not is_left_out(name, code)):
                continue
            raise BundleError(f"{_shown(path)} imports {name}, which the bundle does not have: {_advice(top)}")


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules that are imported outside of `try` and `if`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
    elif not isinstance(node, ast.Try | ast.If):
        for child in ast.iter_child_nodes(node):
            yield from imported(child)


def _siblings(file: Path, roots: list[Path]) -> Iterator[Path]:
    for node in ast.walk(_parsed(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _found(alias.name, roots)
        elif isinstance(node, ast.ImportFrom):
            base = [file.parents[node.level - 1]] if node.level else roots
            for name in (node.module or "", *(f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names)):
                yield from _found(name, base)


def _found(module: str, folders: list[Path]) -> list[Path]:
    """Return the files of a module and of the packages around it, from the first folder that has it."""
    parts = [part for part in module.split(".") if part]
    for folder in folders:
        if parts and ((folder / parts[0]).is_dir() or (folder / f"{parts[0]}.py").is_file()):
            steps = [folder.joinpath(*parts[:length]) for length in range(1, len(parts) + 1)]
            return [file for step in steps for file in (step / "__init__.py", step.with_name(f"{step.name}.py"))]
    return []


def _advice(top: str) -> str:
    """Name a package only if the lock file has it: anybody may have registered any other name."""
    lock = (sources.ROOT / "requirements.txt").read_text()
    for name in packages_distributions().get(top, ()):
        if f"\n{name.lower()}==" in f"\n{lock}":
            return f"write {name} into agents/requirements.in and run `make lock`: the bundle leaves it out otherwise"
    return (
        "it is no file of yours, and no package of agents/requirements.txt. Correct the import, make it in a `try`, "
        "or write its package into agents/requirements.in and run `make lock`"
    )


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise BundleError(f"{_shown(path)}, line {error.lineno}: {error.msg}") from None


def _shown(path: Path) -> Path:
    return path.relative_to(sources.ROOT) if path.is_relative_to(sources.ROOT) else path
