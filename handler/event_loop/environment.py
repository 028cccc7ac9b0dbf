"""One event loop per execution environment, and one chain of awaits per request on it."""

import asyncio
import contextvars
import json
import threading
import uuid
from asyncio import events
from collections.abc import Awaitable, Callable
from typing import Any

from mangum import Mangum

from . import entries, leftovers
from .entries import Entries, Mode
from .ledger import EventLoopError, Invocation, Ledger, current
from .lifespan import Lifespan
from .request import ASGIApp, Heartbeat, Message, Receive, Reply, Scope, Send

_DRAIN = 1.0  # seconds that leftovers get where no deadline is nearer


def log_ledger(ledger: Ledger) -> None:
    """Write a ledger to the log as one JSON line."""
    print(json.dumps(ledger.as_dict()), flush=True)


class EnvironmentLoop:
    """A Lambda handler ``(event, context) -> dict`` for any ASGI app, on one loop for the life of the process.

    Args:
        app: any ASGI application. Its lifespan is started here, once, and ended by `close`.
        mode: "patch" lets legacy code re-enter the running loop (nest_asyncio); "strict" refuses it by name and line.
        report: receives the ledger of each request when it is over.

    Raises:
        EventLoopError: a loop runs already, a loop that is not asyncio's own is in place (uvloop), or the app's
            startup failed.
    """

    def __init__(self, app: ASGIApp, mode: Mode = "patch", *, report: Callable[[Ledger], None] = log_ledger) -> None:
        _refuse(mode)
        self.app, self.mode, self._report = app, mode, report
        self.loop = asyncio.SelectorEventLoop()
        self._entries = Entries(self.loop, mode)
        entries.install(self._entries)
        self.loop.set_task_factory(_task_factory)
        self._gateway = Mangum(self.asgi, lifespan="off")
        self._pristine = contextvars.copy_context()
        self._environment = Invocation(Ledger(mode))  # what the app's own startup began belongs to no request
        self._lifespan = Lifespan(app)
        try:
            self._within(self._environment, self.run, self._lifespan.start())
        except BaseException:
            self.close()
            raise
        self._generators = set(self.loop._asyncgens)  # type: ignore[attr-defined]
        self._threads = set(threading.enumerate())

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one API Gateway (v1, v2), function URL or ALB event, before the context's time is up."""
        if events._get_running_loop() is not None:
            raise EventLoopError("the handler was called from a running event loop: call it from synchronous code")
        entries.restore(self._entries)
        invocation = Invocation(
            Ledger(self.mode, request_id=str(getattr(context, "aws_request_id", "") or uuid.uuid4()))
        )
        seconds, reserve = _budget(context)
        if seconds is not None:
            invocation.deadline, invocation.reserve = self.loop.time() + seconds, reserve
            seconds += 0.15 * reserve  # the loop's own timer goes first; the fence is for when it cannot
        self._entries.active = invocation
        with self._entries.fence.armed(invocation, seconds):
            answer: dict[str, Any] = self._within(invocation, self._gateway, event, context)
        self._entries.active = None
        return answer

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app as an ASGI server on this loop should call it (`run` the server; its own lifespan off)."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        invocation = self._entries.active
        if invocation is None:  # under a server: many at once, and its timers and tasks are not the request's
            invocation, send = Invocation(Ledger(self.mode, request_id=str(uuid.uuid4()))), _outside(send)
        current.set(invocation)
        invocation.driver = asyncio.current_task()
        scope["state"] = {**self._lifespan.state, **scope.get("state", {})}
        started, heartbeat = self.loop.time(), Heartbeat(self.loop, invocation.ledger)
        reply = Reply(invocation, send)
        app: asyncio.Task[None] = self.loop.create_task(self.app(scope, receive, reply.send), name="request")  # type: ignore[arg-type]
        await self._until_deadline(app, invocation)
        await reply.conclude(app)
        await self._end(invocation)
        heartbeat.stop()
        invocation.ledger.duration_ms = 1000 * (self.loop.time() - started)
        self._report(invocation.ledger)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop, e.g. an ASGI server: then worker threads reach the loop there too."""
        entries.restore(self._entries)
        with self._entries.fence.armed():
            return self.loop.run_until_complete(awaitable)

    def close(self) -> None:
        """End the app's lifespan, and give asyncio its own entry points back."""
        if self.loop.is_closed():
            return
        self._within(self._environment, self.run, self._lifespan.stop())
        self.run(leftovers.end_tasks(self.loop, lambda task: True, self._environment.ledger, _DRAIN))
        entries.uninstall()
        self.loop.close()

    def _within(self, invocation: Invocation, call: Callable[..., Any], *args: Any) -> Any:
        """Call in a context of its own: what is set there ends there."""
        context = self._pristine.copy()
        context.run(current.set, invocation)
        return context.run(call, *args)

    async def _until_deadline(self, app: asyncio.Task[None], invocation: Invocation) -> None:
        left = None if invocation.deadline is None else max(invocation.deadline - self.loop.time(), 0)
        try:
            await asyncio.wait({app}, timeout=left)
        except asyncio.CancelledError:  # by a server that stops, or by code that cancels asyncio.all_tasks()
            invocation.ledger.notes.append("the task around the request was cancelled")
            if invocation is not self._entries.active:
                app.cancel()
            await self._until_deadline(app, invocation)
        if not app.done():
            invocation.ledger.deadline_exceeded = True

    async def _end(self, invocation: Invocation) -> None:
        """End what the request left behind: nothing of it may run into the next."""
        alone, ledger = (
            invocation is self._entries.active,
            invocation.ledger,
        )  # alone: on Lambda, not under a server
        budget = _DRAIN
        if invocation.deadline is not None:
            budget = min(_DRAIN, max(invocation.deadline - self.loop.time(), 0) + 0.4 * invocation.reserve)

        def belongs(task: asyncio.Task[Any]) -> bool:
            owner = task.get_context().get(current)
            return owner is invocation or (alone and owner is None)

        await leftovers.end_tasks(self.loop, belongs, ledger, budget)
        leftovers.end_timers(self.loop, invocation)
        invocation.over = True
        if alone:
            await leftovers.end_generators(self.loop, self._generators)
            await self._end_threads(ledger)

    async def _end_threads(self, ledger: Ledger) -> None:
        """No thread can be killed: name it, keep it away from the loop, and leave the pool that it blocks to it."""
        zombies = leftovers.busy_threads(self._threads)
        ledger.zombies += zombies.values()
        self._threads = {thread for thread in self._threads.union(zombies) if thread.is_alive()}
        self._entries.zombies = {thread for thread in self._entries.zombies.union(zombies) if thread.is_alive()}
        pool: Any = self.loop._default_executor  # type: ignore[attr-defined]
        if pool is not None and not pool._threads.isdisjoint(zombies):
            pool.shutdown(wait=False)
            self.loop._default_executor = None  # type: ignore[attr-defined]


