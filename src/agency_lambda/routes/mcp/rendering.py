"""Results and errors as HTTP responses."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agency_lambda.errors import INTERNAL, ServiceError
from agency_lambda.protocol import stream
from agency_lambda.protocol.mcp.errors import INTERNAL_ERROR, ProtocolError, http_status
from agency_lambda.protocol.mcp.messages import Object, RequestId, error_message, result_message
from agency_lambda.protocol.mcp.results import Result
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.routes.mcp.exchange import Exchange

logger = logging.getLogger(__name__)
_LOOK = 0.1  # seconds between looks whether a run has begun


def json_message(
    message: Object | Sequence[Object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(to_json_bytes(message), status, headers, "application/json")


def json_result(exchange: Exchange, result: Result) -> Response:
    return json_message(result_message(exchange.request.id, result))


def json_error(error: ProtocolError, request_id: RequestId | None = None, *, is_modern: bool = False) -> Response:
    return json_message(error_message(request_id, error), http_status(error, is_modern=is_modern))


class ExchangeResponse(Response):
    """The result as JSON; behind other messages, or after ten seconds, as the last event of a stream.

    extra_headers: of the JSON.
    """

    def __init__(
        self,
        exchange: Exchange,
        respond: Callable[[Exchange], Awaitable[Result]],
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._exchange, self._respond, self._extra_headers = exchange, respond, extra_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = asyncio.create_task(self.answer())
        try:
            first, has_left = await self._first(answer, receive)
        except asyncio.CancelledError:
            answer.cancel()
            await asyncio.wait({answer})
            raise
        if has_left:
            await self._leave(answer)
            await Response(status_code=499)(scope, receive, send)  # for the log, as nobody reads it
        elif first is None and answer.done():
            message, status = answer.result()
            await json_message(message, status, self._extra_headers)(scope, receive, send)
        else:
            events = self._events(answer, first)
            await stream.EventStreamResponse(events, lambda: self._leave(answer))(scope, receive, send)

    async def answer(self) -> tuple[Object, int]:
        """Return the JSON-RPC response, and the status where nothing precedes it."""
        exchange = self._exchange
        try:
            return result_message(exchange.request.id, await self._respond(exchange)), 200
        except ProtocolError as error:
            failure = error
        except ServiceError as error:
            failure = ProtocolError(INTERNAL_ERROR, str(error), {"code": error.code})
        except Exception:
            logger.exception("the request %s failed", exchange.request.method[:99])
            failure = ProtocolError(INTERNAL_ERROR, INTERNAL)
        status = http_status(failure, is_modern=exchange.peer.is_modern)
        return error_message(exchange.request.id, failure), status

    async def _first(self, answer: asyncio.Task[tuple[Object, int]], receive: Receive) -> tuple[Object | None, bool]:
        """Wait until there is something to send; return what precedes the answer, and whether the client has left."""
        streams = self._exchange.accepts_stream
        leaving = asyncio.create_task(stream.wait_for_disconnect(receive))
        sending = asyncio.create_task(self._exchange.outgoing.get())
        awaited = {answer, leaving, *([sending] if streams else [])}
        try:
            await asyncio.wait(
                awaited, timeout=stream.HEARTBEAT if streams else None, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            has_left = not leaving.cancel() and not answer.done()
            sending.cancel()
            await asyncio.wait({leaving, sending})
        return None if sending.cancelled() or not streams else sending.result(), has_left

    async def _events(self, answer: asyncio.Task[tuple[Object, int]], first: Object | None) -> AsyncIterator[bytes]:
        if first is not None:
            yield _event(first)
        outgoing = self._exchange.outgoing
        while not answer.done():
            sending = asyncio.create_task(outgoing.get())
            try:
                await asyncio.wait({answer, sending}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    yield _event(sending.result())
            finally:
                sending.cancel()
        while not outgoing.empty():
            yield _event(outgoing.get_nowait())
        yield _event(answer.result()[0])

    async def _leave(self, answer: asyncio.Task[tuple[Object, int]]) -> None:
        """Stop the work for a client that has left. Since version 2026-07-28 that cancels its run."""
        exchange = self._exchange
        exchange.is_live = False
        if exchange.only_waits:
            answer.cancel()
        while exchange.peer.is_modern and not answer.done():
            if exchange.run_id:
                with suppress(ServiceError):
                    await exchange.caller.runs.cancel(exchange.caller.owner, exchange.run_id)
                break
            await asyncio.wait({answer}, timeout=_LOOK)
        await asyncio.wait({answer})


def _event(message: Object) -> bytes:
    return stream.encode_data(message, "message")
