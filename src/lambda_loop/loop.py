"""The one event loop of an environment: whatever is scheduled on it belongs to an invocation, and ends with it."""

import asyncio
import heapq
import inspect
import sys
import threading
from asyncio import base_events, events
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import nest_asyncio

from .invocation import Invocation, answered, current_invocation, working_for
from .places import code_of, described, here, is_library_file, is_standard_file, is_users
from .report import InvocationOver, InvocationReport

_ASYNCIO = str(Path(asyncio.__file__).parent)


class Reentrant(asyncio.SelectorEventLoop):
    """A loop that can be run from inside of itself. Ours has to be, in both modes.

    In patch mode for the user's nested calls. In strict mode only for `watchdog`: while the loop's thread waits for a
    worker that needs the loop, the loop runs inside of that wait.
    """


def _make_reentrant() -> Callable[..., Any]:
    loop = Reentrant()
    nest_asyncio._patch_loop(loop)  # of `apply`, the part that changes the class of one loop and nothing of asyncio's
    loop.close()
    return Reentrant.run_until_complete


_run = _make_reentrant()


class SharedLoop(Reentrant):
    """The loop of the environment.

    What an invocation schedules carries it in its context. When the invocation is over nothing of it is scheduled any
    more, so what cannot be ended can at least never run again. A connection outlives the invocation that opened it:
    what the network or a library's timer then calls runs for the active one.

    Attributes:
        home: the thread that runs the loop.
        startup: the invocation that owns what the app began at its start.
        others: loops of the user's own that have run.
        enter: what `run_until_complete` does; `reentry` sets it.
        note: writes into the report of the invocation that the running code belongs to.
    """

    enter: Callable[[Awaitable[Any]], Any]

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.home = threading.current_thread()
        self.startup = Invocation(InvocationReport(mode))
        self.pool: Executor | None = None
        self._own_pool: Executor | None = None
        self.others: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self.remember()

    # -- what may be scheduled

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        owner = working_for(context)
        if owner is not None and owner.over:
            return self._refused(owner, asyncio.Handle(callback, args, self, context), callback)
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        owner = working_for(context)
        if owner is None:
            return super().call_at(when, callback, *args, context=context)
        if owner.over:
            return self._refused(owner, asyncio.TimerHandle(when, callback, args, self, context), callback)
        if _is_library_call(callback, args) and is_library_file(_caller()):
            return super().call_at(when, self._go_on, owner, callback, *args, context=context)
        timer = super().call_at(when, callback, *args, context=context)
        owner.timers[id(timer)] = timer
        if not is_users(callback):
            owner.scheduled[id(timer)] = f", begun at {here()}"
        return timer

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        owner = working_for()
        if owner is not None and owner.over and threading.current_thread() is not self.home:
            if not _answers(callback, args):
                raise owner.refuse("call_soon_threadsafe()", *args)
            context = Context()  # somebody else waits for it: a connection's thread answers
        elif context is None and owner is not current_invocation.get():  # a thread that serves several invocations
            context = copy_context()
            context.run(current_invocation.set, owner)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def create_task(self, coro: Any, *, context: Context | None = None, **options: Any) -> asyncio.Task[Any]:
        owner = working_for()
        if owner is not None and owner.over:
            raise owner.refuse("create_task()", coro)
        if owner is not None and context is not None and current_invocation not in context:
            context.run(current_invocation.set, owner)
        return super().create_task(coro, context=context, **options)

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        return super()._add_reader(fd, *self._lasting(callback), *args)  # type: ignore[misc]

    def _add_writer(self, fd: Any, callback: Any, *args: Any) -> Any:
        return super()._add_writer(fd, *self._lasting(callback), *args)  # type: ignore[misc]

    def _lasting(self, callback: Any) -> tuple[Any, ...]:
        """Return a connection's callback as it is called, with its first arguments: see `_go_on`."""
        owner = current_invocation.get()
        return (callback,) if owner is None else (self._go_on, owner, callback)

    def _go_on(self, owner: Invocation, callback: Any, *args: Any) -> None:
        """Run a connection's callback: for the active invocation, once the one that opened the connection is over."""
        if not owner.over:
            callback(*args)
            return
        token = current_invocation.set(self.active or self.startup)
        try:
            callback(*args)
        finally:
            current_invocation.reset(token)

    def _refused[H: asyncio.Handle](self, owner: Invocation, handle: H, callback: Any) -> H:
        handle.cancel()
        if not _is_library_call(callback):
            owner.report.leftovers.append(f"callback {described(callback)}")
        return handle

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_reader(fd, callback, *args)
        self._watched(callback, self.remove_reader, fd)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_writer(fd, callback, *args)
        self._watched(callback, self.remove_writer, fd)

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_signal_handler(sig, callback, *args)
        self._watched(callback, self.remove_signal_handler, sig)

    async def create_server(self, factory: Any, *given: Any, **options: Any) -> asyncio.Server:  # type: ignore[override]
        server = await super().create_server(factory, *given, **options)
        if (owner := working_for()) is not None:
            owner.watched[partial(_close, server)] = f"server {described(factory)}, begun at {here()}"
        return server

    def _watched(self, callback: Any, remove: Callable[[Any], object], what: Any) -> None:
        owner = working_for()
        if owner is not None and not _is_library_call(callback):
            owner.watched[partial(remove, what)] = f"callback {described(callback)}, begun at {here()}"

    # -- running

    def run_until_complete(self, future: Any) -> Any:
        return self.enter(future)

    def run(self, future: Awaitable[Any]) -> Any:
        """Run to the end of `future`, on this thread, also inside of a run."""
        return _run(self, future)

    def run_for(self, future: Future[Any], seconds: float) -> None:
        """Run until a thread's future is done, or for some seconds: for nobody's invocation."""
        context = Context()
        context.run(current_invocation.set, self.startup)
        task = context.run(super().create_task, _wait(future, seconds))
        _run(self, task)

    @property
    def active(self) -> Invocation | None:
        """On Lambda, the invocation that is answered."""
        return answered.get(self.home.ident or 0)

    @property
    def is_here(self) -> bool:
        """Whether the running code runs on this loop."""
        return events._get_running_loop() is self

    # -- what user code may want of it, and gets for its own invocation only

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        if self.pool is not None:
            with suppress(RuntimeError):  # the user's own, and shut down
                return super().run_in_executor(self.pool, func, *args)
        self.pool = self._own_pool = ThreadPoolExecutor(thread_name_prefix="asyncio")
        return super().run_in_executor(self.pool, func, *args)

    def set_default_executor(self, executor: Any) -> None:
        self.pool = executor

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self.note("loop.shutdown_default_executor()")

    def stop(self) -> None:
        self.note("loop.stop()")

    def close(self) -> None:
        self.note("loop.close()")

    def note(self, call: str) -> None:
        """Say in the report that `call` was ignored, and where it is written."""
        owner = working_for() or self.startup
        owner.report.notes.append(f"{call} at {here()} was ignored: the loop is shared")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        task = context.get("task")
        owner = task.get_context().get(current_invocation) if isinstance(task, asyncio.Task) else None
        known = owner is not None and (owner.over or owner is self.startup)
        destroyed = known and context["message"].startswith("Task was destroyed")  # it is in the report
        if not destroyed and not isinstance(context.get("exception"), InvocationOver):
            super().call_exception_handler(context)

    # -- the environment's own

    def remember(self) -> None:
        """Keep what the app's startup has set: `restore` undoes what requests set."""
        self._set = self.get_exception_handler(), self.get_task_factory(), self.get_debug(), self.slow_callback_duration
        self._users_pool = self.pool

    def restore(self) -> None:
        """Undo what user code may have set: before each invocation."""
        self.home = threading.current_thread()
        handler, factory, debug, self.slow_callback_duration = self._set
        self.set_exception_handler(handler)
        self.set_task_factory(factory)
        self.set_debug(debug)
        if self.pool is not self._own_pool:
            self.pool = self._users_pool

    def replace_pool(self) -> None:
        """Leave the pool to what blocks it; the next job gets another."""
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def forget_cancelled_timers(self) -> None:
        """Drop cancelled timers, which nest_asyncio keeps until they are due."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        timers[:] = [timer for timer in timers if not timer.cancelled()]
        heapq.heapify(timers)

    def end(self) -> None:
        """Close the loop for good."""
        self.replace_pool()
        super().close()


async def _wait(future: Future[Any], seconds: float) -> None:
    await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)


def _answers(callback: Any, args: tuple[Any, ...]) -> bool:
    """Whether a callback, not of the user's, sets a future that somebody waits for."""
    receiver = getattr(callback, "__self__", None)
    futures = [each for each in (receiver, *args) if asyncio.isfuture(each)]
    sets = receiver in futures and callback.__name__ in ("set_result", "set_exception", "cancel")
    return bool(futures) and (sets or (receiver not in futures and _is_library_call(callback)))


def _is_library_call(callback: Any, args: tuple[Any, ...] = ()) -> bool:
    """Whether a callback is asyncio's or an installed package's own: a connection has to be closed by somebody."""
    if any(asyncio.iscoroutine(each) for each in args):
        return False
    code = code_of(callback)
    if code is None:
        return type(callback).__module__ == "_asyncio" or asyncio.isfuture(getattr(callback, "__self__", None))
    path = code.co_filename
    return path.startswith(_ASYNCIO) or (is_library_file(path) and not is_standard_file(path))


def _caller() -> str:
    """The file of who has called `call_at` or `call_later`."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename in (__file__, base_events.__file__):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


def _close(server: asyncio.Server) -> bool:
    serving = server.is_serving()
    server.close()
    server.close_clients()
    return serving


sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))  # what hundreds of nested runs of an agency need
