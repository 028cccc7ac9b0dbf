"""One request on its way through the environment, and all that it began: tasks, timers, generators, threads, jobs."""

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

from .places import described, here
from .report import InvocationOver, InvocationReport


@dataclass(eq=False)
class Job:
    """What runs for an invocation in another thread: a thread of its own, or a call that a pool was given.

    Attributes:
        call: what it runs.
        thread: where it runs; None until a pool's thread takes it.
        future: a pool's future of it, with `done` and `cancel`.
        place: where it was begun, if `call` cannot say where it is written.
    """

    call: Any
    thread: threading.Thread | None = None
    future: Any = None
    place: str = ""

    @property
    def text(self) -> str:
        """What it is, and where it is written."""
        name = f"thread {self.thread.name}: " if self.thread is not None else ""
        return name + described(self.call) + (f", begun at {self.place}" if self.place else "")


@dataclass(eq=False)
class Invocation:
    """A request, from the event to the report.

    Attributes:
        deadline: in the loop's own time; None for no limit.
        reserve: seconds between the deadline and the platform's own, to end things properly.
        buffered: nothing of its answer leaves before all of it is there.
        driver: this package's own task around the app's, which is never interrupted.
        half_imported: modules whose import the deadline broke off.
        ending: nothing new of it may begin in another thread.
        over: nothing of it may run on the loop.
        jobs, timers, generators: what it began and has not ended; timers by their `id`, because equal ones are several.
        scheduled: where timers were begun whose callback is not the user's own, likewise.
        watched: what ends the file descriptors, signals and servers that it has the loop watch, and their names.
        refused: how often each thread was refused a loop, after its end.
        deadline_response: makes the ASGI app that answers at the deadline in place of a 504, where work goes on.
    """

    report: InvocationReport
    deadline: float | None = None
    reserve: float = 0.0
    buffered: bool = True
    driver: asyncio.Task[Any] | None = None
    half_imported: set[str] = field(default_factory=set)
    ending: bool = False
    over: bool = False
    refused: Counter[threading.Thread] = field(default_factory=Counter)
    deadline_response: Callable[[], Any] | None = None
    jobs: set[Job] = field(default_factory=set)
    timers: WeakValueDictionary[int, asyncio.TimerHandle] = field(default_factory=WeakValueDictionary)
    scheduled: dict[int, str] = field(default_factory=dict)
    watched: dict[Callable[[], object], str] = field(default_factory=dict)
    generators: WeakSet[AsyncGeneratorType[Any, Any]] = field(default_factory=WeakSet)

    def carry(self, job: Job, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callable that runs `call` in another thread; the invocation knows of the job until it ends."""
        self.jobs.add(job)

        def carried(*args: Any, **named: Any) -> Any:
            job.thread = threading.current_thread()
            try:
                return call(*args, **named)
            finally:
                self.jobs.discard(job)

        return carried

    def refuse(self, call: str, *given: object) -> InvocationOver:
        """Return what `call` is to raise in code that has outlived this invocation; close what it was given."""
        for each in given:
            discard(each)
        return InvocationOver(f"{call} at {here()}, whose invocation is over: nothing of it may run into the next")


current_invocation: ContextVar[Invocation | None] = ContextVar("invocation", default=None)

# On Lambda, by the thread of the loop: the invocation that is answered. Code in a context of its own belongs to it.
answered: dict[int, Invocation] = {}

# Threads that an invocation began and that serve later ones, with the invocation that each serves now.
servers: WeakKeyDictionary[threading.Thread, Callable[[], Invocation | None]] = WeakKeyDictionary()


def working_for(context: Context | None = None) -> Invocation | None:
    """Return the invocation that the running code (or a context) works for; None for code that no request began."""
    invocation = current_invocation.get() if context is None else context.get(current_invocation)
    if invocation is None:
        return answered.get(threading.get_ident())
    if invocation.over and servers and (thread := threading.current_thread()) in servers:
        return servers[thread]()
    return invocation


def discard(awaitable: object) -> None:
    """Close a coroutine that will not be awaited, and those that it was given, so that none warns of that."""
    if inspect.iscoroutine(awaitable) and inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
        given = list(awaitable.cr_frame.f_locals.values()) if awaitable.cr_frame is not None else []
        awaitable.close()
        for each in given:
            for one in each if isinstance(each, (tuple, list)) else (each,):
                discard(one)
