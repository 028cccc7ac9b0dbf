"""What reaches the loop's thread while synchronous code blocks it: a signal.

Python runs a signal's handler in the main thread, between two bytecodes and inside every interruptible wait. Two
things need that: a deadline that nothing on the blocked loop can keep, and a worker thread that needs the loop while
the loop's thread is itself waiting for that worker.
"""

import asyncio
import signal
import threading
from asyncio import events
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .ledger import DeadlineExceeded, Invocation, is_library, place

_AGAIN = 0.1  # seconds between two attempts to get out of code that swallowed the first


class Fence:
    """Installed around an invocation (or a server's life) on the main thread; elsewhere it can only drive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Any = loop  # Any: driving needs what asyncio keeps private
        self._requests: deque[Future[Any]] = deque()
        self._invocation: Invocation | None = None
        self._armed = False

    @contextmanager
    def armed(self, invocation: Invocation | None = None, seconds: float | None = None) -> Iterator[None]:
        """Handle SIGALRM inside the block; after `seconds`, raise DeadlineExceeded in whatever blocks the loop."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._invocation, before = invocation, signal.signal(signal.SIGALRM, self._on_alarm)
        timer = signal.setitimer(signal.ITIMER_REAL, seconds or 0, _AGAIN if seconds else 0)
        self._armed = True
        try:
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, before)

    def drive(self, future: Future[Any]) -> None:
        """Called by a worker thread whose coroutine cannot run, because the loop's thread waits for a thread."""
        if not self._armed:
            self._drive(future)
        elif (home := self._loop._thread_id) is not None:
            self._requests.append(future)
            signal.pthread_kill(home, signal.SIGALRM)

    def _on_alarm(self, signum: int, frame: FrameType | None) -> None:
        while self._requests:
            future = self._requests.popleft()
            if waits_for_thread(frame):
                self._drive(future)
        invocation = self._invocation
        if invocation is not None and self._is_late(invocation) and self._is_stuck(invocation, frame):
            invocation.ledger.deadline_exceeded = True
            invocation.ledger.notes.append(f"interrupted at {place(frame)}")
            raise DeadlineExceeded(f"the invocation's time was up at {place(frame)}")

    def _is_late(self, invocation: Invocation) -> bool:
        return invocation.deadline is not None and self._loop.time() > invocation.deadline

    def _is_stuck(self, invocation: Invocation, frame: FrameType | None) -> bool:
        """In a callback of the user's, or in a nested run that waits for something that will never come."""
        task = asyncio.current_task(self._loop)
        if task is invocation.driver and task is not None:
            return False
        machinery, user = False, task is not None
        while frame is not None and frame.f_code is not asyncio.Handle._run.__code__:
            machinery = machinery or frame.f_code.co_name == "_run_once"
            user = user or not is_library(frame)
            frame = frame.f_back
        return frame is not None and user and (not machinery or invocation.over)

    def _drive(self, future: Future[Any]) -> None:
        """Run the loop from inside the wait of its own thread until `future` is done."""
        loop = self._loop
        before = loop._thread_id, events._get_running_loop(), asyncio.tasks._swap_current_task(loop, None)  # type: ignore[attr-defined]
        ready = len(loop._ready)
        loop._thread_id = threading.get_ident()
        events._set_running_loop(loop)
        try:
            while not future.done():
                loop._run_once()
        finally:
            loop._thread_id = before[0]
            events._set_running_loop(before[1])
            asyncio.tasks._swap_current_task(loop, before[2])  # type: ignore[attr-defined]
            # The outer _run_once counted its callbacks before we ran some of them: leave it as many to pop.
            loop._ready.extend(_spent(loop) for _ in range(ready - len(loop._ready)))


def waits_for_thread(frame: FrameType | None) -> bool:
    """Whether a thread stands in a join, a wait or a result: then other work may run there, and nowhere else."""
    return frame is not None and frame.f_code.co_filename == threading.__file__


def _spent(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    handle = asyncio.Handle(lambda: None, (), loop)
    handle.cancel()
    return handle
