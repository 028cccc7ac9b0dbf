"""Whose code a frame runs, by its file's path, and ``file:line`` of the user's code."""

import inspect
import os
import sys
import sysconfig
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_STANDARD = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
OWN = str(Path(__file__).parent) + os.sep


@cache
def is_library_file(path: str) -> bool:
    """Return whether a file is the standard library's, an installed package's, or this package's."""
    if path.startswith("<"):  # "<frozen ...>", "<string>": no file of the user's
        return True
    return path.startswith((*_STANDARD, OWN)) or any(part in path for part in _INSTALLED) or _is_flat(path)


def is_standard_file(path: str) -> bool:
    return path.startswith("<frozen") or (path.startswith(_STANDARD) and not any(part in path for part in _INSTALLED))


def is_library_frame(frame: FrameType) -> bool:
    return is_library_file(frame.f_code.co_filename)


def is_user_code(call: Any) -> bool:
    code = code_of(call)
    return code is not None and not is_library_file(code.co_filename)


def user_frame(frame: FrameType | None) -> FrameType | None:
    while frame is not None and is_library_frame(frame):
        frame = frame.f_back
    return frame


def place(frame: FrameType | None) -> str:
    """Return ``file:line`` of the innermost frame of the user's code."""
    frame = user_frame(frame)
    return "an unknown place" if frame is None else f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"


def current_place() -> str:
    return place(inspect.currentframe())


def describe(call: Any) -> str:
    """Return ``name (file:line)`` of a callable, a coroutine or a generator."""
    call = _innermost(call)
    code = code_of(call)
    name = getattr(call, "__qualname__", None) or type(call).__qualname__
    return f"{name} ({_short(code.co_filename)}:{code.co_firstlineno})" if code is not None else str(name)


def code_of(call: Any) -> CodeType | None:
    """Return the code of a callable, a coroutine or a generator; None if written in C."""
    call = _innermost(call)
    names = ("__code__", "cr_code", "ag_code", "gi_code")
    found = next((code for name in names if (code := getattr(call, name, None)) is not None), None)
    return found if isinstance(found, CodeType) else None


def _innermost(call: Any) -> Any:
    while isinstance(call, partial):
        inner: Callable[..., Any] = call.func
        is_context_run = getattr(inner, "__name__", "") == "run" and call.args and callable(call.args[0])
        call = call.args[0] if is_context_run else inner  # context.run(call, ...)
    return call


@cache
def _is_flat(path: str) -> bool:
    """Return whether a file is an installed package's beside the user's code, as in a bundle."""
    root = max((each for each in sys.path if each and path.startswith(each + os.sep)), key=len, default="")
    return bool(root) and path[len(root) + 1 :].partition(os.sep)[0].removesuffix(".py") in _flat(root)


@cache
def _flat(root: str) -> frozenset[str]:
    if not any(Path(root).glob("*.dist-info")):
        return frozenset()
    from importlib.metadata import distributions

    declared = (each.read_text("top_level.txt") or "" for each in distributions(path=[root]))
    return frozenset(name for text in declared for name in text.split())


def _short(path: str) -> str:
    inside = os.path.relpath(path)
    return inside if not inside.startswith("..") else os.sep.join(path.split(os.sep)[-3:])
