"""What each way into an event loop does, on the loop's own thread and on any other.

On the loop's thread synchronous code meets the very loop that runs it: patch mode counts the entry and runs the loop
inside of itself, strict mode raises EventLoopConflict. Other threads get the one loop, never a second.
"""

import asyncio
import inspect
import sys
import threading
import time
from asyncio import events, runners
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from functools import partial
from types import FrameType
from typing import Any, Literal

import nest_asyncio

from . import threads
from .invocation import Invocation, current_invocation, discard, working_for
from .loop import SharedLoop
from .patches import Table, originals, stdlib_run
from .places import described, here
from .report import EventLoopConflict, EventLoopError, InvocationReport
from .watchdog import Watchdog

Mode = Literal["patch", "strict"]
_LOOP: Any = asyncio.SelectorEventLoop
_AWAIT = "`await` on the coroutine, in an `async def`"
_DEEPEST = 300  # nested runs; asyncio's own machinery must never be what meets the recursion limit
_LIBRARIES: tuple[tuple[str, str, str, str, Callable[..., Awaitable[Any]]], ...] = (
    ("asyncio", "Runner", "run", "asyncio.Runner.run()", lambda runner, coro, **_: coro),
    ("anyio", "", "run", "anyio.run()", lambda func, *args, **_: func(*args)),
    ("asgiref.sync", "AsyncToSync", "__call__", "async_to_sync()", lambda to_sync, *a, **k: to_sync.awaitable(*a, **k)),
    ("agents.run", "AgentRunner", "run_sync", "Runner.run_sync()", lambda runner, *a, **k: runner.run(*a, **k)),
)
_REFUSALS = 3  # after which a thread that comes again and again is made to wait


