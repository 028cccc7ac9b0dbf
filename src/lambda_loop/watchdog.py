"""A signal that reaches the loop's thread while synchronous code blocks it.

Python handles signals in the main thread, even in waits. The handler interrupts what blocks the loop after the
deadline, and runs the loop inside a wait for a thread that needs it.
"""

import asyncio
import math
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Any

from . import uncatchable
from .blocking import WaitDetector, is_importing, is_loop_callback, is_loop_iteration, is_runnable
from .errors import DeadlineExceeded
from .invocation import Invocation, current_invocation
from .loop import SharedLoop
from .places import is_library_frame, place
from .signal_timer import SIGNAL, SignalTimer

_SLICE = 0.02  # seconds for which the loop runs inside a wait, before the wait looks whether it is over
_DEEPEST = 300  # waits within waits
_REPEAT = 0.01  # seconds between two attempts to end what blocks, at least
_CATCHABLE = 3  # interruptions that code may catch, e.g. to answer in time
_timer = SignalTimer()


class Watchdog:
    """Does nothing where the loop's thread is not the main thread."""

    def __init__(self, loop: SharedLoop) -> None:
        self._loop = loop
        self._waiting: deque[Future[Any]] = deque()  # of threads that need the loop
        self._counted: Future[Any] | None = None
        self._detector = WaitDetector()
        self._invocation: Invocation | None = None
        self._depth = self._interruptions = 0
        self.armed = False  # `watch` is in progress, so `wake_loop` works
        self.interrupted = False  # by Ctrl-C, which ends the environment; a library's KeyboardInterrupt does not
        self._interrupting = False

    @contextmanager
    def watch(self, invocation: Invocation | None = None, seconds: float | None = None) -> Iterator[None]:
        """Handle the signal in the block; after `seconds`, raise DeadlineExceeded in what blocks the loop."""
        if self.armed or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(SIGNAL, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL})
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)
        self._invocation, self.armed, self._interruptions = invocation, True, 0
        _timer.set(seconds, repeat=max(invocation.reserve / 20, _REPEAT) if invocation else 0)
        try:
            yield
        finally:
            _timer.set(None)
            uncatchable.stop()
            self.armed = False
            self._waiting.clear()
            signal.signal(SIGNAL, before)
            if signal.getsignal(signal.SIGINT) == self._on_interrupt:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def wake_loop(self, future: Future[Any]) -> None:
        """Run the loop in its thread if that waits; another thread needs this `future`."""
        if is_runnable(self._loop.home.native_id):
            return
        if future not in self._waiting:
            self._waiting.append(future)
        signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:
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
        waits = self._depth < _DEEPEST and self._detector.is_wait(frame)
        while self._waiting:
            future = self._waiting.popleft()
            if future.done() or not waits:
                continue
            if future is not self._counted:
                self._counted = future
                self._loop.report.thread_waits[place(frame)] += 1
            self._depth += 1
            try:
                self._loop.run_for(future, _SLICE)
            finally:
                self._depth -= 1

    def _interrupt(self, invocation: Invocation, frame: FrameType | None) -> None:
        if not self._is_blocked(invocation, frame):
            return
        if not invocation.report.deadline_exceeded:
            invocation.report.deadline_exceeded = True
            invocation.report.notes.append(f"interrupted at {place(frame)}")
        invocation.half_imported |= _modules_being_imported()
        for task in asyncio.all_tasks(self._loop):  # what has not begun to block must not begin now
            if task is not invocation.driver and task.get_context().get(current_invocation) is invocation:
                task.cancel()
        self._interruptions += 1
        if self._interruptions > _CATCHABLE:
            uncatchable.start()
        raise DeadlineExceeded(f"the invocation's time was up at {place(frame)}")

    def _is_blocked(self, invocation: Invocation, frame: FrameType | None) -> bool:
        """Return whether the user's code blocks the loop or a nested run outlives the invocation."""
        task = asyncio.current_task(self._loop)
        if task is invocation.driver and task is not None:
            return False
        nested, user, importing = False, task is not None, False
        while frame is not None and not is_loop_callback(frame):
            nested = nested or is_loop_iteration(frame)
            user = user or not is_library_frame(frame)
            importing = importing or is_importing(frame)
            frame = frame.f_back
        if frame is None or not user:
            return False
        if importing and self._loop.time() < (invocation.deadline or 0) + 0.5 * invocation.reserve:
            return False  # an import is begun again from the start: only when there is nearly no time left
        return invocation.over if nested else True


def _modules_being_imported() -> set[str]:
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    return {spec.name for spec in specs if spec is not None and getattr(spec, "_initializing", False)}
