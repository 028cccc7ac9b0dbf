"""Lazy imports for the packages that a program names, as PEP 810 has them from Python 3.15 on."""

# In a deferred package an `import` of a deferred package binds a name; the module is imported when the name is first
# read. An import inside `try`, `with` or a function, and `import *`, are done at once.

# How it works: the body of such a module runs with names and builtins of ours that know what waits, so Python asks us
# just when a name is not there yet: the builtins for the module's own code, its __getattr__ for everybody else.
# So `vars(module)` lacks what waits, and a builtin that is replaced later is seen only where it was not read before, or
# if it is one of REPLACED. Two things come to PEP 810, as importing alone would ask for most of what waits: a
# TypeAdapter that a module makes at its top is built when it is read, and the names in ANNOTATIONS stay forward
# references, which whoever reads annotations resolves.

import gc
import sys
from collections.abc import Callable, Collection
from functools import wraps
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any, get_type_hints

from deferred_imports.names import DEFERRED, Waiting
from deferred_imports.packages import PACKAGES

__all__ = ["PACKAGES", "install"]

_freezes = False


def install(packages: Collection[str] = PACKAGES, *, freeze: bool = False) -> None:
    """Defer the imports that the modules of these packages make of one another.

    packages: top-level names; one that is imported already stays as it is. freeze: call `gc.freeze` after each import.
    """
    global _freezes
    _freezes = freeze
    DEFERRED.update({*packages} - {*sys.modules})
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        # Protobuf's modules register what they define, and look there for what those that they import have defined.
        if name.partition(".")[0] not in DEFERRED or name.endswith("_pb2"):
            return None
        spec = PathFinder.find_spec(name, path, target)
        for plain, deferring in _LOADERS.items():
            if spec and spec.origin and isinstance(spec.loader, plain):  # beartype puts one of its own everywhere
                spec.loader = deferring(name, spec.origin)
        return spec


class _FromSource(SourceFileLoader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        _run(module, self.get_code(module.__name__))


class _FromBytecode(SourcelessFileLoader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        _run(module, self.get_code(module.__name__))


def _run(module: ModuleType, code: CodeType | None) -> None:
    assert code, f"{module.__name__} has no code"
    was_enabled = gc.isenabled()
    gc.disable()  # importing leaves no garbage
    names = vars(module)
    try:
        names["__builtins__"].run(code)
    finally:
        if was_enabled:
            if _freezes:
                gc.freeze()  # or the next collection would go through all of it
            gc.enable()
    if (own := names["__getattr__"]).__module__ != __name__:  # for names that it does not have itself
        names["__getattr__"] = _getattr(module, own)


_LOADERS: dict[type, Callable[[str, str], Any]] = {SourceFileLoader: _FromSource, SourcelessFileLoader: _FromBytecode}


_names_of: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__


class _Module(ModuleType):
    """A module that resolves a waiting name when it is read from outside."""

    __slots__ = ("__waiting",)
    __waiting: Waiting

    def __init__(self, name: str) -> None:
        super().__init__(name)
        names = _names_of(self)
        names["__builtins__"] = waiting = Waiting(names)
        # There, and not in the class: Python finds it three times faster.
        names["__getattr__"] = _getattr(self, self._lacks)
        super().__setattr__("_Module__waiting", waiting)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        # `get_type_hints` of a class looks nowhere else, and with builtins of its own.
        if sys._getframe(1).f_code is get_type_hints.__code__:
            self.__waiting.resolve_possible()
        return _names_of(self)

    def _lacks(self, name: str) -> Any:
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Replace a waiting name; ignore the submodule that Python binds when it is loaded."""
        waits = self.__waiting.waits
        if name in waits:
            if value is sys.modules.get(f"{self.__name__}.{name}"):
                return
            del waits[name]
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if not self.__waiting.waits.pop(name, ()) or name in _names_of(self):
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__waiting.waits})


def _getattr(module: ModuleType, own: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a module's `__getattr__`, which asks `own` last."""
    names = _names_of(module)
    waiting: Waiting = names["__builtins__"]

    @wraps(own)
    def __getattr__(name: str) -> Any:
        if name == "__path__":  # every import from it asks
            raise AttributeError(name)
        if waiting.knows(name):
            return waiting.resolve(name)
        if name in names:  # since another thread asked for it
            return names[name]
        if name == "__all__":  # `from module import *` asks, and then takes what is in __dict__
            waiting.resolve_public()
        try:
            return own(name)
        except AttributeError:
            if name.startswith("__") or "__path__" not in names or not _is_part(f"{module.__name__}.{name}", waiting):
                raise
        return import_module(f"{module.__name__}.{name}")

    return __getattr__


def _is_part(module: str, waiting: Waiting) -> bool:
    return module.rpartition(".")[2] in waiting.waits if module in sys.modules else find_spec(module) is not None