def _refuse(mode: str) -> None:
    if mode not in ("patch", "strict"):
        raise EventLoopError(f"mode {mode!r} is unknown: write 'patch' or 'strict'")
    if events._get_running_loop() is not None:
        raise EventLoopError("an event loop runs already: make the EnvironmentLoop at import, before any loop runs")
    policy = asyncio.get_event_loop_policy()
    placed = getattr(getattr(policy, "_local", None), "_loop", None)
    for thing in (policy, placed):
        if thing is not None and type(thing).__module__.partition(".")[0] == "uvloop":
            raise EventLoopError(
                "uvloop is in place, and nest_asyncio cannot patch it nor this environment own it: "
                "remove uvloop.install() or uvloop.EventLoopPolicy"
            )


def _budget(context: Any) -> tuple[float | None, float]:
    """Seconds for the work, and seconds kept back to cancel, drain, report and encode, out of what Lambda gives."""
    clock = getattr(context, "get_remaining_time_in_millis", None)
    if clock is None:
        return None, 0.0
    left = clock() / 1000
    reserve = min(max(0.1 * left, 0.4), 2.0, 0.5 * left)
    return left - reserve, reserve


def _outside(send: Send) -> Send:
    """A server's `send`, in the context that the request was received in."""
    context = contextvars.copy_context()

    async def outside(message: Message) -> None:
        await asyncio.create_task(send(message), context=context)  # type: ignore[arg-type]

    return outside


def _task_factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    """A task that a finished invocation still manages to start is cancelled before its first step."""
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    owner = task.get_context().get(current)
    if owner is not None and owner.over:
        task.cancel()
    return task
