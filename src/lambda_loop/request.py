"""One request on the loop: what it answers, how long it held the loop, where its time ends."""

import asyncio
import contextvars
import json
import logging
import types
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any

from .invocation import Invocation, current_invocation
from .report import InvocationReport

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)
_BEAT = 0.02  # seconds; a stall of the loop shorter than this is not seen


def seconds_remaining() -> float | None:
    """Seconds until the running invocation's deadline, None when it has none.

    Whoever can hand its work over instead of being cancelled (a run with a journal) watches this.
    """
    invocation = current_invocation.get()
    if invocation is None or invocation.deadline is None:
        return None
    return invocation.deadline - asyncio.get_running_loop().time()


def failure_response(status: int, kind: str, message: str) -> ASGIApp:
    """Return an ASGI app that answers with an error as JSON: for apps that have no `failure_response` of their own."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        invocation = current_invocation.get()
        request_id = invocation.report.request_id if invocation else ""
        error = {"type": kind, "message": message, "request_id": request_id}
        body = b"" if scope["method"] == "HEAD" else json.dumps({"error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode())]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return respond


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


class AppResponse:
    """The app's way out. It lets no conflict pass as a success, and nothing pass after the deadline's answer."""

    def __init__(
        self, invocation: Invocation, send: Send, fail: Callable[[int, str, str], ASGIApp], scope: Scope
    ) -> None:
        self._invocation, self._send, self._failure, self._scope = invocation, send, fail, scope
        self._whole = invocation.buffered  # nothing leaves before the last byte is there: then it can still be replaced
        self._held: list[Message] = []
        self._status, self._last, self._started, self._ended = 0, False, False, False

    async def send(self, message: Message) -> None:
        """ASGI send, as the app sees it."""
        if self._ended or self._last:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
        self._held.append(message)
        self._last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not self._whole:
            await self._let_go()

    async def fail(self, status: int, kind: str, message: str) -> None:
        """Answer with an error instead of what has not left yet. A stream is cut, and its server shows that."""
        if self._started or self._ended:
            self._ended = True
            return
        self._status, self._ended, self._invocation.report.status = status, True, status
        for sent in await self._rendered(status, kind, message):
            await self._send(sent)

    async def _rendered(self, status: int, kind: str, message: str) -> list[Message]:
        """The whole answer before any of it is sent: the app's own way to render it may fail too."""
        messages: list[Message] = []

        async def collect(each: Message) -> None:
            messages.append(each)

        try:
            await self._failure(status, kind, message)(self._scope, _nothing, collect)
        except Exception:
            logger.exception("request %s: the app failed to render its failure", self._invocation.report.request_id)
            messages.clear()
            await failure_response(status, kind, message)(self._scope, _nothing, collect)
        return messages

    async def _let_go(self) -> None:
        if not self._started and await self._replaced(self._status):
            return
        self._started, self._ended, self._invocation.report.status = True, self._last, self._status
        messages, self._held = self._held, []
        for message in messages:
            await self._send(message)

    async def conclude(self, app: asyncio.Task[None]) -> None:
        """When the app has ended, or its time has: see to it that there is exactly one whole answer."""
        error = app.exception() if app.done() and not app.cancelled() else None
        if error is not None:
            logger.error("request %s: the app failed", self._invocation.report.request_id, exc_info=error)
        if self._whole and self._last and self._held[0]["type"] == "http.response.start":
            await self._let_go()  # from here, not from the app: this is never interrupted
        elif self._invocation.report.deadline_exceeded:
            await self._time_is_up()
        elif not await self._replaced(500):
            await self.fail(500, "internal_error", "The service failed to answer. The request id finds it in the log.")

    async def _replaced(self, status: int) -> bool:
        report = self._invocation.report
        if report.deadline_exceeded and status >= 500:
            await self._time_is_up()
        elif conflict := report.hidden_conflict():
            await self.fail(500, "event_loop_conflict", str(conflict))
        return self._ended

    async def _time_is_up(self) -> None:
        late = self._invocation.deadline_response
        if late is not None and not self._started and not self._ended:
            self._held, self._last, self._whole, self._invocation.deadline_response = [], False, False, None
            await late()(self._scope, _nothing, self.send)
            return
        await self.fail(504, "deadline_exceeded", "The run did not finish before the deadline of this invocation.")


class Heartbeat:
    """Measures the longest time for which nothing else could run on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: InvocationReport, startup: Invocation) -> None:
        self._loop, self._report = loop, report
        self._context = contextvars.Context()  # it is not the request's
        self._context.run(current_invocation.set, startup)
        self._schedule()

    def stop(self) -> None:
        """Take the last measure."""
        self._handle.cancel()
        self._measure()

    def _schedule(self) -> None:
        self._due = self._loop.time() + _BEAT
        self._handle = self._loop.call_at(self._due, self._beat, context=self._context)

    def _beat(self) -> None:
        self._measure()
        self._schedule()

    def _measure(self) -> None:
        late = 1000 * (self._loop.time() - self._due)
        self._report.longest_stall_ms = max(self._report.longest_stall_ms, late)


def outside(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A server's `send` or `receive`, in the context that the request was received in."""
    context = contextvars.copy_context()
    return lambda *message: _in_context(context, call(*message).__await__())


@types.coroutine
def _in_context(context: contextvars.Context, steps: Any) -> Generator[Any, Any, Any]:
    """Await in another context than the task's; suspends only where the awaited does (a task would always)."""
    step, value = steps.send, None
    while True:
        try:
            future = context.run(step, value)
        except StopIteration as end:
            return end.value
        try:
            step, value = steps.send, (yield future)
        except BaseException as error:  # noqa: BLE001 - thrown in, and passed on
            step, value = steps.throw, error
