import ast
import sys
import traceback
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from agency_lambda.catalogue import source_roots
from agency_lambda.errors import exception_chain

_PROJECT = Path(__file__).parents[3]


def conflict(claims: dict[Path, set[str]], owners: dict[str, Path]) -> str | None:
    """Return why a claimed name conflicts, or None. owners: name -> its folder, extended here."""
    for folder, names in claims.items():
        for name in sorted(names):
            if taken := _taken(folder, name):
                return f"{_shown(folder)} imports its own module {name!r}, but that is the name of {taken}: rename it"
            if (other := owners.setdefault(name, folder)) != folder:
                return f"{_shown(other)} and {_shown(folder)} both have a module {name!r}, and import it: rename one"
    return None


def of_agency(module: str, raised: BaseException | None = None) -> dict[Path, set[str]]:
    """Return folder -> own names that its loaded files import. raised: by the agency."""
    found: dict[Path, set[str]] = {}
    nearer: set[str] = set()
    for folder in (each for package in source_roots.packages(module) for each in source_roots.folders(package)):
        own = source_roots.modules_in(folder).keys() - nearer
        found[folder] = {name for file in loaded(folder, raised) for name in imported(file) if name in own}
        nearer |= own
    return found


def loaded(folder: Path, raised: BaseException | None = None) -> set[Path]:
    """Return the imported files below a folder, and those in the traceback of `raised`."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for error in exception_chain(raised) if raised else ():
        files |= {frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)}
    return {path for file in files if isinstance(file, str) and (path := Path(file)).is_relative_to(folder)}


def imported(file: Path) -> set[str]:
    """Return the top-level names that a file imports absolutely, outside TYPE_CHECKING."""
    if file.suffix != ".py" or not file.is_file():
        return set()
    try:
        return set(_names(ast.parse(file.read_bytes())))
    except SyntaxError:
        return set()


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.partition(".")[0]
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        yield from _of_all(node.orelse)
    else:
        yield from _of_all(ast.iter_child_nodes(node))


def _of_all(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        yield from _names(node)


def _taken(folder: Path, name: str) -> str | None:
    # A folder without `__init__.py` gives way to an installed package.
    if name in sys.builtin_module_names or name in sys.stdlib_module_names:
        return "a module of the standard library" if _is_module(folder, name) else None
    spec = PathFinder.find_spec(name)
    place = _place(spec) if spec else None
    if place is None or place in (folder / name, folder / f"{name}.py"):
        return None
    if place == folder:
        return f"the folder that it lies in, {_shown(folder)}"
    if place.is_relative_to(folder.parent):
        return _shown(place)
    if place.is_relative_to(_PROJECT) and "site-packages" not in place.parts:
        return f"{place.relative_to(_PROJECT).parts[0]}/ of this project"
    return f"an installed package ({name})" if _is_module(folder, name) else None


def _place(spec: ModuleSpec) -> Path:
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).absolute()
    return Path(spec.origin or "").absolute()


def _is_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def _shown(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
