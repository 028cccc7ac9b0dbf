"""Events on the wire: server-sent events, as Open Responses has them, ending in `data: [DONE]`."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from agency_lambda.protocol import bounds
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Event
from lambda_loop import current_invocation

HEARTBEAT = 10.0  # seconds of silence before a comment; gateways and proxies close what is silent for long


class EventStreamResponse(Response):
    """An ASGI response of events.

    left: called when the client has gone, or the events have ended; what it waits for is part of the request.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[Event], left: Callable[[], Awaitable[None]]) -> None:
        self._events, self._left = events, left
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._told = asyncio.get_running_loop().time()
        telling = asyncio.create_task(self._tell(send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not telling.done():
                telling.cancel()
            await asyncio.wait({telling, leaving})
            await self._left()
        if not telling.cancelled():
            telling.result()

    async def _tell(self, send: Send) -> None:
        beating = asyncio.create_task(self._beat(send))
        try:
            async for event in self._events:
                self._told = asyncio.get_running_loop().time()
                await send(_body(encode_event(event)))
            beating.cancel()
            await send(_body(b"data: [DONE]\n\n"))
            await send(_body(b"", more=False))
        except OSError:
            return  # the client has gone
        finally:
            beating.cancel()

    async def _beat(self, send: Send) -> None:
        """A comment, whenever nothing was told for too long."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # it has gone; `_tell` learns it too
            while True:
                if (left := self._told + HEARTBEAT - loop.time()) > 0:
                    await asyncio.sleep(left)
                    continue
                self._told = loop.time()
                await send(_body(b": still working\n\n"))


async def resumable_events(
    events: AsyncGenerator[Event],
    response: ResponseObject,
    root_path: str,
    after: int = -1,
    last_stored: Callable[[], int] | None = None,
) -> AsyncIterator[Event]:
    """Yield the events; where they end before the response does, the last one says how to go on.

    They end early, too, where an answer that is sent whole has no room for more: it leaves when the run is over anyway.
    The last one repeats the number of the one before it, so that whoever only counts resumes right. Where not even the
    first has room, only the one that ends the response follows.

    root_path: what the client writes before our paths. after: the number that the client has seen already.
    last_stored: returns the number of the last event that the store has, behind which another attempt goes on.
    """
    last, is_final, room = after, response["status"] in FINAL, _room(response)
    left, skips = room, False
    async with aclosing(events):
        async for event in events:
            ends = event["type"].removeprefix("response.") in FINAL
            size = _size(event) if room < math.inf else 0
            if skips := not ends and (skips or (last == after and size > room)):
                continue
            left -= size
            if left < 0 and last > after:
                is_final = False
                if last_stored is None:
                    break
                continue
            last, is_final = event["sequence_number"], ends
            yield event
    if not is_final:
        last = last if last_stored is None else min(last, last_stored())
        resume = f"{root_path}/v1/responses/{response['id']}?stream=true&starting_after={last}"
        begun = {**response, "output": []}
        yield {"type": "response.in_progress", "sequence_number": last, "response": begun, "resume": resume}


def _room(response: ResponseObject) -> float:
    """Return the bytes that a stream may have: no end where it leaves as it is made, or nothing is kept to resume."""
    invocation = current_invocation.get()
    if invocation is None or not invocation.buffered or not response["store"]:
        return math.inf
    return bounds.ANSWER - bounds.WITHOUT_OUTPUT - 1_000


def _size(event: Event) -> int:
    return bounds.size(event) + len(event["type"]) + 20  # `event:`, `data:` and line breaks


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def encode_event(event: Event) -> bytes:
    """One event. The `event` field is the type that is in its data."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), to_json_bytes(event))
