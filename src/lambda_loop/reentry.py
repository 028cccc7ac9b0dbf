"""What replaces each function that runs an event loop.

Calls on the loop's own thread are nested (`nesting`). Other threads share the loop (`worker_runs`).
"""

import asyncio
import inspect
import sys
import threading
from asyncio import events, runners
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from functools import partial
from typing import Any

import nest_asyncio

from . import threads
from .invocation import discard_coroutine, owning_invocation
from .loop import SharedLoop
from .nesting import AWAIT, Nesting
from .patches import Replacements, originals, stdlib_run
from .preconditions import Mode
from .watchdog import Watchdog
from .worker_runs import WorkerRuns

_LOOP: Any = asyncio.SelectorEventLoop
# Functions that run a loop of their own: module, class, name, what to call it, and the awaitable in its arguments.
_RUNNERS: tuple[tuple[str, str, str, str, Callable[..., Awaitable[Any]]], ...] = (
    ("asyncio", "Runner", "run", "asyncio.Runner.run()", lambda runner, coro, **_: coro),
    ("anyio", "", "run", "anyio.run()", lambda func, *args, **_: func(*args)),
    ("asgiref.sync", "AsyncToSync", "__call__", "async_to_sync()", lambda to_sync, *a, **k: to_sync.awaitable(*a, **k)),
    ("agents.run", "AgentRunner", "run_sync", "Runner.run_sync()", lambda runner, *a, **k: runner.run(*a, **k)),
)


