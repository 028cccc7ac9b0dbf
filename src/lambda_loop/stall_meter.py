"""How long the event loop was blocked: how late its timers are called."""

import asyncio
import contextvars

from .invocation import Invocation, current_invocation
from .report import InvocationReport

_INTERVAL = 0.02  # seconds; shorter stalls are not seen


class StallMeter:
    def __init__(self, loop: asyncio.AbstractEventLoop, report: InvocationReport, owner: Invocation) -> None:
        self._loop, self._report = loop, report
        self._context = contextvars.Context()
        self._context.run(current_invocation.set, owner)  # else the timer would be a leftover of the request
        self._schedule()

    def stop(self) -> None:
        self._handle.cancel()
        self._measure()

    def _schedule(self) -> None:
        self._due = self._loop.time() + _INTERVAL
        self._handle = self._loop.call_at(self._due, self._on_timer, context=self._context)

    def _on_timer(self) -> None:
        self._measure()
        self._schedule()

    def _measure(self) -> None:
        late = 1000 * (self._loop.time() - self._due)
        self._report.longest_stall_ms = max(self._report.longest_stall_ms, late)
