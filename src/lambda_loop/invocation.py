"""Invocations on the event loop, and which one the running code belongs to."""

import asyncio
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from types import AsyncGeneratorType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from .errors import InvocationOver
from .places import current_place, describe
from .report import InvocationReport


@dataclass(eq=False)
class Job:
    """A function that runs for an invocation in another thread."""

    function: Any
    thread: threading.Thread | None = None  # None until a thread of the pool takes it
    future: Any = None  # of the pool; has `done` and `cancel`
    place: str = ""  # where it was started, if `function` is not the user's

    @property
    def description(self) -> str:
        name = f"thread {self.thread.name}: " if self.thread is not None else ""
        return name + describe(self.function) + (f", begun at {self.place}" if self.place else "")


@dataclass(eq=False)
class Invocation:
    """A request, and all that it has started and not ended. Times are those of the loop, in seconds."""

    report: InvocationReport
    deadline: float | None = None  # when the app must have answered
    reserve: float = 0.0  # from the deadline to the platform's, for cleaning up
    buffered: bool = True  # the response is sent only when it is complete
    deadline_response: Callable[[], Any] | None = None  # makes the ASGI app that answers at the deadline, not with 504
    driver: asyncio.Task[Any] | None = None  # the task that awaits the app's; it is never interrupted
    half_imported: set[str] = field(default_factory=set)  # modules whose import the deadline interrupted
    ending: bool = False  # it may start nothing new in another thread
    over: bool = False  # nothing of it may run on the loop
    refusals: Counter[threading.Thread] = field(default_factory=Counter)  # of the loop, after the end
    jobs: set[Job] = field(default_factory=set)
    timers: WeakValueDictionary[int, asyncio.TimerHandle] = field(default_factory=WeakValueDictionary)  # by id
    timer_places: dict[int, str] = field(default_factory=dict)  # of timers whose callback is not the user's
    closers: dict[Callable[[], object], str] = field(default_factory=dict)  # of watched descriptors, signals, servers
    generators: WeakSet[AsyncGeneratorType[Any, Any]] = field(default_factory=WeakSet)

    def track(self, job: Job, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function` for another thread; `job` is one of `jobs` until it returns."""
        self.jobs.add(job)

        def tracked(*args: Any, **named: Any) -> Any:
            job.thread = threading.current_thread()
            try:
                return function(*args, **named)
            finally:
                self.jobs.discard(job)

        return tracked

    def over_error(self, call: str, *arguments: object) -> InvocationOver:
        """Return the error for `call` to raise, and close coroutines among its arguments."""
        for each in arguments:
            discard_coroutine(each)
        place = current_place()
        return InvocationOver(f"{call} at {place}, whose invocation is over: nothing of it may run into the next")


current_invocation: ContextVar[Invocation | None] = ContextVar("invocation", default=None)

# On Lambda: the invocation in progress, by the thread of its loop. Code in a context of its own belongs to it.
in_progress: dict[int, Invocation] = {}

# Threads that one invocation started and that serve later ones, with a function that returns the one served now.
shared_threads: WeakKeyDictionary[threading.Thread, Callable[[], Invocation | None]] = WeakKeyDictionary()


def owning_invocation(context: Context | None = None) -> Invocation | None:
    """Return the invocation of a context, by default of the running code."""
    invocation = current_invocation.get() if context is None else context.get(current_invocation)
    if invocation is None:
        return in_progress.get(threading.get_ident())
    if invocation.over and shared_threads and (thread := threading.current_thread()) in shared_threads:
        return shared_threads[thread]()
    return invocation


def seconds_remaining() -> float | None:
    """Return the seconds until the running invocation's deadline, None without one."""
    invocation = current_invocation.get()
    if invocation is None or invocation.deadline is None:
        return None
    return invocation.deadline - asyncio.get_running_loop().time()


def discard_coroutine(awaitable: object) -> None:
    """Close a coroutine that was never started, and those in its arguments, without a warning."""
    if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
        arguments = list(awaitable.cr_frame.f_locals.values()) if awaitable.cr_frame is not None else []
        awaitable.close()
        for argument in arguments:
            for each in argument if isinstance(argument, (tuple, list)) else (argument,):
                discard_coroutine(each)