class Reentry:
    """The ways into one loop, in one mode."""

    def __init__(self, loop: SharedLoop, mode: Mode) -> None:
        self.loop, self.mode, self.watchdog = loop, mode, Watchdog(loop)
        loop.enter = self.enter
        self._depth = 0
        self._table: Table = {
            (asyncio, "run_coroutine_threadsafe"): self.run_threadsafe,
            (_LOOP, "run_until_complete"): lambda loop, future: self.run_second(loop, future),
            (_LOOP, "run_forever"): lambda loop: self.run_forever(loop),
            (threading.Thread, "start"): lambda thread: self.start_thread(thread),
        }
        if mode == "strict":
            self._table[nest_asyncio, "_patch_asyncio"] = self.refuse_late_patch

    def table(self) -> Table:
        """Return what stands in whose place; that of libraries as they are imported."""
        for module, owner, name, call, awaitable in _LIBRARIES:
            where = sys.modules.get(module)
            where = getattr(where, owner) if where is not None and owner else where
            if where is not None and (where, name) not in self._table:
                self._table[where, name] = self._way_in(where, name, call, awaitable)
        return self._table

    def _way_in(self, owner: Any, name: str, call: str, awaitable: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        """A function that runs a loop of its own: on our loop's thread it would refuse by itself, and be hidden."""

        def run(*args: Any, **options: Any) -> Any:
            if self.loop.is_here:
                return self._nested(call, awaitable(*args, **options))
            self._refuse_late(call, *args)
            return originals[owner, name](*args, **options)

        return run

    # -- the ways in

    def run(self, main: Awaitable[Any], *, debug: bool | None = None, loop_factory: Any = None) -> Any:
        """asyncio.run: on the one loop, from wherever it is called."""
        running = events._get_running_loop()
        if running is self.loop:
            return self._nested("asyncio.run()", main)
        self._refuse_late("asyncio.run()", main)
        if running is not None and self.mode == "patch":
            return running.run_until_complete(main)  # a second loop of the user's, on which nest_asyncio is applied
        if running is None and threading.current_thread() is self.loop.home:
            return self.loop.run_until_complete(main)
        if running is None and loop_factory is None and self.loop.is_running():
            return self._run_in_worker(main)
        return stdlib_run(main, debug=debug, loop_factory=loop_factory)

    def enter(self, future: Awaitable[Any]) -> Any:
        """loop.run_until_complete of our loop."""
        call = "loop.run_until_complete()"
        if self.loop.is_here:
            return self._nested(call, future)
        if threading.current_thread() is self.loop.home:
            return self._complete(future)
        self._refuse_late(call, future)
        if self.mode == "strict":
            raise self.conflict(
                "get_event_loop().run_until_complete() in a worker thread", "`asyncio.run(...)`", future
            )
        return self._run_in_worker(future) if self.loop.is_running() else stdlib_run(future)

    def run_second(self, loop: Any, future: Awaitable[Any]) -> Any:
        """loop.run_until_complete of a loop that the user has made."""
        call = "loop.run_until_complete()"
        if not self.loop.is_here:
            self._refuse_late(call, future)
        elif _module(_caller(3)) == runners.__name__:
            return discard(future)  # a Runner tidies up its own loop, on which nothing has run
        elif inspect.iscoroutine(future) and not self._has_own_work(loop):
            return self._nested(call, future)
        elif self.mode == "strict":
            raise self.conflict(call, _AWAIT, future)
        else:
            self.count(call)
        self.loop.others.add(loop)
        return originals[_LOOP, "run_until_complete"](loop, future)

    def run_threadsafe(self, coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> futures.Future[Any]:
        """asyncio.run_coroutine_threadsafe, whose result can be waited for on the loop's own thread too."""
        if loop is not self.loop:
            return originals[asyncio, "run_coroutine_threadsafe"](coro, loop)  # type: ignore[no-any-return]
        self._refuse_late("run_coroutine_threadsafe()", coro)
        future: Any = originals[asyncio, "run_coroutine_threadsafe"](coro, loop)
        future.result = partial(self._result, future, future.result)
        future.exception = partial(self._result, future, future.exception)
        return future  # type: ignore[no-any-return]

    def run_forever(self, loop: Any) -> None:
        """loop.run_forever: our loop is run by the environment alone."""
        if loop is self.loop or (self.loop.is_here and self.mode == "strict"):
            raise self.conflict("loop.run_forever()", "`asyncio.create_task()`; the loop runs already")
        if self.loop.is_here:
            self.count("loop.run_forever()")
        else:
            self._refuse_late("loop.run_forever()")
        self.loop.others.add(loop)
        originals[_LOOP, "run_forever"](loop)

    def refuse_late_patch(self) -> None:
        """nest_asyncio.apply() in strict mode."""
        raise self.conflict("nest_asyncio.apply()", "EVENT_LOOP=patch in the settings, which applies it in time,")

    def start_thread(self, thread: threading.Thread) -> None:
        """Thread.start: on the loop's thread, Agency.get_response_sync is a nested entry by way of another thread."""
        if thread.name == "agency-get-response-sync" and self.loop.is_here:
            if self.mode == "strict":
                raise self.conflict("get_response_sync()", "`await agency.get_response(...)`")
            self.count("get_response_sync()")
        threads.start(thread, _caller(2))

    # -- on the loop's thread

    def count(self, call: str) -> None:
        """Count a nested entry in the report."""
        self.report.nested[call, here()] += 1

    def conflict(self, call: str, instead: str, awaitable: object = None) -> EventLoopConflict:
        """Return a conflict to be raised, after writing it into the report."""
        discard(awaitable)
        conflict = EventLoopConflict(call, instead)
        self.report.conflicts.append(conflict)
        return conflict

    @property
    def report(self) -> InvocationReport:
        """The report of the invocation that the running code works for."""
        return self.invocation().report

    def invocation(self) -> Invocation:
        """Return that invocation; what the app began at its start works for the active one."""
        own, startup = working_for(), self.loop.startup
        return (self.loop.active or startup) if own is None or own is startup else own

    def _nested(self, call: str, future: Awaitable[Any]) -> Any:
        if self.mode == "strict":
            raise self.conflict(call, _AWAIT, future)
        if self._depth >= _DEEPEST:
            discard(future)
            raise EventLoopError(f"{call} at {here()} is the {_DEEPEST}th run inside another. Write {_AWAIT} instead.")
        self.count(call)
        self._depth += 1
        try:
            return self.loop.run(future)
        finally:
            self._depth -= 1

    def _complete(self, future: Awaitable[Any]) -> Any:
        """Run our loop to the end of `future`, whatever a callback throws out of it."""
        task, hooks = asyncio.ensure_future(future, loop=self.loop), sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._generator_begins, self._generator_is_dropped)
        try:
            with self.watchdog.around():
                return self._persist(task)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def _persist(self, task: asyncio.Future[Any]) -> Any:
        while True:
            try:
                return self.loop.run(task)
            except BaseException as error:
                if self.watchdog.interrupted:
                    if task.done():
                        task.exception()  # it has been seen: here it goes
                    raise
                if task.done():
                    return task.result()
                if self.loop.is_closed() or self.loop.is_running():
                    raise
                self.report.notes.append(f"the loop went on after {error!r}")

    def _generator_begins(self, generator: Any) -> None:
        (working_for() or self.loop.startup).generators.add(generator)

    def _generator_is_dropped(self, generator: Any) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._close, generator)

    def _close(self, generator: Any) -> None:
        self.loop.create_task(generator.aclose())

    def _has_own_work(self, loop: Any) -> bool:
        """Whether a second loop may have connections, tasks or timers: what runs on it must not be moved to ours."""
        return loop in self.loop.others or bool(loop._ready or loop._scheduled or asyncio.all_tasks(loop))

    # -- on other threads

    def _run_in_worker(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop for this thread, also while the loop's thread waits for this very thread."""
        invocation, is_coroutine = working_for(), inspect.iscoroutine(awaitable)
        if is_coroutine and invocation in (None, self.loop.startup):
            return stdlib_run(awaitable)  # no request's: it runs on
        if is_coroutine and not self.watchdog.armed:  # nobody could wake the loop's thread
            self.report.notes.append("the loop does not run in the main thread: a worker ran a loop of its own")
            return stdlib_run(awaitable)
        future = originals[asyncio, "run_coroutine_threadsafe"](_within(invocation, awaitable), self.loop)
        try:
            return self._result(future, future.result)
        except futures.CancelledError:
            discard(awaitable)
            raise asyncio.CancelledError from None  # as asyncio.run would

    def _result(self, future: Any, read: Callable[..., Any], timeout: float | None = None) -> Any:
        """Read the result of a coroutine on our loop, from any thread."""
        if future.done() or not self.loop.is_running():
            return read(timeout)
        if self.loop.is_here:
            call = "run_coroutine_threadsafe().result()"
            self._nested(call, asyncio.wait([asyncio.wrap_future(future)], timeout=timeout))
            return read(0)
        self._wait(future, timeout)
        return read(0)

    def _wait(self, future: futures.Future[Any], timeout: float | None) -> None:
        end, pause, invocation = time.monotonic() + (timeout or 0), 0.001, working_for()
        while timeout is None or time.monotonic() < end:
            left = pause if timeout is None else min(pause, max(end - time.monotonic(), 0))
            if futures.wait([future], left).done:
                return
            pause = min(2 * pause, 0.02)
            over = invocation.over if invocation is not None else not self.loop.is_running()
            if over and future.cancel():  # the loop, which would do it, may not run again
                return
            self.watchdog.nudge(future)

    def _refuse_late(self, call: str, *given: object) -> None:
        """Refuse code that has outlived its invocation, in another thread or on another loop.

        Raises:
            InvocationOver: always the same; a thread that catches it and comes again is slowed down.
        """
        invocation = working_for()
        if invocation is None or not (invocation.ending or invocation.over) or invocation is self.loop.startup:
            return
        thread = threading.current_thread()
        invocation.refused[thread] += 1
        if invocation.refused[thread] > _REFUSALS and thread is not self.loop.home:
            time.sleep(1)
        raise invocation.refuse(call, *given)


async def _within(invocation: Invocation | None, awaitable: Awaitable[Any]) -> Any:
    """For a thread that serves several invocations: what its coroutine leaves behind is the present one's."""
    current_invocation.set(invocation)
    if (task := asyncio.current_task()) is not None:
        task.set_name(f"task {described(awaitable)}")
    return await awaitable


def _caller(out: int) -> FrameType | None:
    """The frame that is so many calls away from the method that asks."""
    frame = inspect.currentframe()
    for _ in range(out + 1):
        frame = frame.f_back if frame is not None else None
    return frame


def _module(frame: FrameType | None) -> Any:
    return frame.f_globals.get("__name__") if frame is not None else None
