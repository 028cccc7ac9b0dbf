"""Synchronous code that enters the running loop: patch mode counts it, strict mode refuses it."""

import threading
import time
from collections.abc import Awaitable
from typing import Any

from .errors import EventLoopConflict, EventLoopError
from .invocation import discard_coroutine, owning_invocation
from .loop import SharedLoop
from .places import current_place
from .preconditions import Mode

AWAIT = "`await` on the coroutine, in an `async def`"
_DEEPEST = 300  # nested runs; asyncio's own machinery must never be what meets the recursion limit
_REFUSALS = 3  # after which a thread that tries again is made to wait


class Nesting:
    def __init__(self, loop: SharedLoop, mode: Mode) -> None:
        self._loop, self._mode = loop, mode
        self._depth = 0

    def run(self, call: str, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable inside the running loop. Raises EventLoopConflict in strict mode."""
        if self._mode == "strict":
            raise self.conflict(call, AWAIT, awaitable)
        if self._depth >= _DEEPEST:
            discard_coroutine(awaitable)
            place = current_place()
            raise EventLoopError(f"{call} at {place} is the {_DEEPEST}th run inside another. Write {AWAIT} instead.")
        self.count(call)
        self._depth += 1
        try:
            return self._loop.run(awaitable)
        finally:
            self._depth -= 1

    def count(self, call: str) -> None:
        self._loop.report.nested[call, current_place()] += 1

    def conflict(self, call: str, instead: str, awaitable: object = None) -> EventLoopConflict:
        """Return a conflict to raise, after adding it to the report."""
        discard_coroutine(awaitable)
        conflict = EventLoopConflict(call, instead)
        self._loop.report.conflicts.append(conflict)
        return conflict

    def refuse_late(self, call: str, *arguments: object) -> None:
        """Raise InvocationOver if the running code has outlived its invocation."""
        invocation = owning_invocation()
        if invocation is None or not (invocation.ending or invocation.over) or invocation is self._loop.startup:
            return
        thread = threading.current_thread()
        invocation.refusals[thread] += 1
        if invocation.refusals[thread] > _REFUSALS and thread is not self._loop.home:
            time.sleep(1)  # it has caught the error, and tries again
        raise invocation.over_error(call, *arguments)
