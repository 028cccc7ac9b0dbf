"""Requests over the limit are refused before anything reads them whole."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handler.error_answers import answer
from handler.errors import PayloadTooLarge

# bytes; images and files come as data URLs. Lambda takes 6 MB per event, in which the body is a JSON string: what is
# escaped in it, and the headers beside it, need the rest.
LIMIT = 5_000_000


class BodyLimit:
    """ASGI middleware: 413 for a body over `LIMIT` bytes, whatever its declared length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # cut off half-way: what has arrived is not what was meant
            body += message.get("body", b"")
            if len(body) > LIMIT:
                error = PayloadTooLarge(f"The body is over {LIMIT:,} bytes.")
                return await answer(scope, error)(scope, receive, send)
            if not message.get("more_body", False):
                break
        await self._app(scope, _replay(bytes(body), receive), send)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
