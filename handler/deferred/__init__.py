"""Imports that wait until they are needed: a cold start loads the part of the framework that its run uses.

In the modules of PACKAGES, `import` and `from ... import` at the top bind a name; what it stands for is imported when
the name is first read, by whoever reads it. That is PEP 810, which Python has from 3.15 on, with its rules: nothing is
replaced or left out, and an import inside `try` or `with`, in a function, or of `*` is done at once. Two things come to
it, as importing alone would ask for most of what waits: a TypeAdapter that a module makes at its top waits to be built,
and the names in ANNOTATIONS stay forward references, which whoever reads annotations resolves.

How: the body of such a module runs in names of ours and with builtins of ours, which know what waits. So Python asks us
just when a name is not there yet: the builtins for the module's own code, the module's __getattr__ for everybody else.
"""

import builtins
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader, SourcelessFileLoader
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

from handler.deferred.names import Names, Waiting
from handler.deferred.what import PACKAGES


def install() -> None:
    """For what is imported from now on."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    """Python's own way to find a module, with a loader that defers."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        for plain, deferring in _LOADERS.items():
            if spec and spec.origin and isinstance(spec.loader, plain):
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
    names = module.__dict__
    names["__builtins__"] = waiting = Waiting(names, code)
    exec(code, names, Names(names, waiting))
    waiting["__import__"] = builtins.__import__  # functions import at once


_LOADERS: dict[type, Callable[[str, str], Any]] = {SourceFileLoader: _FromSource, SourcelessFileLoader: _FromBytecode}


class _Module(ModuleType):
    """Asked from outside for a name that waits, or for a part that some import would have loaded by now."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # every import from it asks
            raise AttributeError(name)
        waiting = self.__dict__.get("__builtins__")
        if isinstance(waiting, Waiting) and waiting.knows(name):
            return waiting.resolve(name)
        part = f"{self.__name__}.{name}"
        if "__path__" in self.__dict__ and not name.startswith("__") and find_spec(part):
            builtins.__import__(part)
            return sys.modules[part]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__dict__["__builtins__"].waits})
