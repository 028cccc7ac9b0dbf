"""How long the event loop was blocked: how late its timer is called."""

import asyncio
import contextvars
from collections.abc import Iterator
from contextlib import contextmanager

from .invocation import Invocation, current_invocation
from .report import InvocationReport

_INTERVAL = 0.02  # seconds; shorter stalls are not seen


class StallMeter:
    """One timer for the invocations of a loop, which runs while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Invocation) -> None:
        self._loop = loop
        self._context = contextvars.Context()
        self._context.run(current_invocation.set, owner)  # else the timer would be a leftover of the request
        self._since = dict[InvocationReport, float]()  # when each began

    @contextmanager
    def measure(self, report: InvocationReport) -> Iterator[None]:
        """Note the longest stall during the block in `report`."""
        self._since[report] = self._loop.time()
        if len(self._since) == 1:
            self._schedule()
        try:
            yield
        finally:
            self._note(report)
            del self._since[report]
            if not self._since:
                self._timer.cancel()

    def _schedule(self) -> None:
        self._due = self._loop.time() + _INTERVAL
        self._timer = self._loop.call_at(self._due, self._on_timer, context=self._context)

    def _on_timer(self) -> None:
        for report in self._since:
            self._note(report)
        self._schedule()

    def _note(self, report: InvocationReport) -> None:
        late = self._loop.time() - max(self._due, self._since[report])
        report.longest_stall_ms = max(report.longest_stall_ms, 1000 * late)
