"""An answer that Lambda could not send whole is replaced by one that says so."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handler.error_answers import answer
from handler.errors import AnswerTooLarge
from handler.event_loop import current
from handler.protocol.bounds import ANSWER, encoded_size


class AnswerLimit:
    """ASGI middleware, for invocations whose answer leaves whole: 500 in place of an answer over `ANSWER` bytes.

    What is kept is refused before it becomes as large as that, so what comes here was kept by an earlier version, or is
    a stream that cannot be resumed. HEAD, which `EveryAnswer` has marked, is answered before that can be known.
    Without this, AWS's client for Python would end the environment's process.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        invocation = current.get()
        if scope["type"] != "http" or scope.get("head") or invocation is None or not invocation.whole:
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
                    return await answer(scope, error)(scope, receive, send)
                for each in held:
                    await send(each)

        await self._app(scope, receive, hold)
