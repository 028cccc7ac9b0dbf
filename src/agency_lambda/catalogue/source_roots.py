"""An agency's folder is a source root of its own: `from example_agent import ...` finds the folder beside `agency.py`.

A module there has one name, the one below `agents/` (`starter.example_agent`); what is imported without the folder's
name is the same module under a second entry in `sys.modules`. Installed packages and the standard library come first.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

_roots: dict[str, tuple[Path, ...]] = {}  # package -> its folders
_aliases: dict[str, str] = {}  # top-level name -> the module that it stands for
_building: ContextVar[str | None] = ContextVar("building", default=None)


@contextmanager
def of_agency(module: str) -> Iterator[None]:
    """While an agency is imported and built: names are looked up in the folders of `module` first."""
    _register(module)
    token = _building.set(module)
    try:
        yield
    finally:
        _building.reset(token)


def packages(module: str) -> list[str]:
    """The packages that are roots for an agency's module, the nearest first: of "a.b.agency" they are a.b and a."""
    parts = module.split(".")[:-1]
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def folders(package: str) -> tuple[Path, ...]:
    """The folders of a root; () if there is no such package."""
    return _roots.get(package, ())


def all_folders() -> list[Path]:
    """Return the folders of every root that was registered."""
    return [folder for found in _roots.values() for folder in found]


def modules_in(folder: Path) -> dict[str, Path]:
    """Return what can be imported from a folder by its name: name -> its file or folder."""
    found = {path.name: path for path in folder.iterdir() if path.is_dir() and path.name.isidentifier()}
    return found | {path.stem: path for path in folder.glob("*.py") if path.stem != "__init__"}


def _register(module: str) -> None:
    if _Parts not in sys.meta_path:
        sys.meta_path.insert(0, _Parts)
        sys.meta_path.append(_Siblings)
    for package in reversed(packages(module)):
        if package not in _roots and (spec := find_spec(package)) and spec.submodule_search_locations:
            _roots[package] = tuple(Path(each).absolute() for each in spec.submodule_search_locations)


class _Siblings:
    """Finds a top-level name that nobody else has in the folder of the agency that is built, else in any agency's."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or "." in name:
            return None
        building = _building.get()
        near = packages(building) if building else []
        found = [package for package in near if _has(package, name)][:1] or [
            package for package in _roots if not building and _has(package, name)
        ]
        if len(found) > 1:
            raise ImportError(f"{' and '.join(found)} both have a module {name!r}: rename one of them", name=name)
        if not found:
            return None
        _aliases[name] = f"{found[0]}.{name}"
        return _alias(name)


class _Parts:
    """Finds what is below such a name: `example_agent.tools` is `starter.example_agent.tools`."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return _alias(name) if path is not None and name.partition(".")[0] in _aliases else None


def _has(package: str, name: str) -> bool:
    return any((folder / f"{name}.py").is_file() or (folder / name).is_dir() for folder in folders(package))


def _alias(name: str) -> ModuleSpec | None:
    top, dot, rest = name.partition(".")
    module = _aliases[top] + dot + rest
    found = sys.modules.get(module) or find_spec(module)
    return ModuleSpec(name, _SameModule(module)) if found else None


class _SameModule(Loader):
    """Loads a module that has another name already: the very same one."""

    def __init__(self, module: str) -> None:
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._module)
        self._spec = module.__spec__  # which the import system is about to replace by `spec`
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
