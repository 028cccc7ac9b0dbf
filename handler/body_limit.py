"""A body over a bound is refused before anything parses it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handler.error_answers import answer
from handler.errors import PayloadTooLarge, ServiceError
from handler.protocol.bounds import BODY, check_structure


class BodyLimit:
    """ASGI middleware: 413 for a body over `BODY` bytes, whatever its declared length; 400 for too much structure."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            body = await _read(receive)
            if body:
                check_structure(body)
        except ServiceError as error:
            return await answer(scope, error)(scope, receive, send)
        if body is not None:
            await self._app(scope, _replay(body, receive), send)


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body; None if the client has gone half-way: what has arrived is not what was meant."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY:
            raise PayloadTooLarge(f"The body is over {BODY:,} bytes.")
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
