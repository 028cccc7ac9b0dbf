"""Functions of asyncio and threading that are replaced while an environment is installed.

`reentry` and `threads` have the replacements.
"""

import asyncio
import os
from asyncio import runners
from collections.abc import Callable
from types import FunctionType
from typing import Any

import nest_asyncio

from .loop import SharedLoop

Replacements = dict[tuple[Any, str], Any]  # (owner, name) -> what replaces that attribute

originals: Replacements = {}
# A copy of asyncio.run. The original gets another code object, so that it is replaced however it was imported.
stdlib_run = FunctionType(runners.run.__code__, vars(runners), "run", None, None)
stdlib_run.__kwdefaults__ = runners.run.__kwdefaults__
_environments_run: Callable[..., Any] = stdlib_run
_installed: SharedLoop | None = None


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes `get_event_loop` return the environment's loop in threads without an open one."""

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        try:
            own = super().get_event_loop()
        except RuntimeError:
            if _installed is None:
                raise
            return _installed
        return _installed if own.is_closed() and _installed is not None else own


def apply_nest_asyncio() -> None:
    """Make every loop reentrant, and keep C's tasks and futures, as Python 3.13 allows."""
    run, task, future = asyncio.run, asyncio.Task, asyncio.Future
    vars(nest_asyncio)["_patch_policy"] = lambda: None  # it would replace our policy, now and when applied again
    loop = asyncio.SelectorEventLoop()
    nest_asyncio.apply(loop)
    loop.close()
    asyncio.run = run  # nest_asyncio's makes a loop and never closes it
    asyncio.Task = asyncio.tasks.Task = task  # type: ignore[misc]
    asyncio.Future = asyncio.futures.Future = future  # type: ignore[misc]


def install(loop: SharedLoop, run: Callable[..., Any], replacements: Replacements) -> None:
    """Install the loop and the replacements."""
    # Called before each invocation, because the user's code may have removed something.
    global _installed, _environments_run
    _installed, _environments_run = loop, run
    vars(runners)["_environments_run"] = _run_here
    runners.run.__code__ = _run.__code__
    asyncio.run = runners.run
    if not isinstance(asyncio.get_event_loop_policy(), Policy):
        asyncio.set_event_loop_policy(Policy())
    for (owner, name), replacement in replacements.items():
        if vars(owner).get(name) is not replacement:
            originals.setdefault((owner, name), vars(owner).get(name) or getattr(owner, name))
            setattr(owner, name, replacement)
    loop.restore_settings()
    asyncio.set_event_loop(loop)


def uninstall() -> None:
    """Restore asyncio; only nest_asyncio cannot be undone."""
    global _installed
    for (owner, name), original in originals.items():
        setattr(owner, name, original)
    originals.clear()
    runners.run.__code__ = stdlib_run.__code__
    if _installed is not None:
        asyncio.set_event_loop_policy(None)
    _installed = None


def _run(main: Any, *, debug: Any = None, loop_factory: Any = None) -> Any:
    # This is the code of asyncio.run while an environment is installed; its globals stay those of asyncio.runners.
    return _environments_run(main, debug=debug, loop_factory=loop_factory)


def _run_here(main: Any, *, debug: bool | None = None, loop_factory: Any = None) -> Any:
    run = stdlib_run if _installed is None else _environments_run
    return run(main, debug=debug, loop_factory=loop_factory)


os.register_at_fork(after_in_child=uninstall)  # a child has threads and a loop of its own, or none
