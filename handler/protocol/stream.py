"""Events on the wire: server-sent events, as Open Responses has them, ending in `data: [DONE]`."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from handler.protocol.output import Event
from handler.protocol.resource import FINAL, Resource

HEARTBEAT = 10.0  # seconds of silence before a comment; gateways and proxies close what is silent for long


class EventStream(Response):
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
        try:
            async for chunk in _chunks(self._events):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            return  # the client has gone


async def resumable(
    events: AsyncIterator[Event], response: Resource, root_path: str, after: int = -1
) -> AsyncIterator[Event]:
    """The events; where they end before the response does, the last one says how to go on.

    It repeats the number of the one before it, so that whoever only counts resumes right.
    root_path: what the client writes before our paths. after: the number that the client has seen already.
    """
    last, is_final = after, response["status"] in FINAL
    async for event in events:
        last, is_final = event["sequence_number"], event["type"].removeprefix("response.") in FINAL
        yield event
    if not is_final:
        resume = f"{root_path}/v1/responses/{response['id']}?stream=true&starting_after={last}"
        yield {"type": "response.in_progress", "sequence_number": last, "response": dict(response), "resume": resume}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _chunks(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    following = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=HEARTBEAT)
            if not done:
                yield b": still working\n\n"
                continue
            event = following.result()
            if event is None:
                break
            yield wire(event)
            following = asyncio.ensure_future(anext(events, None))
    finally:
        following.cancel()
    yield b"data: [DONE]\n\n"


def wire(event: Event) -> bytes:
    """One event. The `event` field is the type that is in its data."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
