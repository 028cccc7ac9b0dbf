from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agency_lambda.errors import AnswerTooLarge, PayloadTooLarge, ServiceError
from agency_lambda.exception_handlers import error_response
from agency_lambda.protocol.bounds import ANSWER, BODY, check_structure, encoded_size
from lambda_loop import current_invocation

_UPLOAD = " A larger file is uploaded in parts or by a form of S3: POST /v1/uploads."


class BodyLimit:
    """Answer 413 for a body over `BODY` bytes, and 400 for JSON with too much structure."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            is_form = _is_form(scope)
            body = await _read(receive, _UPLOAD if is_form else "")
            if body and not is_form:
                check_structure(body)
        except ServiceError as error:
            return await error_response(scope, error)(scope, receive, send)
        if body is not None:
            await self._app(scope, replay({"type": "http.request", "body": body, "more_body": False}, receive), send)


def _is_form(scope: Scope) -> bool:
    """Return whether the body is parsed as a form, in which nothing expands. Everywhere else JSON is read."""
    path = get_route_path(scope)
    is_read = path == "/v1/files" or (path.startswith("/v1/uploads/") and path.endswith("/parts"))
    return is_read and Headers(scope=scope).get("content-type", "").lower().startswith("multipart/form-data")


async def _read(receive: Receive, advice: str) -> bytes | None:
    """Return the body, or None after a disconnect."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > BODY:
            raise PayloadTooLarge(f"The body is over {BODY:,} bytes.{advice}")
        if not message.get("more_body", False):
            return bytes(body)


def replay(message: Message, receive: Receive) -> Receive:
    """Return a `receive` that begins with the message."""
    pending = [message]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


class AnswerLimit:
    """Answer 500 in place of a buffered answer over `ANSWER` bytes, which would end the process."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        invocation = current_invocation.get()
        if scope["type"] != "http" or scope.get("head") or invocation is None or not invocation.buffered:
            return await self._app(scope, receive, send)
        held, size = list[Message](), 0

        async def hold(message: Message) -> None:
            nonlocal size
            size += encoded_size(message.get("body", b""))
            if size <= ANSWER:
                held.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                if size > ANSWER:
                    error = AnswerTooLarge(f"The answer has more than {ANSWER:,} bytes, which cannot be sent whole.")
                    return await error_response(scope, error)(scope, receive, send)
                for each in held:
                    await send(each)

        await self._app(scope, receive, hold)
