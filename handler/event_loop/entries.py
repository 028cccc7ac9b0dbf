"""Every way in which synchronous code enters an event loop, led to the environment's one loop.

Installed once at cold start, in both modes. On the loop's own thread an entry is nested: patch mode counts it and lets
nest_asyncio run it, strict mode raises EventLoopConflict. On any other thread the coroutine is handed to the loop.
"""

import asyncio
import inspect
import sys
import threading
from asyncio import events, runners
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from types import FunctionType
from typing import Any, Literal

import nest_asyncio

from .fence import Fence, Watch
from .ledger import EventLoopConflict, EventLoopError, Invocation, Ledger, current, place

Mode = Literal["patch", "strict"]
AWAIT = "`await` on the coroutine, in an `async def`"
_LOOP: Any = asyncio.SelectorEventLoop
_stdlib_runner_run = asyncio.Runner.run
_stdlib_run = FunctionType(runners.run.__code__, vars(runners), "run", None, None)
_stdlib_run.__kwdefaults__ = runners.run.__kwdefaults__
_DEEPEST = 300  # nested runs; asyncio's own machinery must never be what meets the recursion limit
_FRAMES = 20_000  # what that many nested runs of an agency, or waits within waits, need


class Entries:
    """The doors of one loop. `active` is the invocation that code without a context of its own belongs to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, mode: Mode) -> None:
        self.loop, self.mode, self.fence = loop, mode, Fence(loop)
        self.home = 0  # the thread that runs the loop
        self.active: Invocation | None = None
        self.environment: Invocation | None = None
        self._depth = 0
        self.zombies: set[threading.Thread] = set()

    @property
    def ledger(self) -> Ledger:
        """Of the invocation that the running code belongs to."""
        invocation = self._invocation()
        return invocation.ledger if invocation else Ledger(self.mode)

    def _invocation(self) -> Invocation | None:
        """What the app began at its start (its pool, its tasks) works for the active one."""
        own = current.get()
        return self.active or own if own is self.environment else own or self.active

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
            return self._from_thread("asyncio.run()", main)
        return _stdlib_run(main, debug=debug, loop_factory=loop_factory)

    def run_in(self, runner: asyncio.Runner, coro: Coroutine[Any, Any, Any], *, context: Any = None) -> Any:
        """asyncio.Runner.run: a runner has a loop of its own, which must not start on our loop's thread."""
        if events._get_running_loop() is self.loop:
            return self._nested("asyncio.Runner.run()", coro)
        return _stdlib_runner_run(runner, coro, context=context)

    def run_anyio(self, func: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """anyio.run: on our loop's thread it would refuse by itself, and be hidden."""
        if events._get_running_loop() is self.loop:
            return self._nested("anyio.run()", func(*args))
        return _before[sys.modules["anyio"], "run"](func, *args, **options)

    def run_sync(self, runner: Any, agent: Any, message: Any, **options: Any) -> Any:
        """Runner.run_sync of the Agents SDK: likewise."""
        if events._get_running_loop() is self.loop:
            return self._nested("Runner.run_sync()", runner.run(agent, message, **options))
        return _before[type(runner), "run_sync"](runner, agent, message, **options)

    def run_until_complete(self, loop: Any, future: Awaitable[Any]) -> Any:
        """loop.run_until_complete, of our loop or of a second one."""
        running, ours = events._get_running_loop(), loop is self.loop
        if running is self.loop and not ours and _caller() == runners.__name__:
            return _discard(future)  # a Runner tidies up its own loop, on which nothing has run
        if running is self.loop and (ours or inspect.iscoroutine(future)):
            return self._nested("loop.run_until_complete()", future)
        if running is self.loop and self.mode == "strict":
            raise self._conflict("loop.run_until_complete()", AWAIT, future)
        if ours and threading.get_ident() != self.home:
            return self._complete_from_thread(future)
        return self._complete(future) if ours else _original["run_until_complete"](loop, future)

    def run_threadsafe(self, coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> futures.Future[Any]:
        """asyncio.run_coroutine_threadsafe: from the loop's own thread its `result()` would wait for ever."""
        if loop is self.loop and self._is_over():
            raise self._too_late("run_coroutine_threadsafe()", coro)
        future: Any = _before[asyncio, "run_coroutine_threadsafe"](coro, loop)
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
            raise self._conflict("loop.run_forever()", "`asyncio.create_task()`; the loop runs already")
        if running:
            self.ledger.nested["loop.run_forever()", place(sys._getframe())] += 1
        _original["run_forever"](loop)

    def close(self, loop: Any) -> None:
        """loop.close: legacy code closes what it thinks is its own."""
        if loop is self.loop:
            self.ledger.notes.append(f"loop.close() at {place(sys._getframe())} was ignored: the loop is shared")
        else:
            _original["close"](loop)

    def refuse_late_patch(self) -> None:
        """nest_asyncio.apply() in strict mode."""
        raise self._conflict("nest_asyncio.apply()", "EVENT_LOOP=patch in the settings, which applies it in time,")

    def _nested(self, call: str, future: Awaitable[Any]) -> Any:
        if self.mode == "strict":
            raise self._conflict(call, AWAIT, future)
        where = place(sys._getframe())
        if self._depth >= _DEEPEST:
            _discard(future)
            raise EventLoopError(f"{call} at {where} is the {_DEEPEST}th run inside another. Write {AWAIT} instead.")
        self.ledger.nested[call, where] += 1
        self._depth += 1
        try:
            return _original["run_until_complete"](self.loop, future)
        finally:
            self._depth -= 1

    def _conflict(self, call: str, instead: str, future: object = None) -> EventLoopConflict:
        _discard(future)
        conflict = EventLoopConflict(call, place(sys._getframe()), instead)
        self.ledger.conflicts.append(conflict)
        return conflict

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

    def _persist(self, task: asyncio.Future[Any]) -> Any:
        while True:
            try:
                return _original["run_until_complete"](self.loop, task)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if task.done() or self.loop.is_closed():
                    raise
                self.loop._stopping = False  # type: ignore[attr-defined]
                self.ledger.notes.append(f"the loop went on after {error!r}")

    def _complete_from_thread(self, future: Awaitable[Any]) -> Any:
        if self.mode == "strict":
            raise self._conflict(
                "get_event_loop().run_until_complete() in a worker thread", "`asyncio.run(...)`", future
            )
        if not self.loop.is_running():
            return _stdlib_run(future)
        return self._from_thread("loop.run_until_complete()", future)

    def _from_thread(self, call: str, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop for another thread, also while the loop's thread waits for that thread."""
        if sync := self._get_response_sync():
            if self.mode == "strict":
                conflict = EventLoopConflict("get_response_sync()", sync, "`await agency.get_response(...)`")
                self.ledger.conflicts.append(conflict)
                _discard(awaitable)
                raise conflict
            self.ledger.nested["get_response_sync()", sync] += 1
        invocation = self._invocation()
        if self._is_over():
            raise self._too_late(call, awaitable)
        if not self.fence.armed and inspect.iscoroutine(awaitable):  # nobody could wake the loop's thread
            self.ledger.notes.append("the loop does not run in the main thread: a worker ran a loop of its own")
            return _stdlib_run(awaitable)
        future = _before[asyncio, "run_coroutine_threadsafe"](_within(invocation, awaitable), self.loop)
        self._wait(future)
        return future.result()

    def _wait(self, future: futures.Future[Any]) -> None:
        pause, counted, watch = 0.001, False, Watch()
        while not futures.wait([future], pause).done:
            pause = min(2 * pause, 0.02)
            frame = watch.waiting(self.loop._thread_id)  # type: ignore[attr-defined]
            if frame is None:
                continue
            if not counted:
                self.ledger.thread_waits[place(frame)] += 1
            pause, counted = 0.002, True
            self.fence.drive(future, frame)

    def _too_late(self, call: str, awaitable: object) -> EventLoopError:
        _discard(awaitable)
        return EventLoopError(f"{call} in a thread whose invocation is over: nothing of it may run into the next")

    def _is_over(self) -> bool:
        """Whether the running thread is left from an invocation that has ended."""
        invocation = current.get()
        return (invocation is not None and invocation.over) or threading.current_thread() in self.zombies

    def call_threadsafe(
        self, loop: Any, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """loop.call_soon_threadsafe: deaf to threads of invocations that have ended."""
        if loop is self.loop and threading.get_ident() != self.home and self._is_over():
            return asyncio.Handle(callback, args, loop, context)
        handle: asyncio.Handle = _original["call_soon_threadsafe"](loop, callback, *args, context=context)
        return handle

    def _get_response_sync(self) -> str | None:
        """Where the loop's thread called Agency.get_response_sync, if this thread was started by that call.

        On a thread with a running loop it starts this second thread and blocks the first one until it is done.
        """
        frame: Any = sys._getframe(2)
        if threading.current_thread().name != "agency-get-response-sync":
            return None
        frame = sys._current_frames().get(self.loop._thread_id or 0)  # type: ignore[attr-defined]
        while frame is not None and frame.f_code.co_name != "get_response_sync":
            frame = frame.f_back
        return place(frame) if frame is not None else None


async def _within(invocation: Invocation | None, awaitable: Awaitable[Any]) -> Any:
    """For a thread that inherited no context: what its coroutine leaves behind is the invocation's too."""
    current.set(invocation)
    return await awaitable


def _run(main: Any, *, debug: Any = None, loop_factory: Any = None) -> Any:
    """The code of asyncio.run itself while an environment is installed, however it was imported."""
    from handler.event_loop.entries import run

    return run(main, debug=debug, loop_factory=loop_factory)


def run(main: Any, *, debug: bool | None = None, loop_factory: Any = None) -> Any:
    """asyncio.run, by way of the installed environment."""
    if _installed is None:
        return _stdlib_run(main, debug=debug, loop_factory=loop_factory)
    return _installed.run(main, debug=debug, loop_factory=loop_factory)


def _discard(awaitable: object) -> None:
    """A coroutine that will not be awaited: closed, it does not warn of that."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _caller() -> Any:
    """The module that called the door of a loop."""
    return sys._getframe(3).f_globals.get("__name__")


class Policy(asyncio.DefaultEventLoopPolicy):
    """A thread without a loop of its own gets the environment's."""

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        own: asyncio.AbstractEventLoop | None = getattr(self._local, "_loop", None)  # type: ignore[attr-defined]
        if _installed is None or (own is not None and not own.is_closed()):
            return super().get_event_loop()
        return _installed.loop


_installed: Entries | None = None
_METHODS = ("run_until_complete", "run_forever", "close", "call_soon_threadsafe")
_original: dict[str, Any] = {}
_before: dict[tuple[Any, str], Any] = {}


def install(entries: Entries) -> None:
    """Make `entries` the doors of this process, with nest_asyncio behind them in patch mode. Undone by `uninstall`."""
    global _installed
    uninstall()
    if entries.mode == "patch":
        asyncio_run = asyncio.run
        nest_asyncio.apply(entries.loop)
        asyncio.run = asyncio_run  # its own makes a loop and never closes it
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))
    _original.update({name: getattr(_LOOP, name) for name in _METHODS})
    restore(entries)


def restore(entries: Entries) -> None:
    """Put back what user code may have taken away since: before each invocation."""
    global _installed
    _installed = entries
    runners.run.__code__ = _run.__code__
    if not isinstance(asyncio.get_event_loop_policy(), Policy):
        asyncio.set_event_loop_policy(Policy())
    for (owner, name), door in _doors(entries).items():  # also of what was imported since
        _before.setdefault((owner, name), getattr(owner, name))
        setattr(owner, name, door)
    entries.home = threading.get_ident()
    asyncio.set_event_loop(entries.loop)
    loop: Any = entries.loop
    loop._stopping = False
    loop.set_exception_handler(None)
    loop.set_task_factory(None)
    if loop._executor_shutdown_called or getattr(loop._default_executor, "_shutdown", False):
        loop._executor_shutdown_called, loop._default_executor = False, None


def uninstall() -> None:
    """Give asyncio back as it was (but for nest_asyncio, which cannot be undone)."""
    global _installed
    for (owner, name), door in _before.items():
        setattr(owner, name, door)
    _before.clear()
    runners.run.__code__ = _stdlib_run.__code__
    if _installed is not None:
        asyncio.set_event_loop_policy(None)
    _installed = None


def _doors(entries: Entries) -> dict[tuple[Any, str], Any]:
    doors: dict[tuple[Any, str], Any] = {
        (asyncio, "run"): runners.run,  # nest_asyncio has another, and user code may
        (asyncio, "run_coroutine_threadsafe"): entries.run_threadsafe,
        (asyncio.Runner, "run"): lambda runner, coro, *, context=None: entries.run_in(runner, coro, context=context),
        (_LOOP, "run_until_complete"): lambda loop, future: entries.run_until_complete(loop, future),
        (_LOOP, "run_forever"): lambda loop: entries.run_forever(loop),
        (_LOOP, "close"): lambda loop: entries.close(loop),
        (_LOOP, "call_soon_threadsafe"): lambda *args, **options: entries.call_threadsafe(*args, **options),
        # Applied again it would take our policy's place; applied late it breaks the running loop.
        (nest_asyncio, "_patch_policy"): lambda: None,
    }
    if anyio := sys.modules.get("anyio"):
        doors[anyio, "run"] = entries.run_anyio
    if sdk := sys.modules.get("agents.run"):
        doors[sdk.AgentRunner, "run_sync"] = lambda *args, **options: entries.run_sync(*args, **options)
    if entries.mode == "strict":
        doors[nest_asyncio, "_patch_asyncio"] = entries.refuse_late_patch
    return doors
