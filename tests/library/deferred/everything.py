"""Runs in a process of its own (see test_everything.py): what there is in every module of PACKAGES, by kind.

The last line of stdout is JSON: {module: {name: kind}, or the error that its import raised, as text}.
"""

import builtins
import gc
import importlib
import json
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, ForwardRef, Literal, get_args, get_origin

import handler  # noqa: F401 - as on Lambda, first
from deferred_imports.packages import ANNOTATIONS, PACKAGES

_PYTHONS_OWN = {"__builtins__", "__cached__", "__loader__", "__spec__", "__warningregistry__"}


def modules(package: str) -> Iterator[str]:
    """The names of a package's modules, parents first."""
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        yield from [package] if spec else []
        return
    for root in map(Path, spec.submodule_search_locations):
        for file in sorted(root.rglob("*.py"), key=lambda file: file.parent.parts):
            parts = file.relative_to(root).with_suffix("").parts
            parts = (package, *(parts[:-1] if parts[-1] == "__init__" else parts))
            if parts[-1] != "__main__" and all(part.isidentifier() for part in parts):
                yield ".".join(parts)


def imported(name: str) -> ModuleType | str:
    try:
        return importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - `mcp.cli` exits
        return f"{type(error).__name__}: {error}"


def names(module: ModuleType) -> dict[str, str]:
    found = {}
    for name in sorted({*dir(module), *vars(module)} - _PYTHONS_OWN):
        try:
            value = getattr(module, name)
        except BaseException as error:  # noqa: BLE001 - for what is not installed
            found[name] = type(error).__name__
            continue
        if name == "__getattr__" and value.__module__ == "deferred_imports":
            continue  # by which waiting names are found
        is_part = isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{name}"
        if not is_part and "[" not in name and value is not getattr(builtins, name, found):
            found[name] = kind(value)
    wanted = ANNOTATIONS.get(module.__name__)
    return found | annotated(module, wanted) if wanted else found


def kind(value: Any, depth: int = 2) -> str:
    """What tells it from what could stand in its place."""
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    told = type(value).__qualname__
    if isinstance(value, type | FunctionType):
        is_generic = "[" in value.__qualname__  # its module is whose frame made it
        told += f" {'' if is_generic else value.__module__}.{value.__qualname__}"
    if isinstance(value, FunctionType):
        told += kind(value.__defaults__) + kind(value.__kwdefaults__)
    elif isinstance(value, dict) and depth:
        told += str(sorted({kind(each, depth - 1) for pair in value.items() for each in pair}))
    elif isinstance(value, list | tuple | set | frozenset) and depth:
        told += str(sorted({kind(each, depth - 1) for each in value}))
    elif isinstance(value, type) and depth and value.__module__.partition(".")[0] in PACKAGES:
        told += "" if "[" in value.__qualname__ else inside(value)
    return told


@cache
def inside(value: type) -> str:
    own = {name: each for name, each in vars(value).items() if not name.startswith(("__", "_abc_"))}
    return str({name: kind(own[name], 0) for name in sorted(own)})


def annotated(module: ModuleType, names: tuple[str, ...]) -> dict[str, str]:
    """The types in the module's annotations, which may use these names."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    inner = [each for value in own if isinstance(value, type) for each in vars(value).values()]
    found = {}
    for each in [*own, *inner]:
        each = getattr(each, "__func__", each)
        hints = getattr(each, "__annotations__", {}) if isinstance(each, type | FunctionType) else {}
        for argument, hint in hints.items():
            types = meanings(hint, vars(module), names)
            found[f"{each.__qualname__}({argument})"] = str(sorted({kind(meant, 0) for meant in types}))
    return found


def meanings(hint: Any, known: dict[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    """The types in an annotation."""
    if isinstance(hint, str):
        hint = ForwardRef(hint)
    if isinstance(hint, ForwardRef) and any(name in hint.__forward_arg__ for name in names):
        module = hint.__forward_module__
        hint = eval(hint.__forward_code__, vars(sys.modules[module]) if module else known)
    parts = () if get_origin(hint) is Literal else get_args(hint)
    if not parts:
        yield hint
    for part in parts:
        yield from meanings(part, known, names)


def main() -> None:
    gc.disable()
    warnings.simplefilter("ignore")
    found = {name: imported(name) for package in sorted(PACKAGES) for name in modules(package)}
    for _ in range(2):  # reading changes some: what a lazy name was, and where it says that it comes from
        told = {name: module if isinstance(module, str) else names(module) for name, module in found.items()}
    print("\n" + json.dumps(told))


if __name__ == "__main__":
    main()
