"""Where asyncio's own ways into a loop are replaced, once, at cold start; `entries` says what each then does."""

import _asyncio
import asyncio
import os
import sys
import threading
from asyncio import runners
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

import nest_asyncio

if TYPE_CHECKING:
    from .entries import Entries

_LOOP: Any = asyncio.SelectorEventLoop
_METHODS = ("run_until_complete", "run_forever", "close", "call_soon_threadsafe")
_FRAMES = 20_000  # what hundreds of nested runs of an agency, or of waits within waits, need

original: dict[str, Any] = {}  # the loop's own methods; in patch mode they are nest_asyncio's
before: dict[tuple[Any, str], Any] = {}  # (owner, name) -> what stood there
stdlib_run = FunctionType(runners.run.__code__, vars(runners), "run", None, None)
stdlib_run.__kwdefaults__ = runners.run.__kwdefaults__
stdlib_runner_run = asyncio.Runner.run
_installed: "Entries | None" = None


class Policy(asyncio.DefaultEventLoopPolicy):
    """A thread without a loop of its own gets the environment's."""

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        own: asyncio.AbstractEventLoop | None = getattr(self._local, "_loop", None)  # type: ignore[attr-defined]
        if _installed is None or (own is not None and not own.is_closed()):
            return super().get_event_loop()
        return _installed.loop


def install(entries: "Entries") -> None:
    """Make `entries` the doors of this process, with nest_asyncio behind them in patch mode. Undone by `uninstall`."""
    global _installed
    uninstall()
    if entries.mode == "patch":
        asyncio_run = asyncio.run
        nest_asyncio.apply(entries.loop)
        asyncio.run = asyncio_run  # its own makes a loop and never closes it
        _keep_native_tasks()
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))
    original.update({name: getattr(_LOOP, name) for name in _METHODS})
    restore(entries)


def _keep_native_tasks() -> None:
    """nest_asyncio puts Python's tasks and futures in place of C's, which makes everything on the loop slower.

    In Python 3.13 it need not: it takes the running task out of the way in `_current_tasks`, and C's tasks look there.
    """
    assert asyncio.tasks._current_tasks is _asyncio._current_tasks  # type: ignore[attr-defined]
    asyncio.Task = asyncio.tasks.Task = asyncio.tasks._CTask = _asyncio.Task  # type: ignore[attr-defined,misc]
    asyncio.Future = asyncio.futures.Future = asyncio.futures._CFuture = _asyncio.Future  # type: ignore[attr-defined,misc]


def restore(entries: "Entries") -> None:
    """Put back what user code may have taken away since: before each invocation."""
    global _installed
    _installed = entries
    vars(runners)["_environment_run"] = run
    runners.run.__code__ = _run.__code__
    if not isinstance(asyncio.get_event_loop_policy(), Policy):
        asyncio.set_event_loop_policy(Policy())
    for (owner, name), door in _doors(entries).items():  # also of what was imported since
        if vars(owner).get(name) is not door:
            before.setdefault((owner, name), getattr(owner, name))
            setattr(owner, name, door)
    entries.home = threading.get_ident()
    asyncio.set_event_loop(entries.loop)
    loop: Any = entries.loop
    loop._stopping, loop._asyncgen_firstiter_hook = False, entries.own_generator
    loop.set_exception_handler(None)
    loop.set_task_factory(None)
    if loop._executor_shutdown_called or getattr(loop._default_executor, "_shutdown", False):
        loop._executor_shutdown_called, loop._default_executor = False, None


def uninstall() -> None:
    """Give asyncio back as it was (but for nest_asyncio, which cannot be undone)."""
    global _installed
    for (owner, name), door in before.items():
        setattr(owner, name, door)
    before.clear()
    runners.run.__code__ = stdlib_run.__code__
    if _installed is not None:
        asyncio.set_event_loop_policy(None)
    _installed = None


def _doors(entries: "Entries") -> dict[tuple[Any, str], Any]:
    """(owner, name) -> what stands there while `entries` are installed; made once, and as libraries are imported."""
    doors = entries.doors
    if not doors:
        doors |= _asyncio_doors(entries)
    anyio, sdk = sys.modules.get("anyio"), sys.modules.get("agents.run")
    if anyio and (anyio, "run") not in doors:
        doors[anyio, "run"] = entries.run_anyio
    if sdk and (sdk.AgentRunner, "run_sync") not in doors:
        doors[sdk.AgentRunner, "run_sync"] = lambda *args, **options: entries.run_sync(*args, **options)
    return doors


def _asyncio_doors(entries: "Entries") -> dict[tuple[Any, str], Any]:
    doors: dict[tuple[Any, str], Any] = {
        (asyncio, "run"): runners.run,  # nest_asyncio has another, and user code may
        (asyncio, "run_coroutine_threadsafe"): entries.run_threadsafe,
        (asyncio.Runner, "run"): lambda runner, coro, *, context=None: entries.run_in(runner, coro, context=context),
        (_LOOP, "run_until_complete"): lambda loop, future: entries.run_until_complete(loop, future),
        (_LOOP, "run_forever"): lambda loop: entries.run_forever(loop),
        (_LOOP, "close"): lambda loop: entries.close(loop),
        (_LOOP, "call_soon_threadsafe"): _call_soon_threadsafe(entries),
        # Applied again it would take our policy's place; applied late it breaks the running loop.
        (nest_asyncio, "_patch_policy"): lambda: None,
    }
    if entries.mode == "strict":
        doors[nest_asyncio, "_patch_asyncio"] = entries.refuse_late_patch
    return doors


def _call_soon_threadsafe(entries: "Entries") -> Any:
    def door(loop: Any, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        call = entries.workers.call_soon if loop is entries.loop else partial(original["call_soon_threadsafe"], loop)
        return call(callback, *args, context=context)

    return door


def _run(main: Any, *, debug: Any = None, loop_factory: Any = None) -> Any:
    """The code of asyncio.run itself while an environment is installed, however it was imported; its globals stay."""
    return _environment_run(main, debug=debug, loop_factory=loop_factory)  # type: ignore[name-defined]  # noqa: F821


def run(main: Any, *, debug: bool | None = None, loop_factory: Any = None) -> Any:
    """asyncio.run, by way of the installed environment."""
    if _installed is None:
        return stdlib_run(main, debug=debug, loop_factory=loop_factory)
    return _installed.run(main, debug=debug, loop_factory=loop_factory)


os.register_at_fork(after_in_child=uninstall)  # a child has threads and a loop of its own, or none
