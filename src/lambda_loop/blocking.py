"""What a thread is doing, according to its frames."""

import selectors
import threading
import time
from asyncio import events
from types import CodeType, FrameType

import nest_asyncio

from .places import is_library_frame

_STILL = 0.05  # seconds at one instruction that count as waiting there
_IDLE = 0.005  # seconds of processor time in which that may be
_IMPORT = "<frozen importlib._bootstrap>"
_WAITS = {threading.Condition.wait.__code__, threading.Thread.join.__code__}


class WaitDetector:
    def __init__(self) -> None:
        self._seen: tuple[CodeType | None, int] = None, 0
        self._since = self._cpu = 0.0

    def is_wait(self, frame: FrameType | None) -> bool:
        """Return whether `frame` waits and holds no lock of the standard library."""
        if frame is None or frame.f_code.co_filename == selectors.__file__:  # the loop itself waits: it is free
            return False
        if frame.f_code in _WAITS:
            return not _starts_thread(frame)
        # lock.acquire(), SimpleQueue.get(), time.sleep(): C code, known by standing still and using no processor time
        now, cpu, seen = time.monotonic(), time.thread_time(), (frame.f_code, frame.f_lasti)
        if self._seen != seen or cpu - self._cpu > _IDLE:
            self._seen, self._since, self._cpu = seen, now, cpu
        return now - self._since > _STILL and not is_library_frame(frame)


def is_loop_iteration(frame: FrameType | None) -> bool:
    return (
        frame is not None and frame.f_code.co_name == "_run_once" and frame.f_code.co_filename == nest_asyncio.__file__
    )


def is_loop_callback(frame: FrameType) -> bool:
    return frame.f_code.co_filename == events.__file__ and is_loop_iteration(frame.f_back)


def is_importing(frame: FrameType) -> bool:
    return frame.f_code.co_filename == _IMPORT


def is_runnable(native_id: int | None) -> bool:
    """Return whether a thread works or waits only for a processor."""
    try:
        with open(f"/proc/self/task/{native_id}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] == b"R"
    except OSError:  # no Linux, or no thread any more
        return False


def _starts_thread(frame: FrameType | None) -> bool:
    # Thread.start() waits for the new thread, and its caller (a pool) may hold locks.
    while frame is not None and frame.f_code.co_filename == threading.__file__:
        if frame.f_code.co_name == "start":
            return True
        frame = frame.f_back
    return False
