"""Where this package takes the place of asyncio's own functions, and gives it back.

`reentry` and `threads` say what stands there instead. Each is a public name, and `asyncio.run` keeps its identity: its
code is exchanged, so that it is found however it was imported.
"""

import asyncio
import os
from asyncio import runners
from collections.abc import Callable
from types import FunctionType
from typing import Any

import nest_asyncio

from .loop import SharedLoop

Table = dict[tuple[Any, str], Any]  # (owner, name) -> what stands there

originals: Table = {}  # what stood there before the first environment
# A copy of asyncio.run: the code of the original is exchanged while an environment is installed.
stdlib_run = FunctionType(runners.run.__code__, vars(runners), "run", None, None)
stdlib_run.__kwdefaults__ = runners.run.__kwdefaults__
_run_of_environment: Callable[..., Any] = stdlib_run
_installed: SharedLoop | None = None


class Policy(asyncio.DefaultEventLoopPolicy):
    """A thread without a loop of its own gets the environment's."""

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        try:
            own = super().get_event_loop()
        except RuntimeError:
            if _installed is None:
                raise
            return _installed
        return _installed if own.is_closed() and _installed is not None else own


def apply_nest_asyncio() -> None:
    """Let every loop of the process be entered again, once: legacy code makes loops of its own too.

    nest_asyncio also puts Python's tasks and futures in place of C's, which makes everything on a loop slower. In
    Python 3.13 it need not: it takes the running task out of the way in a dict that C's tasks look into as well.
    """
    run, task, future = asyncio.run, asyncio.Task, asyncio.Future
    vars(nest_asyncio)["_patch_policy"] = lambda: None  # it would take our policy's place, now and when applied again
    loop = asyncio.SelectorEventLoop()
    nest_asyncio.apply(loop)
    loop.close()
    asyncio.run = run  # its own makes a loop and never closes it
    asyncio.Task = asyncio.tasks.Task = task  # type: ignore[misc]
    asyncio.Future = asyncio.futures.Future = future  # type: ignore[misc]


def install(loop: SharedLoop, run: Callable[..., Any], table: Table) -> None:
    """Put `table` and the loop in place, again before each invocation: user code may have taken something away."""
    global _installed, _run_of_environment
    _installed, _run_of_environment = loop, run
    vars(runners)["_run_of_environment"] = _run_here
    runners.run.__code__ = _run.__code__
    asyncio.run = runners.run
    if not isinstance(asyncio.get_event_loop_policy(), Policy):
        asyncio.set_event_loop_policy(Policy())
    for (owner, name), instead in table.items():
        if vars(owner).get(name) is not instead:
            originals.setdefault((owner, name), vars(owner).get(name) or getattr(owner, name))
            setattr(owner, name, instead)
    loop.restore()
    asyncio.set_event_loop(loop)


def uninstall() -> None:
    """Give asyncio back as it was (but for nest_asyncio, which cannot be undone)."""
    global _installed
    for (owner, name), original in originals.items():
        setattr(owner, name, original)
    originals.clear()
    runners.run.__code__ = stdlib_run.__code__
    if _installed is not None:
        asyncio.set_event_loop_policy(None)
    _installed = None


def _run(main: Any, *, debug: Any = None, loop_factory: Any = None) -> Any:
    """The code of asyncio.run while an environment is installed; its globals stay those of asyncio.runners."""
    return _run_of_environment(main, debug=debug, loop_factory=loop_factory)


def _run_here(main: Any, *, debug: bool | None = None, loop_factory: Any = None) -> Any:
    run = stdlib_run if _installed is None else _run_of_environment
    return run(main, debug=debug, loop_factory=loop_factory)


os.register_at_fork(after_in_child=uninstall)  # a child has threads and a loop of its own, or none