class Reentry:
    def __init__(self, loop: SharedLoop, mode: Mode) -> None:
        self.loop, self.mode, self.watchdog = loop, mode, Watchdog(loop)
        self._nesting = Nesting(loop, mode)
        self._workers = WorkerRuns(loop, self._nesting, self.watchdog)
        loop.enter = self.run_until_complete
        self._replacements: Replacements = {
            (asyncio, "run_coroutine_threadsafe"): self.run_coroutine_threadsafe,
            (_LOOP, "run_until_complete"): lambda loop, future: self.run_second_loop(loop, future),
            (_LOOP, "run_forever"): lambda loop: self.run_forever(loop),
            (threading.Thread, "start"): lambda thread: self.start_thread(thread),
        }
        if mode == "strict":
            self._replacements[nest_asyncio, "_patch_asyncio"] = self.refuse_nest_asyncio

    def replacements(self) -> Replacements:
        # Again before each invocation: libraries are imported late.
        for module, owner, name, call, awaitable in _RUNNERS:
            where = sys.modules.get(module)
            where = getattr(where, owner) if where is not None and owner else where
            if where is not None and (where, name) not in self._replacements:
                self._replacements[where, name] = self._replace_runner(where, name, call, awaitable)
        return self._replacements

    def _replace_runner(self, owner: Any, name: str, call: str, awaitable: Callable[..., Awaitable[Any]]) -> Any:
        def run(*args: Any, **options: Any) -> Any:
            if self.loop.is_running_here:
                return self._nesting.run(call, awaitable(*args, **options))
            self._nesting.refuse_late(call, *args)
            return originals[owner, name](*args, **options)

        return run

    def run(self, main: Awaitable[Any], *, debug: bool | None = None, loop_factory: Any = None) -> Any:
        """Replace asyncio.run."""
        running = events._get_running_loop()
        if running is self.loop:
            return self._nesting.run("asyncio.run()", main)
        self._nesting.refuse_late("asyncio.run()", main)
        if running is not None and self.mode == "patch":
            return running.run_until_complete(main)  # a second loop of the user's, on which nest_asyncio is applied
        if running is None and threading.current_thread() is self.loop.home:
            return self.loop.run_until_complete(main)
        if running is None and loop_factory is None and self.loop.is_running():
            return self._workers.run(main)
        return stdlib_run(main, debug=debug, loop_factory=loop_factory)

    def run_until_complete(self, future: Awaitable[Any]) -> Any:
        """Replace `run_until_complete` of the shared loop."""
        call = "loop.run_until_complete()"
        if self.loop.is_running_here:
            return self._nesting.run(call, future)
        if threading.current_thread() is self.loop.home:
            return self._run_from_outside(future)
        self._nesting.refuse_late(call, future)
        if self.mode == "strict":
            call = "get_event_loop().run_until_complete() in a worker thread"
            raise self._nesting.conflict(call, "`asyncio.run(...)`", future)
        return self._workers.run(future) if self.loop.is_running() else stdlib_run(future)

    def run_second_loop(self, loop: Any, future: Awaitable[Any]) -> Any:
        """Replace `run_until_complete` of the user's loops."""
        call = "loop.run_until_complete()"
        if not self.loop.is_running_here:
            self._nesting.refuse_late(call, future)
        elif _is_in_runner():
            return discard_coroutine(future)  # a Runner closes its own loop, on which nothing has run
        elif inspect.iscoroutine(future) and not self._is_used(loop):
            return self._nesting.run(call, future)
        elif self.mode == "strict":
            raise self._nesting.conflict(call, AWAIT, future)
        else:
            self._nesting.count(call)
        self.loop.others.add(loop)
        return originals[_LOOP, "run_until_complete"](loop, future)

    def run_forever(self, loop: Any) -> None:
        """Replace `run_forever` of any loop."""
        if loop is self.loop or (self.loop.is_running_here and self.mode == "strict"):
            raise self._nesting.conflict("loop.run_forever()", "`asyncio.create_task()`; the loop runs already")
        if self.loop.is_running_here:
            self._nesting.count("loop.run_forever()")
        else:
            self._nesting.refuse_late("loop.run_forever()")
        self.loop.others.add(loop)
        originals[_LOOP, "run_forever"](loop)

    def run_coroutine_threadsafe(
        self, coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop
    ) -> futures.Future[Any]:
        """Return a future that can be waited for on the loop's thread too."""
        if loop is not self.loop:
            return originals[asyncio, "run_coroutine_threadsafe"](coro, loop)  # type: ignore[no-any-return]
        self._nesting.refuse_late("run_coroutine_threadsafe()", coro)
        future: Any = originals[asyncio, "run_coroutine_threadsafe"](coro, loop)
        future.result = partial(self._workers.result, future, future.result)
        future.exception = partial(self._workers.result, future, future.exception)
        return future  # type: ignore[no-any-return]

    def refuse_nest_asyncio(self) -> None:
        instead = "EVENT_LOOP=patch in the settings, which applies it in time,"
        raise self._nesting.conflict("nest_asyncio.apply()", instead)

    def start_thread(self, thread: threading.Thread) -> None:
        """Replace Thread.start; `Agency.get_response_sync` blocks the loop by such a thread."""
        if thread.name == "agency-get-response-sync" and self.loop.is_running_here:
            if self.mode == "strict":
                raise self._nesting.conflict("get_response_sync()", "`await agency.get_response(...)`")
            self._nesting.count("get_response_sync()")
        threads.start(thread, sys._getframe(2))

    def _is_used(self, loop: Any) -> bool:
        return loop in self.loop.others or bool(loop._ready or loop._scheduled or asyncio.all_tasks(loop))

    def _run_from_outside(self, future: Awaitable[Any]) -> Any:
        task, hooks = asyncio.ensure_future(future, loop=self.loop), sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._on_generator_start, self._on_generator_dropped)
        try:
            with self.watchdog.watch():
                return self._run_to_end(task)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def _run_to_end(self, task: asyncio.Future[Any]) -> Any:
        while True:
            try:
                return self.loop.run(task)
            except BaseException as error:
                if self.watchdog.interrupted:
                    if task.done():
                        task.exception()  # marks it as retrieved
                    raise
                if task.done():
                    return task.result()
                if self.loop.is_closed() or self.loop.is_running():
                    raise
                self.loop.report.notes.append(f"the loop went on after {error!r}")

    def _on_generator_start(self, generator: Any) -> None:
        (owning_invocation() or self.loop.startup).generators.add(generator)

    def _on_generator_dropped(self, generator: Any) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._close_generator, generator)

    def _close_generator(self, generator: Any) -> None:
        self.loop.create_task(generator.aclose())


def _is_in_runner() -> bool:
    return sys._getframe(3).f_globals.get("__name__") == runners.__name__
