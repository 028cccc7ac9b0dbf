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
from types import CodeType, FrameType
from typing import Any

import nest_asyncio

from . import uncatchable
from .invocation import Invocation, current_invocation, working_for
from .loop import SharedLoop
from .places import is_library, place
from .report import DeadlineExceeded, InvocationReport

_SIGNAL = signal.SIGURG
_SLICE = 0.02  # seconds for which the loop runs inside a wait, before the wait looks whether it is over
_STILL = 0.05  # seconds at one instruction that count as waiting there
_IDLE = 0.005  # seconds of processor time in which that may be
_DEEPEST = 300  # waits within waits
_AGAIN = 0.01  # seconds between two attempts to end what blocks, at least
_CAUGHT = 3  # deadlines that code may catch, e.g. to answer in time, before it can be caught no more
_IMPORT = "<frozen importlib._bootstrap>"
_WAITS = {threading.Condition.wait.__code__, threading.Thread.join.__code__}


class Watchdog:
    """Works where the loop's thread is the main thread, as on Lambda; elsewhere it does nothing."""

    def __init__(self, loop: SharedLoop) -> None:
        self._loop = loop
        self._waiting: deque[Future[Any]] = deque()  # of workers that need the loop
        self._counted: Future[Any] | None = None
        self._stand = _Standstill()
        self._invocation: Invocation | None = None
        self._depth = self._interrupts = 0
        self.armed = self.interrupted = self._interrupting = False

    @contextmanager
    def around(self, invocation: Invocation | None = None, seconds: float | None = None) -> Iterator[None]:
        """Inside the block workers may `nudge`; after `seconds`, DeadlineExceeded is raised in what blocks."""
        if self.armed or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(_SIGNAL, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {_SIGNAL})
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)
        self._invocation, self.armed, self._interrupts = invocation, True, 0
        _clock.set(seconds, again=max(invocation.reserve / 20, _AGAIN) if invocation else 0)
        try:
            yield
        finally:
            _clock.set(None)
            uncatchable.stop()
            self.armed = False
            self._waiting.clear()
            signal.signal(_SIGNAL, before)
            if signal.getsignal(signal.SIGINT) == self._on_interrupt:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def nudge(self, future: Future[Any]) -> None:
        """Have the loop's thread see whether it waits. Called by a worker whose `future` the loop has yet to set."""
        if _is_runnable(self._loop.home.native_id):
            return
        if future not in self._waiting:
            self._waiting.append(future)
        signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Ctrl-C: the environment ends. A KeyboardInterrupt that a library raises ends no more than its request."""
        self.interrupted = True
        raise KeyboardInterrupt

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._waiting:
            self._run_inside(frame)
        invocation = self._invocation
        late = invocation is not None and self._loop.time() > (invocation.deadline or math.inf)
        if invocation is None or not late or self._interrupting:
            return
        self._interrupting = True  # on a busy machine the next signal may come before this one is dealt with
        try:
            self._interrupt(invocation, frame)
        finally:
            self._interrupting = False

    def _run_inside(self, frame: FrameType | None) -> None:
        """Run the loop for a moment from inside the wait of its own thread, if it waits."""
        waits = self._depth < _DEEPEST and self._stand.is_wait(frame)
        while self._waiting:
            future = self._waiting.popleft()
            if future.done() or not waits:
                continue
            if future is not self._counted:
                self._counted = future
                self._report.thread_waits[place(frame)] += 1
            self._depth += 1
            try:
                self._loop.run_for(future, _SLICE)
            finally:
                self._depth -= 1

    @property
    def _report(self) -> InvocationReport:
        return (working_for() or self._loop.startup).report

    def _interrupt(self, invocation: Invocation, frame: FrameType | None) -> None:
        if not self._is_stuck(invocation, frame):
            return
        if not invocation.report.deadline_exceeded:
            invocation.report.deadline_exceeded = True
            invocation.report.notes.append(f"interrupted at {place(frame)}")
        invocation.half_imported |= _being_imported()
        for task in asyncio.all_tasks(self._loop):  # what has not begun to block must not begin now
            if task is not invocation.driver and task.get_context().get(current_invocation) is invocation:
                task.cancel()
        self._interrupts += 1
        if self._interrupts > _CAUGHT:
            uncatchable.start()
        raise DeadlineExceeded(f"the invocation's time was up at {place(frame)}")

    def _is_stuck(self, invocation: Invocation, frame: FrameType | None) -> bool:
        """Whether a callback of the user's blocks, or a nested run waits for something that will never come."""
        task = asyncio.current_task(self._loop)
        if task is invocation.driver and task is not None:
            return False
        waits, user, importing = False, task is not None, False
        while frame is not None and not _is_callback(frame):
            waits = waits or _is_turn(frame)
            user = user or not is_library(frame)
            importing = importing or frame.f_code.co_filename == _IMPORT
            frame = frame.f_back
        if frame is None or not user:
            return False
        if importing and self._loop.time() < (invocation.deadline or 0) + 0.5 * invocation.reserve:
            return False  # an import is begun again from the start: only when there is nearly no time left
        return invocation.over if waits else True


class _Standstill:
    """Whether the loop's thread waits for another, seen from the handlers of signals that reach it."""

    def __init__(self) -> None:
        self._seen: tuple[CodeType | None, int] = None, 0
        self._since = self._cpu = 0.0

    def is_wait(self, frame: FrameType | None) -> bool:
        """Return whether `frame` waits; not while it works, nor while it holds a lock of the library's."""
        if frame is None or frame.f_code.co_filename == selectors.__file__:  # the loop itself waits: it is free
            return False
        if frame.f_code in _WAITS:
            return not _starts_thread(frame)
        # lock.acquire(), SimpleQueue.get(), time.sleep(): C code, known by standing still and using no processor time
        now, cpu, seen = time.monotonic(), time.thread_time(), (frame.f_code, frame.f_lasti)
        if self._seen != seen or cpu - self._cpu > _IDLE:
            self._seen, self._since, self._cpu = seen, now, cpu
        return now - self._since > _STILL and not is_library(frame)


def _is_turn(frame: FrameType) -> bool:
    """Whether a frame is a turn of the loop, which waits for events and calls what is ready."""
    return frame.f_code.co_name == "_run_once" and frame.f_code.co_filename == nest_asyncio.__file__


def _is_callback(frame: FrameType) -> bool:
    """Whether a turn of the loop has called something here."""
    return frame.f_code.co_filename == events.__file__ and frame.f_back is not None and _is_turn(frame.f_back)


def _being_imported() -> set[str]:
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    return {spec.name for spec in specs if spec is not None and getattr(spec, "_initializing", False)}


def _is_runnable(native_id: int | None) -> bool:
    """Whether a thread works, or would if a processor were free: on a busy machine it may get none for long."""
    try:
        with open(f"/proc/self/task/{native_id}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"R"
    except OSError:  # no Linux, or no thread any more
        return False


class _Clock:
    """Sends the signal when the time is up, and again until stopped. A thread: itimers are for the user's code."""

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
        if frame.f_code.co_name == "start":
            return True
        frame = frame.f_back
    return False
