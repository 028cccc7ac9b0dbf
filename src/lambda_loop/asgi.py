"""ASGI's types, and small callables."""

import asyncio
import contextvars
import json
import types
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from typing import Any

from .invocation import current_invocation

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def failure_response(status: int, kind: str, message: str) -> ASGIApp:
    """Return an ASGI app that answers with an error as JSON."""

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


def receive_body(body: bytes) -> Receive:
    """Return a `receive` that delivers one body and then blocks."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return receive


async def receive_disconnect() -> Message:
    return {"type": "http.disconnect"}


def without_headers(excluded: list[str], send: Send) -> Send:
    async def filtered(message: Message) -> None:
        headers = [(name, value) for name, value in message.get("headers", ()) if name.decode().lower() not in excluded]
        await send({**message, "headers": headers} if "headers" in message else message)

    return filtered if excluded else send


def in_this_context(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a `send` or `receive` that always runs in a copy of the present context."""
    context = contextvars.copy_context()
    return lambda *message: _await_in(context, call(*message).__await__())


@types.coroutine
def _await_in(context: contextvars.Context, steps: Any) -> Generator[Any, Any, Any]:
    # A task in the context would suspend even where the awaited does not.
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
