"""Whose callback is scheduled on the loop, and by whom."""

import asyncio
import inspect
from asyncio import base_events
from pathlib import Path
from typing import Any

from .places import OWN, code_of, is_library_file, is_standard_file

_ASYNCIO = str(Path(asyncio.__file__).parent)
_SCHEDULERS = {__file__, f"{OWN}loop.py", base_events.__file__}


def is_library_callback(callback: Any, args: tuple[Any, ...] = ()) -> bool:
    """Return whether a callback is asyncio's or an installed package's, and gets no coroutine."""
    if any(asyncio.iscoroutine(each) for each in args):
        return False
    code = code_of(callback)
    if code is None:
        return type(callback).__module__ == "_asyncio" or asyncio.isfuture(getattr(callback, "__self__", None))
    path = code.co_filename
    return path.startswith(_ASYNCIO) or (is_library_file(path) and not is_standard_file(path))


def sets_future(callback: Any, args: tuple[Any, ...]) -> bool:
    """Return whether a callback, not the user's, sets a future."""
    receiver = getattr(callback, "__self__", None)
    futures = [each for each in (receiver, *args) if asyncio.isfuture(each)]
    sets = receiver in futures and callback.__name__ in ("set_result", "set_exception", "cancel")
    return bool(futures) and (sets or (receiver not in futures and is_library_callback(callback)))


def is_scheduled_by_library() -> bool:
    """Return whether a library called the running `call_at` or `call_later`."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename in _SCHEDULERS:
        frame = frame.f_back
    return frame is not None and is_library_file(frame.f_code.co_filename)
