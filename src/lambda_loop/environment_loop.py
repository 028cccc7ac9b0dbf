"""A Lambda handler for any ASGI app."""

import asyncio
import contextvars
import threading
import uuid
from asyncio import events
from collections.abc import Awaitable, Callable
from typing import Any

from mangum import Mangum

from . import patches, threads
from .app_response import AppResponse
from .asgi import ASGIApp, Receive, Scope, Send, failure_response, in_this_context, receive_body, without_headers
from .cleanup import Cleanup
from .errors import EventLoopError
from .invocation import Invocation, current_invocation, in_progress
from .lifespan import Lifespan
from .loop import SharedLoop
from .preconditions import Mode, check_preconditions
from .reentry import Reentry
from .report import InvocationReport, log_report
from .root_path import with_root_path
from .stall_meter import StallMeter

_CLEANUP = 1.0  # seconds for cleaning up where no deadline is nearer


class EnvironmentLoop:
    """Runs any ASGI app on one event loop, as a Lambda handler ``(event, context) -> dict``.

    Args:
        app: its lifespan starts here. If it has a method ``failure_response(status, kind, message) -> ASGI app``, that
            renders the errors of this package.
        mode: "patch" lets synchronous code re-enter the running loop (nest_asyncio); "strict" refuses it.
        on_report: receives the report of each request.
        mangum: Mangum's options, e.g. `api_gateway_base_path`, `exclude_headers`.

    Raises:
        EventLoopError: see `check_preconditions`; or the app's startup failed.
    """

    def __init__(
        self,
        app: ASGIApp,
        mode: Mode = "patch",
        *,
        on_report: Callable[[InvocationReport], None] = log_report,
        **mangum: Any,
    ) -> None:
        check_preconditions(mode)
        self.app, self.mode, self._on_report = app, mode, on_report
        self._failure = getattr(app, "failure_response", failure_response)
        patches.uninstall()
        if mode == "patch":
            patches.apply_nest_asyncio()
        self.loop = SharedLoop(mode)
        self._reentry = Reentry(self.loop, mode)
        self._install()
        self._gateway = Mangum(self.asgi, lifespan="off", **mangum)
        self._empty_context = contextvars.copy_context()
        self._lifespan = Lifespan(app)
        self._stalls = StallMeter(self.loop, self.loop.startup)
        try:
            self._call_for(self.loop.startup, self.run, self._lifespan.start())
        except BaseException:
            self.close()
            raise
        self.loop.save_settings()

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer an event of API Gateway (v1, v2), a function URL or an ALB."""
        answer: dict[str, Any] = self._invoke(context, True, self._gateway, event, context)
        return answer

    def stream(self, event: dict[str, Any], context: Any, send: Send) -> None:
        """Answer an event by ASGI messages to `send`, as the app sends them."""
        handler = self._gateway.infer(event, context)
        send = without_headers(self._gateway.config["exclude_headers"], send)
        self._invoke(context, False, self.run, self.asgi(handler.scope, receive_body(handler.body), send))

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI server that is run by `run`, with its own lifespan off."""
        scope["state"] = {**self._lifespan.state, **scope.get("state", {})}
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if self.loop.active is not None:  # on Lambda
            return await self._respond(self.loop.active, with_root_path(scope), receive, send, exclusive=True)
        # A server's timers and tasks belong to no request.
        receive, send = in_this_context(receive), in_this_context(send)
        invocation = Invocation(InvocationReport(self.mode, request_id=str(uuid.uuid4())), buffered=False)
        current_invocation.set(invocation)
        await self._respond(invocation, scope, receive, send, exclusive=False)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable, e.g. an ASGI server, on the loop and return its result."""
        self._install()
        return self.loop.run_until_complete(awaitable)

    def close(self) -> None:
        """End the app's lifespan, close the loop, and restore asyncio."""
        if self.loop.is_closed():
            return
        try:
            self._call_for(self.loop.startup, self.run, self._lifespan.stop())
            self._call_for(self.loop.startup, self.run, self._clean_up_once(self.loop.startup, exclusive=True))
        finally:
            patches.uninstall()
            self.loop.close_for_good()

    def _install(self) -> None:
        patches.install(self.loop, self._reentry.run, {**self._reentry.replacements(), **threads.replacements()})

    def _call_for(self, invocation: Invocation, call: Callable[..., Any], *args: Any) -> Any:
        context = self._empty_context.copy()
        context.run(current_invocation.set, invocation)
        return context.run(call, *args)

    def _invoke(self, context: Any, buffered: bool, call: Callable[..., Any], *arguments: Any) -> Any:
        if events._get_running_loop() is not None:
            raise EventLoopError("the handler was called from a running event loop: call it from synchronous code")
        self._install()
        request_id = str(getattr(context, "aws_request_id", "") or uuid.uuid4())
        invocation = Invocation(InvocationReport(self.mode, request_id=request_id), buffered=buffered)
        seconds = _set_deadline(invocation, context, self.loop.time())
        try:
            with self._reentry.watchdog.watch(invocation, seconds):
                in_progress[threading.get_ident()] = invocation
                answer = self._call_for(invocation, call, *arguments)
        finally:
            if not invocation.over:  # there was no request, or its task was interrupted
                driver = invocation.driver
                end = driver if driver and not driver.done() else self._clean_up(invocation, exclusive=True)
                self._call_for(invocation, self.run, end)
            in_progress.pop(threading.get_ident(), None)
        return answer

    async def _respond(
        self, invocation: Invocation, scope: Scope, receive: Receive, send: Send, *, exclusive: bool
    ) -> None:
        invocation.driver = asyncio.current_task()
        started = self.loop.time()
        response = AppResponse(invocation, send, self._failure, scope)
        try:
            with self._stalls.measure(invocation.report):
                app = self.loop.create_task(self._call_app(scope, receive, response.send), name="request")
                try:
                    await self._wait_until_deadline(app, invocation, exclusive)
                    await response.conclude(app)
                finally:
                    await self._clean_up(invocation, exclusive=exclusive)
        finally:
            invocation.report.duration_ms = 1000 * (self.loop.time() - started)
            self._on_report(invocation.report)

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    async def _wait_until_deadline(self, app: asyncio.Task[None], invocation: Invocation, exclusive: bool) -> None:
        left = None if invocation.deadline is None else max(invocation.deadline - self.loop.time(), 0)
        try:
            await asyncio.wait({app}, timeout=left)
        except asyncio.CancelledError:  # by a server that stops, or by code that cancels asyncio.all_tasks()
            invocation.report.notes.append("the task around the request was cancelled")
            if not exclusive:
                app.cancel()
            await self._wait_until_deadline(app, invocation, exclusive)
        if not app.done():
            invocation.report.deadline_exceeded = True

    async def _clean_up(self, invocation: Invocation, *, exclusive: bool) -> None:
        while not invocation.over:
            try:
                await self._clean_up_once(invocation, exclusive=exclusive)
            except asyncio.CancelledError:
                invocation.report.notes.append("the end of the request was cancelled, and begun again")

    async def _clean_up_once(self, invocation: Invocation, *, exclusive: bool) -> None:
        budget = _CLEANUP
        if invocation.deadline is not None:
            budget = min(_CLEANUP, max(invocation.deadline - self.loop.time(), 0) + 0.4 * invocation.reserve)
        await Cleanup(self.loop, invocation, exclusive=exclusive).run(budget)


def _set_deadline(invocation: Invocation, context: Any, now: float) -> float | None:
    """Set the deadline; return the seconds until the watchdog interrupts."""
    clock = getattr(context, "get_remaining_time_in_millis", None)
    if clock is None:
        return None
    left = max(clock() / 1000, 0.01)
    invocation.reserve = min(max(0.1 * left, 0.4), 2.0, 0.5 * left)
    invocation.deadline = now + left - invocation.reserve
    return float(left - 0.85 * invocation.reserve)
