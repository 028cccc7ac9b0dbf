"""Coroutines that other threads run on the loop."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from concurrent import futures
from typing import Any

from .invocation import Invocation, current_invocation, discard_coroutine, owning_invocation
from .loop import SharedLoop
from .nesting import Nesting
from .patches import originals, stdlib_run
from .places import describe
from .watchdog import Watchdog


class WorkerRuns:
    def __init__(self, loop: SharedLoop, nesting: Nesting, watchdog: Watchdog) -> None:
        self._loop, self._nesting, self._watchdog = loop, nesting, watchdog

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable to its end, on the shared loop if it belongs to a request."""
        invocation, is_coroutine = owning_invocation(), inspect.iscoroutine(awaitable)
        if is_coroutine and invocation in (None, self._loop.startup):
            return stdlib_run(awaitable)
        if is_coroutine and not self._watchdog.armed:  # nobody could wake the loop's thread
            self._loop.report.notes.append("the loop does not run in the main thread: a worker ran a loop of its own")
            return stdlib_run(awaitable)
        future = originals[asyncio, "run_coroutine_threadsafe"](_run_for(invocation, awaitable), self._loop)
        try:
            return self.result(future, future.result)
        except futures.CancelledError:
            discard_coroutine(awaitable)
            raise asyncio.CancelledError from None  # as asyncio.run would

    def result(self, future: Any, read: Callable[..., Any], timeout: float | None = None) -> Any:
        """Wait for a future of the loop, and call `read`: its `result` or `exception`."""
        if future.done() or not self._loop.is_running():
            return read(timeout)
        if self._loop.is_running_here:
            call = "run_coroutine_threadsafe().result()"
            self._nesting.run(call, asyncio.wait([asyncio.wrap_future(future)], timeout=timeout))
            return read(0)
        self._wait(future, timeout)
        return read(0)

    def _wait(self, future: futures.Future[Any], timeout: float | None) -> None:
        end, pause, invocation = time.monotonic() + (timeout or 0), 0.001, owning_invocation()
        while timeout is None or time.monotonic() < end:
            left = pause if timeout is None else min(pause, max(end - time.monotonic(), 0))
            if futures.wait([future], left).done:
                return
            pause = min(2 * pause, 0.02)
            over = invocation.over if invocation is not None else not self._loop.is_running()
            if over and future.cancel():  # the loop, which would do it, may not run again
                return
            self._watchdog.wake_loop(future)


async def _run_for(invocation: Invocation | None, awaitable: Awaitable[Any]) -> Any:
    current_invocation.set(invocation)  # the thread may serve several
    if (task := asyncio.current_task()) is not None:
        task.set_name(f"task {describe(awaitable)}")
    return await awaitable
