"""What happened to the event loop during one invocation, and where in the user's code."""

import asyncio
import os
import sys
from asyncio import events
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

# Frames of these belong to whoever called them: the place worth naming is the code above.
_LIBRARIES = sys.stdlib_module_names | {
    *("agency_swarm", "agents", "aiohttp", "anyio", "awslambdaric", "fastapi", "fastmcp", "httpcore", "httpx"),
    *("litellm", "mangum", "mcp", "nest_asyncio", "openai", "pydantic", "starlette", "uvicorn"),
}


class EventLoopError(RuntimeError):
    """The event loop cannot be set up or used this way; the message says what to do instead."""


class EventLoopConflict(EventLoopError):
    """Synchronous code entered an event loop that is already running.

    Attributes:
        call: what was called, e.g. ``asyncio.run()``.
        place: ``file:line`` of the caller.
        instead: what to write there.
    """

    def __init__(self, call: str, place: str, instead: str) -> None:
        super().__init__(f"{call} at {place} conflicts with the running event loop. Write {instead} instead.")
        self.call, self.place, self.instead = call, place, instead
        self._task = asyncio.current_task() if events._get_running_loop() else None

    @property
    def hidden(self) -> bool:
        """Whether something else caught it than the code that made the call, whose own business it would be."""
        task, traceback = self._task, self.__traceback__
        if task is not None and task.done() and not task.cancelled() and task.exception() is self:
            return True  # the outermost frame is the task's own, but it did not catch anything
        return traceback is None or is_library(traceback.tb_frame)


class DeadlineExceeded(BaseException):
    """The invocation's time is up. A BaseException, because frameworks turn an Exception into text for the model."""


@dataclass(eq=False)
class Ledger:
    """One invocation as the loop saw it. Durations in milliseconds; places are ``file:line``."""

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
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def nested_entries(self) -> int:
        """How often synchronous code re-entered the running loop. 0 means: ready for strict mode."""
        return self.nested.total()

    def hidden_conflict(self) -> EventLoopConflict | None:
        """The first conflict that a framework swallowed."""
        return next((conflict for conflict in self.conflicts if conflict.hidden), None)

    def as_dict(self) -> dict[str, Any]:
        """The ledger as plain JSON values."""
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
            "leftovers": self.leftovers,
            "zombies": self.zombies,
            "notes": self.notes,
            **self.facts,
        }


@dataclass(eq=False)
class Invocation:
    """One request on its way through the environment. `deadline` in the loop's own time, None for no limit.

    `reserve`: seconds between the deadline and the platform's own, to end things properly.
    `whole`: nothing of its answer leaves before all of it is there.
    `late_answer`: makes the answer (an ASGI app) that is sent at the deadline in place of a 504, where work goes on.
    """

    ledger: Ledger
    deadline: float | None = None
    reserve: float = 0.0
    whole: bool = True
    driver: asyncio.Task[Any] | None = None  # ours, around the app's task: never to be interrupted
    half_imported: set[str] = field(default_factory=set)  # modules whose import the deadline broke off
    ending: bool = False  # nothing new of it may begin
    over: bool = False
    late_answer: Callable[[], Any] | None = None


current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


def place(frame: FrameType | None) -> str:
    """``file:line`` of the nearest frame, outwards, that is neither a library's nor this package's."""
    while frame is not None and is_library(frame):
        frame = frame.f_back
    return "an unknown place" if frame is None else f"{_short(frame.f_code.co_filename)}:{frame.f_lineno}"


def code_place(code: Any) -> str:
    """Where a function or coroutine is written."""
    return f"{_short(code.co_filename)}:{code.co_firstlineno}" if code is not None else "an unknown place"


def is_library(frame: FrameType) -> bool:
    """Whether a frame is of a package that calls the user's code, not of that code."""
    return is_library_module(str(frame.f_globals.get("__name__", "")))


def is_library_module(module: str) -> bool:
    """The same by a module's name."""
    return module.partition(".")[0] in _LIBRARIES or module.startswith(f"{__package__}.")


def _short(path: str) -> str:
    inside = os.path.relpath(path)
    return inside if not inside.startswith("..") else os.sep.join(path.split(os.sep)[-3:])
