"""The app's response to one request."""

import asyncio
import logging
from collections.abc import Callable

from .asgi import ASGIApp, Message, Scope, Send, failure_response, receive_disconnect
from .invocation import Invocation

logger = logging.getLogger(__name__)


class AppResponse:
    """The `send` of the app. An error replaces its unsent response after the deadline or a hidden conflict."""

    def __init__(
        self, invocation: Invocation, send: Send, failure: Callable[[int, str, str], ASGIApp], scope: Scope
    ) -> None:
        self._invocation, self._send, self._failure, self._scope = invocation, send, failure, scope
        self._buffered = invocation.buffered
        self._pending: list[Message] = []
        self._status, self._complete, self._started, self._ended = 0, False, False, False

    async def send(self, message: Message) -> None:
        if self._ended or self._complete:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
        self._pending.append(message)
        self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not self._buffered:
            await self._flush()

    async def conclude(self, app: asyncio.Task[None]) -> None:
        """Send what is pending, or an error if the app has sent no response."""
        error = app.exception() if app.done() and not app.cancelled() else None
        if error is not None:
            logger.error("request %s: the app failed", self._invocation.report.request_id, exc_info=error)
        if self._buffered and self._complete and self._pending[0]["type"] == "http.response.start":
            await self._flush()
        elif self._invocation.report.deadline_exceeded:
            await self._send_deadline_response()
        elif not await self._replace(500):
            await self._fail(500, "internal_error", "The service failed to answer. The request id finds it in the log.")

    async def _flush(self) -> None:
        if not self._started and await self._replace(self._status):
            return
        self._started, self._ended, self._invocation.report.status = True, self._complete, self._status
        messages, self._pending = self._pending, []
        for message in messages:
            await self._send(message)

    async def _replace(self, status: int) -> bool:
        report = self._invocation.report
        if report.deadline_exceeded and status >= 500:
            await self._send_deadline_response()
        elif conflict := report.hidden_conflict():
            await self._fail(500, "event_loop_conflict", str(conflict))
        return self._ended

    async def _send_deadline_response(self) -> None:
        make = self._invocation.deadline_response
        if make is not None and not self._started and not self._ended:
            self._invocation.deadline_response = None
            self._pending, self._complete, self._buffered = [], False, False
            await make()(self._scope, receive_disconnect, self.send)
            return
        await self._fail(504, "deadline_exceeded", "The run did not finish before the deadline of this invocation.")

    async def _fail(self, status: int, kind: str, message: str) -> None:
        if self._started or self._ended:
            self._ended = True
            return
        self._status, self._ended, self._invocation.report.status = status, True, status
        for rendered in await self._render(status, kind, message):
            await self._send(rendered)

    async def _render(self, status: int, kind: str, message: str) -> list[Message]:
        messages: list[Message] = []

        async def collect(each: Message) -> None:
            messages.append(each)

        try:
            await self._failure(status, kind, message)(self._scope, receive_disconnect, collect)
        except Exception:
            logger.exception("request %s: the app failed to render its failure", self._invocation.report.request_id)
            messages.clear()
            await failure_response(status, kind, message)(self._scope, receive_disconnect, collect)
        return messages
