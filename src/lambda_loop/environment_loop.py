"""One event loop per execution environment, and one chain of awaits per request on it."""

import asyncio
import contextvars
import json
import sys
import threading
import uuid
import warnings
from asyncio import events
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from mangum import Mangum

from . import patches, threads
from .invocation import Invocation, answered, current_invocation
from .leftovers import Ending
from .lifespan import Lifespan
from .loop import SharedLoop
from .reentry import Mode, Reentry
from .report import EventLoopError, InvocationReport
from .request import AppResponse, ASGIApp, Heartbeat, Message, Receive, Scope, Send, failure_response, outside
from .stage import placed

_DRAIN = 1.0  # seconds that leftovers get where no deadline is nearer


def log_report(report: InvocationReport) -> None:
    """Write a report to the log as one JSON line."""
    print(json.dumps(report.as_dict()), flush=True)


class EnvironmentLoop:
    """A Lambda handler ``(event, context) -> dict`` for any ASGI app, on one loop for the life of the process.

    Args:
        app: any ASGI application. Its lifespan is started here, once, and ended by `close`. If it has a method
            ``failure_response(status, kind, message) -> ASGI app``, that renders the answers which are made outside of
            it: after the deadline (504), and where the app crashed, gave no answer, or hid a conflict (500).
        mode: "patch" lets legacy code re-enter the running loop (nest_asyncio); "strict" refuses it by name and line.
        on_report: receives the report of each request when it is over.
        mangum: Mangum's options: `api_gateway_base_path`, `text_mime_types`, `exclude_headers`, `custom_handlers`.

    Raises:
        EventLoopError: this is not CPython 3.13, a loop runs already, a loop that is not asyncio's own is in place
            (uvloop), or the app's startup failed.
    """

    def __init__(
        self,
        app: ASGIApp,
        mode: Mode = "patch",
        *,
        on_report: Callable[[InvocationReport], None] = log_report,
        **mangum: Any,
    ) -> None:
        _refuse(mode)
        self.app, self.mode, self._on_report = app, mode, on_report
        self._failure = getattr(app, "failure_response", failure_response)
        patches.uninstall()
        if mode == "patch":
            patches.apply_nest_asyncio()
        self.loop = SharedLoop(mode)
        self._reentry = Reentry(self.loop, mode)
        self._install()
        self._gateway = Mangum(self.asgi, lifespan="off", **mangum)
        self._pristine = contextvars.copy_context()
        self._lifespan = Lifespan(app)
        try:
            self._within(self.loop.startup, self.run, self._lifespan.start())
        except BaseException:
            self.close()
            raise
        self.loop.remember()

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one API Gateway (v1, v2), function URL or ALB event, before the context's time is up."""
        answer: dict[str, Any] = self._invoke(context, True, self._gateway, event, context)
        return answer

    def stream(self, event: dict[str, Any], context: Any, send: Send) -> None:
        """The same, but what the app sends goes to `send` (ASGI's) at once, where a runtime can stream."""
        handler = self._gateway.infer(event, context)
        send = _without(self._gateway.config["exclude_headers"], send)
        self._invoke(context, False, self.run, self.asgi(handler.scope, _request(handler.body), send))

    def _invoke(self, context: Any, buffered: bool, call: Callable[..., Any], *arguments: Any) -> Any:
        if events._get_running_loop() is not None:
            raise EventLoopError("the handler was called from a running event loop: call it from synchronous code")
        self._install()
        request_id = str(getattr(context, "aws_request_id", "") or uuid.uuid4())
        invocation, seconds = _budget(
            Invocation(InvocationReport(self.mode, request_id=request_id)), context, self.loop.time()
        )
        invocation.buffered = buffered
        try:
            with self._reentry.watchdog.around(invocation, seconds):
                answered[threading.get_ident()] = invocation
                answer = self._within(invocation, call, *arguments)
        finally:
            if not invocation.over:  # it got no answer, or something broke out of its end
                driver = invocation.driver
                end = driver if driver and not driver.done() else self._end(invocation, alone=True)
                self._within(invocation, self.run, end)
            answered.pop(threading.get_ident(), None)
        return answer

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app as an ASGI server on this loop should call it (`run` the server; its own lifespan off)."""
        scope["state"] = {**self._lifespan.state, **scope.get("state", {})}
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if self.loop.active is not None:  # on Lambda
            return await self._answer(self.loop.active, placed(scope), receive, send, alone=True)
        # Under a server: many requests at once, and its timers and tasks are not a request's.
        receive, send = outside(receive), outside(send)
        invocation = Invocation(InvocationReport(self.mode, request_id=str(uuid.uuid4())), buffered=False)
        current_invocation.set(invocation)
        await self._answer(invocation, scope, receive, send, alone=False)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop, e.g. an ASGI server: then worker threads reach the loop there too."""
        self._install()
        return self.loop.run_until_complete(awaitable)

    def close(self) -> None:
        """End the app's lifespan, and give asyncio its own entry points back."""
        if self.loop.is_closed():
            return
        try:
            self._within(self.loop.startup, self.run, self._lifespan.stop())
            self._within(self.loop.startup, self.run, self._end_all(self.loop.startup, alone=True))
        finally:
            patches.uninstall()
            self.loop.end()

    def _install(self) -> None:
        patches.install(self.loop, self._reentry.run, {**self._reentry.table(), **threads.table()})

    def _within(self, invocation: Invocation, call: Callable[..., Any], *args: Any) -> Any:
        """Call in a context of its own: what is set there ends there."""
        context = self._pristine.copy()
        context.run(current_invocation.set, invocation)
        return context.run(call, *args)

    async def _answer(self, invocation: Invocation, scope: Scope, receive: Receive, send: Send, *, alone: bool) -> None:
        invocation.driver = asyncio.current_task()
        started, heartbeat = self.loop.time(), Heartbeat(self.loop, invocation.report, self.loop.startup)
        response = AppResponse(invocation, send, self._failure, scope)
        app = self.loop.create_task(self._call(scope, receive, response.send), name="request")
        try:
            await self._until_deadline(app, invocation, alone)
            await response.conclude(app)
        finally:
            await self._end(invocation, alone=alone)
            heartbeat.stop()
            invocation.report.duration_ms = 1000 * (self.loop.time() - started)
            self._on_report(invocation.report)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    async def _until_deadline(self, app: asyncio.Task[None], invocation: Invocation, alone: bool) -> None:
        left = None if invocation.deadline is None else max(invocation.deadline - self.loop.time(), 0)
        try:
            await asyncio.wait({app}, timeout=left)
        except asyncio.CancelledError:  # by a server that stops, or by code that cancels asyncio.all_tasks()
            invocation.report.notes.append("the task around the request was cancelled")
            if not alone:
                app.cancel()
            await self._until_deadline(app, invocation, alone)
        if not app.done():
            invocation.report.deadline_exceeded = True

    async def _end(self, invocation: Invocation, *, alone: bool) -> None:
        """End what the request left behind: nothing of it may run into the next, nor cancel this."""
        while not invocation.over:
            try:
                await self._end_all(invocation, alone=alone)
            except asyncio.CancelledError:
                invocation.report.notes.append("the end of the request was cancelled, and begun again")

    async def _end_all(self, invocation: Invocation, *, alone: bool) -> None:
        budget = _DRAIN
        if invocation.deadline is not None:
            budget = min(_DRAIN, max(invocation.deadline - self.loop.time(), 0) + 0.4 * invocation.reserve)
        await Ending(self.loop, invocation, alone=alone).end(budget)


