"""A timer that sends a signal to the main thread."""

import math
import signal
import threading
import time

SIGNAL = signal.SIGURG  # nobody else uses it, and by default it does nothing


class SignalTimer:
    # A thread sends it, because the process has one interval timer, which may be the user's.

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at: float | None = None
        self._wakes = math.inf  # when the thread looks by itself: it is not woken for what comes later
        self._repeat = 0.0
        self._thread: threading.Thread | None = None

    def set(self, seconds: float | None, repeat: float = 0.0) -> None:
        """Start after `seconds`, repeat every `repeat` seconds; None stops."""
        with self._changed:
            self._at, self._repeat = None if seconds is None else time.monotonic() + seconds, repeat
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
                    signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)
                    left = self._repeat
                self._wakes = time.monotonic() + left
                self._changed.wait(None if left == math.inf else left)
