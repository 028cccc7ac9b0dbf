"""What each way into an event loop does, called from the loop's own thread: synchronous code that meets its own loop.

Patch mode counts the entry and lets nest_asyncio run it; strict mode raises EventLoopConflict. `doors` is where asyncio
is made to come here, `workers` is the same for all other threads.
"""

import asyncio
import inspect
import sys
import threading
from asyncio import events, runners
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from types import FrameType
from typing import Any, Literal
from weakref import WeakKeyDictionary

from .doors import before, original, stdlib_run, stdlib_runner_run
from .fence import Fence
from .ledger import EventLoopConflict, EventLoopError, Invocation, Ledger, current, place
from .workers import Workers, discard

Mode = Literal["patch", "strict"]
_AWAIT = "`await` on the coroutine, in an `async def`"
_DEEPEST = 300  # nested runs; asyncio's own machinery must never be what meets the recursion limit


class Entries:
    """The ways into one loop.

    Attributes:
        home: the thread that runs the loop.
        active: on Lambda, the invocation that code without a context of its own belongs to.
        environment: stands for what the app began at its start.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, mode: Mode) -> None:
        self.loop, self.mode, self.fence = loop, mode, Fence(loop)
        self.home = 0
        self.active: Invocation | None = None
        self.environment: Invocation | None = None
        self.doors: dict[tuple[Any, str], Any] = {}
        self.workers = Workers(self)
        self.generators: WeakKeyDictionary[Any, Invocation | None] = WeakKeyDictionary()
        self._depth = 0

    @property
    def ledger(self) -> Ledger:
        """Of the invocation that the running code belongs to."""
        invocation = self.invocation()
        return invocation.ledger if invocation else Ledger(self.mode)

    def invocation(self) -> Invocation | None:
        """That invocation; what the app began at its start (its tasks) works for the active one."""
        own = current.get()
        return self.active or own if own is self.environment else own or self.active

    def note(self, text: str) -> None:
        """For the ledger."""
        self.ledger.notes.append(text)

    def count(self, call: str, frame: FrameType | None = None) -> None:
        """A nested entry in the ledger. `frame`: where the call is, when not on this thread."""
        self.ledger.nested[call, place(frame or sys._getframe())] += 1

    def conflict(
        self, call: str, instead: str, awaitable: object = None, frame: FrameType | None = None
    ) -> EventLoopConflict:
        """A conflict in the ledger, to be raised. `frame`: likewise."""
        discard(awaitable)
        conflict = EventLoopConflict(call, place(frame or sys._getframe()), instead)
        self.ledger.conflicts.append(conflict)
        return conflict

    def run(self, main: Awaitable[Any], *, debug: bool | None = None, loop_factory: Any = None) -> Any:
        """asyncio.run: on the one loop, from wherever it is called."""
        running = events._get_running_loop()
        if running is self.loop:
            return self._nested("asyncio.run()", main)
        if running is not None and self.mode == "patch":
            return running.run_until_complete(main)  # a second loop of the user's: nest_asyncio knows what to do
        if running is None and threading.get_ident() == self.home:
            return self.loop.run_until_complete(main)
        if running is None and loop_factory is None and self.loop.is_running():
            return self.workers.run("asyncio.run()", main)
        return stdlib_run(main, debug=debug, loop_factory=loop_factory)

    def run_in(self, runner: asyncio.Runner, coro: Coroutine[Any, Any, Any], *, context: Any = None) -> Any:
        """asyncio.Runner.run: a runner has a loop of its own, which must not start on our loop's thread."""
        if events._get_running_loop() is self.loop:
            return self._nested("asyncio.Runner.run()", coro)
        return stdlib_runner_run(runner, coro, context=context)

    def run_anyio(self, func: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """anyio.run: on our loop's thread it would refuse by itself, and be hidden."""
        if events._get_running_loop() is self.loop:
            return self._nested("anyio.run()", func(*args))
        return before[sys.modules["anyio"], "run"](func, *args, **options)

    def run_sync(self, runner: Any, agent: Any, message: Any, **options: Any) -> Any:
        """Runner.run_sync of the Agents SDK: likewise."""
        if events._get_running_loop() is self.loop:
            return self._nested("Runner.run_sync()", runner.run(agent, message, **options))
        return before[type(runner), "run_sync"](runner, agent, message, **options)

    def run_until_complete(self, loop: Any, future: Awaitable[Any]) -> Any:
        """loop.run_until_complete, of our loop or of a second one."""
        running, ours = events._get_running_loop(), loop is self.loop
        if running is self.loop and not ours and _caller() == runners.__name__:
            return discard(future)  # a Runner tidies up its own loop, on which nothing has run
        if running is self.loop and (ours or (inspect.iscoroutine(future) and not _has_own_work(loop))):
            return self._nested("loop.run_until_complete()", future)
        if running is self.loop and self.mode == "strict":
            raise self.conflict("loop.run_until_complete()", _AWAIT, future)
        if running is self.loop:
            self.count("loop.run_until_complete()")
        if ours and threading.get_ident() != self.home:
            return self.workers.run_until_complete(future)
        return self._complete(future) if ours else original["run_until_complete"](loop, future)

    def run_threadsafe(self, coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> futures.Future[Any]:
        """asyncio.run_coroutine_threadsafe: from the loop's own thread its `result()` would wait for ever."""
        if loop is self.loop and self.workers.is_over():
            raise self.workers.too_late("run_coroutine_threadsafe()", coro)
        future: Any = before[asyncio, "run_coroutine_threadsafe"](coro, loop)
        if events._get_running_loop() is self.loop is loop:
            result, call = future.result, "run_coroutine_threadsafe().result()"

            def nested(timeout: float | None = None) -> Any:
                if future.done() or events._get_running_loop() is not self.loop:
                    return result(timeout)
                self._nested(call, asyncio.wait([asyncio.wrap_future(future)], timeout=timeout))
                return result(0)

            future.result = nested
        return future  # type: ignore[no-any-return]

    def run_forever(self, loop: Any) -> None:
        """loop.run_forever: our loop is run by the environment alone."""
        ours, running = loop is self.loop, events._get_running_loop() is self.loop
        if (ours and threading.get_ident() != self.home) or (running and self.mode == "strict"):
            raise self.conflict("loop.run_forever()", "`asyncio.create_task()`; the loop runs already")
        if running:
            self.count("loop.run_forever()")
        original["run_forever"](loop)

    def close(self, loop: Any) -> None:
        """loop.close: legacy code closes what it thinks is its own."""
        if loop is self.loop:
            self.note(f"loop.close() at {place(sys._getframe())} was ignored: the loop is shared")
        else:
            original["close"](loop)

    def refuse_late_patch(self) -> None:
        """nest_asyncio.apply() in strict mode."""
        raise self.conflict("nest_asyncio.apply()", "EVENT_LOOP=patch in the settings, which applies it in time,")

    def _nested(self, call: str, future: Awaitable[Any]) -> Any:
        if self.mode == "strict":
            raise self.conflict(call, _AWAIT, future)
        if self._depth >= _DEEPEST:
            discard(future)
            where = place(sys._getframe())
            raise EventLoopError(f"{call} at {where} is the {_DEEPEST}th run inside another. Write {_AWAIT} instead.")
        self.count(call)
        self._depth += 1
        try:
            return original["run_until_complete"](self.loop, future)
        finally:
            self._depth -= 1

    def _complete(self, future: Awaitable[Any]) -> Any:
        """Run our loop to the end of `future`, whatever a callback throws out of it or says to it."""
        task, loop, hooks = asyncio.ensure_future(future, loop=self.loop), self.loop, sys.get_asyncgen_hooks()
        # nest_asyncio forgets these, and then nobody knows of abandoned generators
        sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)  # type: ignore[attr-defined]
        try:
            with self.fence.around():
                return self._persist(task)
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def own_generator(self, generator: Any) -> None:
        """The loop's hook for an asynchronous generator that begins: remember for whom."""
        self.loop._asyncgens.add(generator)  # type: ignore[attr-defined]
        self.generators[generator] = current.get()

    def _persist(self, task: asyncio.Future[Any]) -> Any:
        while True:
            try:
                return original["run_until_complete"](self.loop, task)
            except KeyboardInterrupt:
                if task.done():
                    task.exception()  # it has been seen: here it goes
                raise
            except BaseException as error:
                if task.done():
                    return task.result()
                if self.loop.is_closed() or self.loop.is_running():
                    raise
                self.loop._stopping = False  # type: ignore[attr-defined]
                self.note(f"the loop went on after {error!r}")


def _has_own_work(loop: Any) -> bool:
    """A second loop with connections or timers: what runs on it must not be moved to ours."""
    return len(loop._selector.get_map()) > 1 or bool(loop._scheduled or loop._ready)


def _caller() -> Any:
    """The module that called the door of a loop."""
    return sys._getframe(3).f_globals.get("__name__")
