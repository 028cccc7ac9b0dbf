"""What reaches the loop's thread while synchronous code blocks it: a signal.

Python runs a signal's handler in the main thread, between two bytecodes and inside every interruptible wait. Two things
need that: a deadline that nothing on the blocked loop can keep, and a worker thread that needs the loop while the
loop's thread is itself waiting for that worker. SIGURG, because nobody else uses it and its default is to do nothing.
"""

import asyncio
import math
import selectors
import signal
import sys
import threading
import time
from asyncio import events
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import Context
from types import FrameType
from typing import Any

from .ledger import DeadlineExceeded, Invocation, current, is_library, place

_SIGNAL = signal.SIGURG
_SLICE = 0.02  # seconds for which the loop runs inside a wait, before the wait looks whether it is over
_STILL = 0.05  # seconds at one instruction that count as waiting there
_IDLE = 0.005  # seconds of processor time in which that may be
_DEEPEST = 300  # waits within waits
_AGAIN = 0.01  # seconds between two attempts to end what blocks, at least
_IMPORT = "<frozen importlib._bootstrap>"
_WAITS = {threading.Condition.wait.__code__, threading.Thread.join.__code__}


class Fence:
    """Works where the loop's thread is the main thread, as on Lambda; elsewhere it does nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Any = loop  # Any: driving needs what asyncio keeps private
        self._requests: deque[tuple[Future[Any], FrameType]] = deque()
        self._invocation: Invocation | None = None
        self._depth = 0
        self.armed = self._interrupting = False

    @contextmanager
    def around(self, invocation: Invocation | None = None, seconds: float | None = None) -> Iterator[None]:
        """Inside the block worker threads may `drive`; after `seconds`, DeadlineExceeded is raised in what blocks."""
        if self.armed or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(_SIGNAL, self._on_signal)
        self._invocation, self.armed = invocation, True
        _clock.set(seconds, again=max(invocation.reserve / 20, _AGAIN) if invocation else 0)
        try:
            yield
        finally:
            _clock.set(None)
            self.armed = False
            signal.signal(_SIGNAL, before)

    def drive(self, future: Future[Any], frame: FrameType) -> None:
        """Called by a worker thread whose coroutine cannot run, because the loop's thread waits in `frame`."""
        if not any(pending is future for pending, _ in self._requests):
            self._requests.append((future, frame))
        signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        while self._requests:
            future, waiting = self._requests.popleft()
            if waiting is frame and not future.done() and self._depth < _DEEPEST:
                self._drive(future)
        invocation = self._invocation
        late = invocation is not None and self._loop.time() > (invocation.deadline or math.inf)
        if invocation is None or not late or self._interrupting:
            return
        self._interrupting = True  # on a busy machine the next signal may come before this one is dealt with
        try:
            self._interrupt(invocation, frame)
        finally:
            self._interrupting = False

    def _interrupt(self, invocation: Invocation, frame: FrameType | None) -> None:
        if not self._is_stuck(invocation, frame):
            return
        if not invocation.ledger.deadline_exceeded:
            invocation.ledger.deadline_exceeded = True
            invocation.ledger.notes.append(f"interrupted at {place(frame)}")
        invocation.half_imported |= _being_imported()
        for task in asyncio.all_tasks(self._loop):  # what has not begun to block must not begin now
            if task is not invocation.driver and task.get_context().get(current) is invocation:
                task.cancel()
        raise DeadlineExceeded(f"the invocation's time was up at {place(frame)}")

    def _is_stuck(self, invocation: Invocation, frame: FrameType | None) -> bool:
        """In a callback of the user's, or in a nested run that waits for something that will never come."""
        task = asyncio.current_task(self._loop)
        if task is invocation.driver and task is not None:
            return False
        machinery, user, importing = False, task is not None, False
        while frame is not None and frame.f_code is not asyncio.Handle._run.__code__:
            machinery = machinery or frame.f_code.co_name == "_run_once"
            user = user or not is_library(frame)
            importing = importing or frame.f_code.co_filename == _IMPORT
            frame = frame.f_back
        if importing and self._loop.time() < (invocation.deadline or 0) + 0.5 * invocation.reserve:
            return False  # an import is begun again from the start: only when there is nearly no time left
        return frame is not None and user and (not machinery or invocation.over)

    def _drive(self, future: Future[Any]) -> None:
        """Run the loop for a moment from inside the wait of its own thread."""
        loop, end = self._loop, self._loop.time() + _SLICE
        task, ready = asyncio.tasks._swap_current_task(loop, None), len(loop._ready)  # type: ignore[attr-defined]
        running, events_before = loop._thread_id, events._get_running_loop()
        loop._thread_id = threading.get_ident()
        events._set_running_loop(loop)
        timer = loop.call_at(end, lambda: None, context=Context())
        self._depth += 1
        try:
            while not future.done() and loop.time() < end:
                loop._run_once()
        finally:
            self._depth -= 1
            timer.cancel()
            loop._thread_id = running
            events._set_running_loop(events_before)
            asyncio.tasks._swap_current_task(loop, task)  # type: ignore[attr-defined]
            # The outer _run_once counted its callbacks before we ran some of them: leave it as many to pop.
            loop._ready.extend(_spent(loop) for _ in range(ready - len(loop._ready)))


