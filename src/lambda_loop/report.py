"""What happened to the event loop during one invocation, and where in the user's code."""

import asyncio
import inspect
from asyncio import events
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .places import place, users_frame

_SHOWN = 50  # entries of a list in the log's line


class EventLoopError(RuntimeError):
    """The event loop cannot be set up or used this way; the message says what to do instead."""


class EventLoopConflict(EventLoopError):
    """Synchronous code entered an event loop that is already running.

    Attributes:
        call: what was called, e.g. ``asyncio.run()``.
        place: ``file:line`` of the user's code that called it.
        instead: what to write there.
    """

    def __init__(self, call: str, instead: str) -> None:
        caller = users_frame(inspect.currentframe())
        self.call, self.place, self.instead = call, place(caller), instead
        super().__init__(f"{call} at {self.place} conflicts with the running event loop. Write {instead} instead.")
        self._caller = caller
        self._task = asyncio.current_task() if events._get_running_loop() else None

    @property
    def hidden(self) -> bool:
        """Whether something else caught it than the function that made the call, whose own business it would be."""
        task, traceback = self._task, self.__traceback__
        if task is not None and task.done() and not task.cancelled() and task.exception() is self:
            return True  # the outermost frame is the task's own, but it did not catch anything
        return traceback is None or traceback.tb_frame is not self._caller


class DeadlineExceeded(BaseException):
    """The invocation's time is up. A BaseException, because frameworks turn an Exception into text for the model."""


class InvocationOver(BaseException):
    """The invocation that this thread or task works for has ended: it gets no event loop any more.

    A BaseException, so that it ends a thread that repeats what fails; `threads` lets it end quietly.
    """


@dataclass(eq=False)
class InvocationReport:
    """One invocation as the loop saw it. Durations in milliseconds; places are ``file:line``.

    Attributes:
        leftovers: what was still there when the app had answered, and was ended.
        zombies: what could not be ended, and was kept away from the loop.
    """

    mode: str
    request_id: str = ""
    status: int = 0
    duration_ms: float = 0.0
    longest_stall_ms: float = 0.0
    deadline_exceeded: bool = False
    nested: Counter[tuple[str, str]] = field(default_factory=Counter)
    thread_waits: Counter[str] = field(default_factory=Counter)
    conflicts: list[EventLoopConflict] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    zombies: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def nested_entries(self) -> int:
        """How often synchronous code re-entered the running loop. 0 means: ready for strict mode."""
        return self.nested.total()

    def hidden_conflict(self) -> EventLoopConflict | None:
        """Return the first conflict that other code caught than the code that made it."""
        return next((conflict for conflict in self.conflicts if conflict.hidden), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "request_id": self.request_id,
            "event_loop": self.mode,
            "status": self.status,
            "duration_ms": round(self.duration_ms, 1),
            "longest_stall_ms": round(self.longest_stall_ms, 1),
            "deadline_exceeded": self.deadline_exceeded,
            "nested_entries": self.nested_entries,
            "nested": [{"call": c, "place": p, "count": n} for (c, p), n in self.nested.items()],
            "thread_waits": [{"place": p, "count": n} for p, n in self.thread_waits.items()],
            "conflicts": [{"call": c.call, "place": c.place, "instead": c.instead} for c in self.conflicts],
            "leftovers": _first(self.leftovers),
            "zombies": _first(self.zombies),
            "notes": _first(self.notes),
            **self.fields,
        }


def _first(entries: list[str]) -> list[str]:
    return entries if len(entries) <= _SHOWN else [*entries[:_SHOWN], f"and {len(entries) - _SHOWN} more"]