def _refuse(mode: str) -> None:
    if mode not in ("patch", "strict"):
        raise EventLoopError(f"mode {mode!r} is unknown: write 'patch' or 'strict'")
    if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 13):
        raise EventLoopError(
            f"the event loop is written for CPython 3.13, and this is {sys.version.split()[0]}: use 3.13"
        )
    if events._get_running_loop() is not None:
        raise EventLoopError("an event loop runs already: make the EnvironmentLoop at import, before any loop runs")
    if "uvloop" in sys.modules and _is_uvloops():
        raise EventLoopError(
            "uvloop is in place, and nest_asyncio cannot patch it nor this environment own it: "
            "remove uvloop.install() or uvloop.EventLoopPolicy"
        )


def _is_uvloops() -> bool:
    policy = asyncio.get_event_loop_policy()
    with suppress(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # there is no loop yet: that is fine
        with suppress(DeprecationWarning):
            return any(
                type(each).__module__.partition(".")[0] == "uvloop" for each in (policy, policy.get_event_loop())
            )
    return type(policy).__module__.partition(".")[0] == "uvloop"


def _without(excluded: list[str], send: Send) -> Send:
    """`send`, with the headers left out that Mangum's `exclude_headers` names."""

    async def filtered(message: Message) -> None:
        headers = [(name, value) for name, value in message.get("headers", ()) if name.decode().lower() not in excluded]
        await send({**message, "headers": headers} if "headers" in message else message)

    return filtered if excluded else send


def _request(body: bytes) -> Receive:
    """ASGI's `receive` for a body that is there; that the client has gone is not to be learned here."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return receive


def _budget(invocation: Invocation, context: Any, now: float) -> tuple[Invocation, float | None]:
    """Set the deadline: a part of what Lambda gives is kept to cancel, drain, report and encode.

    Returns also the seconds until the watchdog's signal: the loop's own timer goes first, that is for a blocked loop.
    """
    clock = getattr(context, "get_remaining_time_in_millis", None)
    if clock is None:
        return invocation, None
    left = max(clock() / 1000, 0.01)
    invocation.reserve = min(max(0.1 * left, 0.4), 2.0, 0.5 * left)
    invocation.deadline = now + left - invocation.reserve
    return invocation, left - 0.85 * invocation.reserve
