"""What threads other than the loop's own may ask of it: they get the one loop, never a second."""

import asyncio
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent import futures
from types import FrameType
from typing import TYPE_CHECKING, Any

from .doors import before, original, stdlib_run
from .fence import Watch
from .ledger import EventLoopError, Invocation, Ledger, current, place
from .leftovers import Work, busy_threads, jobs_on_their_way

if TYPE_CHECKING:
    from .entries import Entries


_LOOKS = 10  # for jobs on their way, on a busy machine


class Workers:
    """Worker threads and the loop of `entries`. `startup` are those that were there before any request."""

    def __init__(self, entries: "Entries") -> None:
        self._entries = entries
        self._loop: Any = entries.loop
        self.startup: set[threading.Thread] = set()
        self._zombies: dict[threading.Thread, FrameType | None] = {}  # and the job that each was at

    def run(self, call: str, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop for this thread, also while the loop's thread waits for this very thread."""
        if self.is_over():
            raise self.too_late(call, awaitable)
        self._get_response_sync(awaitable)
        own = threading.current_thread() in self.startup and current.get() is None  # no request's: it runs on
        if own and inspect.iscoroutine(awaitable):
            return stdlib_run(awaitable)
        if not self._entries.fence.armed and inspect.iscoroutine(awaitable):  # nobody could wake the loop's thread
            self._entries.note("the loop does not run in the main thread: a worker ran a loop of its own")
            return stdlib_run(awaitable)
        invocation = self._entries.invocation()
        future = before[asyncio, "run_coroutine_threadsafe"](_within(invocation, awaitable), self._loop)
        self._wait(future, invocation)
        try:
            return future.result()
        except futures.CancelledError:
            discard(awaitable)
            raise asyncio.CancelledError from None  # as asyncio.run would

    def run_until_complete(self, future: Awaitable[Any]) -> Any:
        """get_event_loop().run_until_complete(...), where get_event_loop() gave our loop."""
        if self._entries.mode == "strict":
            call = "get_event_loop().run_until_complete() in a worker thread"
            raise self._entries.conflict(call, "`asyncio.run(...)`", future)
        return self.run("loop.run_until_complete()", future) if self._loop.is_running() else stdlib_run(future)

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        """loop.call_soon_threadsafe: deaf to work of invocations that are over."""
        invocation = current.get()
        if invocation is not None and invocation.over and threading.get_ident() != self._entries.home:
            return asyncio.Handle(callback, args, self._loop, context)
        handle: asyncio.Handle = original["call_soon_threadsafe"](self._loop, callback, *args, context=context)
        return handle

    def is_over(self) -> bool:
        """Whether the running thread is at work for an invocation that has ended."""
        invocation = current.get()
        if invocation is not None and (invocation.ending or invocation.over):
            return True
        thread, frame = threading.current_thread(), sys._getframe()
        if thread not in self._zombies:
            return False
        job = self._zombies[thread]
        while job is not None and frame is not None and frame is not job:
            frame = frame.f_back  # type: ignore[assignment]
        return frame is not None

    def too_late(self, call: str, awaitable: object) -> EventLoopError:
        """What such a thread is told."""
        discard(awaitable)
        return EventLoopError(f"{call} in a thread whose invocation is over: nothing of it may run into the next")

    async def forsake(self, ledger: Ledger) -> None:
        """After a request: no thread can be killed, so name it, be deaf to it, and leave it the pool that it blocks."""
        self._zombies = {thread: job for thread, job in self._zombies.items() if thread.is_alive()}
        for _ in range(_LOOKS):
            if not jobs_on_their_way():
                break
            await asyncio.sleep(0.002)  # lets one that was given a job at the last moment begin it, and be seen
        if not self._at_new_work():
            return
        await asyncio.sleep(0.005)  # one that has just finished is on its way to its next wait
        zombies = self._at_new_work()
        ledger.zombies += [work.text for work in zombies.values()]
        self._zombies |= {thread: work.job for thread, work in zombies.items()}
        pool = self._loop._default_executor
        if pool is not None and not pool._threads.isdisjoint(zombies):
            pool.shutdown(wait=False, cancel_futures=True)  # the next invocation gets another

    def _at_new_work(self) -> dict[threading.Thread, Work]:
        busy = busy_threads(self.startup)
        return {t: work for t, work in busy.items() if work.job is None or self._zombies.get(t) is not work.job}

    def _wait(self, future: futures.Future[Any], invocation: Invocation | None) -> None:
        pause, counted, watch = 0.001, False, Watch()
        while not futures.wait([future], pause).done:
            pause = min(2 * pause, 0.02)
            over = invocation.over if invocation is not None else not self._loop.is_running()
            if over and future.cancel():  # the loop, which would tell, may not run again
                return
            frame = watch.waiting(self._loop._thread_id)
            if frame is None:
                continue
            if not counted:
                self._entries.ledger.thread_waits[place(frame)] += 1
            pause, counted = 0.002, True
            self._entries.fence.drive(future, frame)

    def _get_response_sync(self, awaitable: Awaitable[Any]) -> None:
        """Agency.get_response_sync on the loop's thread starts this second thread, and waits for it: a nested entry."""
        if threading.current_thread().name != "agency-get-response-sync":
            return
        frame = sys._current_frames().get(self._loop._thread_id or 0)
        while frame is not None and frame.f_code.co_name != "get_response_sync":
            frame = frame.f_back
        if frame is not None and self._entries.mode == "strict":
            raise self._entries.conflict("get_response_sync()", "`await agency.get_response(...)`", awaitable, frame)
        if frame is not None:
            self._entries.count("get_response_sync()", frame)


def discard(awaitable: object) -> None:
    """A coroutine that will not be awaited: closed, it does not warn of that."""
    if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
        awaitable.close()


async def _within(invocation: Invocation | None, awaitable: Awaitable[Any]) -> Any:
    """For a thread that inherited no context: what its coroutine leaves behind is the invocation's too."""
    current.set(invocation)
    return await awaitable