class Watch:
    """Another thread's look at the loop's thread: where does it wait, so that the loop may run there meanwhile?"""

    def __init__(self) -> None:
        self._seen: tuple[FrameType | None, int] = None, 0
        self._since = self._cpu = 0.0

    def waiting(self, thread_id: int | None) -> FrameType | None:
        """The frame in which the thread waits for another; None while it works, or holds a lock of the library's."""
        frame = sys._current_frames().get(thread_id or 0)
        if frame is None or frame.f_code.co_filename == selectors.__file__:  # the loop itself waits: it is free
            return None
        if frame.f_code in _WAITS:
            return None if _starts_thread(frame) else frame
        # lock.acquire(), SimpleQueue.get(), time.sleep(): C code, known by standing still and using no processor time
        cpu = _cpu_seconds(thread_id or 0)
        if self._seen != (frame, frame.f_lasti) or cpu - self._cpu > _IDLE or _is_runnable(thread_id or 0):
            self._seen, self._since, self._cpu = (frame, frame.f_lasti), time.monotonic(), cpu
        still = time.monotonic() - self._since > _STILL
        return frame if still and not is_library(frame) else None


def _being_imported() -> set[str]:
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    return {spec.name for spec in specs if spec is not None and getattr(spec, "_initializing", False)}


def _cpu_seconds(thread_id: int) -> float:
    """Processor time of a thread; always 0 where the system does not tell (macOS)."""
    clock = getattr(time, "pthread_getcpuclockid", None)
    return time.clock_gettime(clock(thread_id)) if clock else 0.0


def _is_runnable(thread_id: int) -> bool:
    """Whether a thread works, or would if a processor were free: on a busy machine it may get none for long."""
    thread = threading._active.get(thread_id)  # type: ignore[attr-defined]
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"R"
    except (OSError, AttributeError):  # no Linux, or no thread any more
        return False


class _Clock:
    """Sends the signal when the time is up, and again until told to stop. A thread: itimers are for the user's code."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: float | None = None
        self._wakes = math.inf  # when the thread looks by itself: it is not woken for what comes later
        self._again = 0.0
        self._thread: threading.Thread | None = None

    def set(self, seconds: float | None, again: float = 0.0) -> None:
        """Start sending after `seconds`, or stop."""
        with self._changed:
            self._at, self._again = None if seconds is None else time.monotonic() + seconds, again
            if seconds is not None and (self._thread is None or not self._thread.is_alive()):  # none after a fork
                self._thread = threading.Thread(target=self._run, name="environment-deadline", daemon=True)
                self._thread.start()
            if self._at is not None and self._at < self._wakes:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                left = math.inf if self._at is None else self._at - time.monotonic()
                if left <= 0:
                    signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
                    left = self._again
                self._wakes = time.monotonic() + left
                self._changed.wait(None if left == math.inf else left)


_clock = _Clock()  # one a process


def _starts_thread(frame: FrameType | None) -> bool:
    """Thread.start() waits too, with locks of its caller's held (a pool's): nothing may run there."""
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        if frame.f_code is threading.Thread.start.__code__:
            return True
        frame = frame.f_back
    return False


def _spent(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    handle = asyncio.Handle(lambda: None, (), loop)
    handle.cancel()
    return handle
