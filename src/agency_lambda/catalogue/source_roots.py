"""Make an agency's folder a source root: `from example_agent import ...` finds the folder beside `agency.py`.

That module also has its full name (`starter.example_agent`). Installed packages come first.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
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
    """Look up names in the folders of `module` first."""
    _register(module)
    token = _building.set(module)
    try:
        yield
    finally:
        _building.reset(token)


def packages(module: str) -> list[str]:
    """Return the nearest first: a.b and a for "a.b.agency"."""
    parts = module.split(".")[:-1]
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def folders(package: str) -> tuple[Path, ...]:
    return _roots.get(package, ())


def all_folders() -> list[Path]:
    return [folder for found in _roots.values() for folder in found]


def modules_in(folder: Path) -> dict[str, Path]:
    """Return name -> file or folder."""
    found = {path.name: path for path in folder.iterdir() if path.is_dir() and path.name.isidentifier()}
    return found | {path.stem: path for path in folder.glob("*.py") if path.stem != "__init__"}


def unload(folder: Path, names: Iterable[str]) -> None:
    """Remove those modules from `sys.modules` that lie in a folder; `agencies` stays."""
    for name in names:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
        if name != "agencies" and any(place and Path(place).is_relative_to(folder) for place in places):
            del sys.modules[name]
            package, _, attribute = name.rpartition(".")
            if package in sys.modules:  # `from package import module` would find the attribute
                vars(sys.modules[package]).pop(attribute, None)


def _register(module: str) -> None:
    if _Parts not in sys.meta_path:
        sys.meta_path.insert(0, _Parts)
        sys.meta_path.append(_Siblings)
    for package in reversed(packages(module)):
        if package not in _roots and (spec := find_spec(package)) and spec.submodule_search_locations:
            _roots[package] = tuple(Path(each).absolute() for each in spec.submodule_search_locations)


class _Siblings:
    # Prefers the agency that is being built.
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
    # `example_agent.tools` is `starter.example_agent.tools`.
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
    def __init__(self, module: str) -> None:
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._module)
        self._spec = module.__spec__  # which the import system is about to replace by `spec`
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
