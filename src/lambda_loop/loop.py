"""The event loop of an execution environment."""

import asyncio
import threading
from asyncio import events
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from functools import partial
from typing import Any
from weakref import WeakSet

from .callbacks import is_library_callback, is_scheduled_by_library, sets_future
from .errors import InvocationOver
from .invocation import Invocation, current_invocation, in_progress, owning_invocation
from .places import current_place, describe, is_user_code
from .reentrant_loop import ReentrantLoop
from .report import InvocationReport


class SharedLoop(ReentrantLoop):
    """Refuses what an invocation schedules after its end."""

    enter: Callable[[Awaitable[Any]], Any]  # what `run_until_complete` does; set by Reentry

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.home = threading.current_thread()  # runs the loop
        self.startup = Invocation(InvocationReport(mode))  # owns what the app's startup began
        self.others: WeakSet[asyncio.AbstractEventLoop] = WeakSet()  # the user's own that have run

    @property
    def active(self) -> Invocation | None:
        """Return the invocation in progress on Lambda; None under a server."""
        return in_progress.get(self.home.ident or 0)

    @property
    def report(self) -> InvocationReport:
        """Return the running code's report; the startup's code works for the active invocation."""
        owner = owning_invocation()
        if owner is None or owner is self.startup:
            owner = self.active or self.startup
        return owner.report

    @property
    def is_running_here(self) -> bool:
        return events._get_running_loop() is self

    # -- what may be scheduled

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        owner = owning_invocation(context)
        if owner is not None and owner.over:
            return self._refuse(owner, asyncio.Handle(callback, args, self, context), callback)
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        owner = owning_invocation(context)
        if owner is None:
            return super().call_at(when, callback, *args, context=context)
        if owner.over:
            return self._refuse(owner, asyncio.TimerHandle(when, callback, args, self, context), callback)
        if is_library_callback(callback, args) and is_scheduled_by_library():
            return super().call_at(when, self._call_for_active, owner, callback, *args, context=context)
        timer = super().call_at(when, callback, *args, context=context)
        owner.timers[id(timer)] = timer
        if not is_user_code(callback):
            owner.timer_places[id(timer)] = f", begun at {current_place()}"
        return timer

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        owner = owning_invocation()
        if owner is not None and owner.over and threading.current_thread() is not self.home:
            if not sets_future(callback, args):
                raise owner.over_error("call_soon_threadsafe()", *args)
            context = Context()  # a later invocation awaits the future, e.g. of a connection's thread
        elif context is None and owner is not current_invocation.get():  # in a thread that serves several invocations
            context = copy_context()
            context.run(current_invocation.set, owner)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def create_task(self, coro: Any, *, context: Context | None = None, **options: Any) -> asyncio.Task[Any]:
        owner = owning_invocation()
        if owner is not None and owner.over:
            raise owner.over_error("create_task()", coro)
        if owner is not None and context is not None and current_invocation not in context:
            context.run(current_invocation.set, owner)
        return super().create_task(coro, context=context, **options)

    def _refuse[H: asyncio.Handle](self, owner: Invocation, handle: H, callback: Any) -> H:
        handle.cancel()
        if not is_library_callback(callback):
            owner.report.leftovers.append(f"callback {describe(callback)}")
        return handle

    # -- connections, which outlive the invocation that opened them

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        return super()._add_reader(fd, *self._lasting(callback), *args)  # type: ignore[misc]

    def _add_writer(self, fd: Any, callback: Any, *args: Any) -> Any:
        return super()._add_writer(fd, *self._lasting(callback), *args)  # type: ignore[misc]

    def _lasting(self, callback: Any) -> tuple[Any, ...]:
        owner = current_invocation.get()
        return (callback,) if owner is None else (self._call_for_active, owner, callback)

    def _call_for_active(self, owner: Invocation, callback: Any, *args: Any) -> None:
        if not owner.over:
            callback(*args)
            return
        token = current_invocation.set(self.active or self.startup)
        try:
            callback(*args)
        finally:
            current_invocation.reset(token)

    # -- what the user has the loop watch, which ends with the invocation

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_reader(fd, callback, *args)
        self._close_at_end(callback, self.remove_reader, fd)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_writer(fd, callback, *args)
        self._close_at_end(callback, self.remove_writer, fd)

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        super().add_signal_handler(sig, callback, *args)
        self._close_at_end(callback, self.remove_signal_handler, sig)

    async def create_server(self, factory: Any, *args: Any, **options: Any) -> asyncio.Server:  # type: ignore[override]
        server = await super().create_server(factory, *args, **options)
        if (owner := owning_invocation()) is not None:
            owner.closers[partial(_close_server, server)] = f"server {describe(factory)}, begun at {current_place()}"
        return server

    def _close_at_end(self, callback: Any, remove: Callable[[Any], object], watched: Any) -> None:
        owner = owning_invocation()
        if owner is not None and not is_library_callback(callback):
            owner.closers[partial(remove, watched)] = f"callback {describe(callback)}, begun at {current_place()}"

    # -- running

    def run_until_complete(self, future: Any) -> Any:
        return self.enter(future)

    def run_for(self, future: Future[Any], seconds: float) -> None:
        """Run until `future` is done or the seconds have passed."""
        context = Context()
        context.run(current_invocation.set, self.startup)
        task = context.run(super().create_task, _wait(future, seconds))
        self.run(task)

    # -- what would end the shared loop, and is ignored

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self.note_ignored("loop.shutdown_default_executor()")

    def stop(self) -> None:
        self.note_ignored("loop.stop()")

    def close(self) -> None:
        self.note_ignored("loop.close()")

    def note_ignored(self, call: str) -> None:
        self.report.notes.append(f"{call} at {current_place()} was ignored: the loop is shared")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        task = context.get("task")
        owner = task.get_context().get(current_invocation) if isinstance(task, asyncio.Task) else None
        ended = owner is not None and (owner.over or owner is self.startup)
        reported = ended and context["message"].startswith("Task was destroyed")
        if not reported and not isinstance(context.get("exception"), InvocationOver):
            super().call_exception_handler(context)

    def restore_settings(self) -> None:
        super().restore_settings()
        self.home = threading.current_thread()

    def close_for_good(self) -> None:
        """Close the loop, which `close` does not."""
        self.replace_pool()
        super().close()


async def _wait(future: Future[Any], seconds: float) -> None:
    await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)


def _close_server(server: asyncio.Server) -> bool:
    serving = server.is_serving()
    server.close()
    server.close_clients()
    return serving
