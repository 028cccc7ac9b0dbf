"""Server-sent events of every protocol, and those of responses, which end in `data: [DONE]`."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from agency_lambda.protocol import bounds
from agency_lambda.protocol.response_object import FINAL, ResponseObject, as_answered
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Event
from lambda_loop import current_invocation

DONE = b"data: [DONE]\n\n"
HEARTBEAT = 10.0  # seconds of silence before a comment; gateways and proxies close silent connections


class EventStreamResponse(Response):
    """events: each as it is sent. on_close: is awaited when they end or the client disconnects."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], on_close: Callable[[], Awaitable[None]] | None = None) -> None:
        self._events, self._on_close = events, on_close
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._sent_at = asyncio.get_running_loop().time()
        sending = asyncio.create_task(self._send_events(send))
        disconnect = asyncio.create_task(wait_for_disconnect(receive))
        try:
            await asyncio.wait({sending, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnect.cancel()
            if not sending.done():
                sending.cancel()
            await asyncio.wait({sending, disconnect})
            if self._on_close:
                await self._on_close()
        if not sending.cancelled():
            sending.result()

    async def _send_events(self, send: Send) -> None:
        heartbeats = asyncio.create_task(self._send_heartbeats(send))
        try:
            async for event in self._events:
                self._sent_at = asyncio.get_running_loop().time()
                await send(_body(event))
            heartbeats.cancel()
            await send(_body(b"", more=False))
        except OSError:
            return  # the client has disconnected
        finally:
            heartbeats.cancel()

    async def _send_heartbeats(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # the client has disconnected, which `_send_events` notices too
            while True:
                if (seconds := self._sent_at + HEARTBEAT - loop.time()) > 0:
                    await asyncio.sleep(seconds)
                    continue
                self._sent_at = loop.time()
                await send(_body(b": still working\n\n"))


async def encoded_events(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        yield encode_event(event)
    yield DONE


async def resumable_events(
    events: AsyncGenerator[Event],
    response: ResponseObject,
    root_path: str,
    after: int = -1,
    last_stored: Callable[[], int] | None = None,
) -> AsyncIterator[Event]:
    """Yield the events. If they end before the response does, add one with the URL that resumes them.

    after, last_stored: the client's last sequence number, and the store's.
    """
    last, is_final, room = after, response["status"] in FINAL, _room(response)
    left, is_skipping = room, False
    async with aclosing(events):
        async for event in events:
            is_end = event["type"].removeprefix("response.") in FINAL
            size = _size(event) if room < math.inf else 0
            if is_skipping := not is_end and (is_skipping or (last == after and size > room)):
                continue  # to the event that ends the response, as not even the first one has room
            left -= size
            if left < 0 and last > after:
                is_final = False
                if last_stored is None:
                    break
                continue  # to the end of the run, as a buffered answer is not sent before
            last, is_final = event["sequence_number"], is_end
            yield event
    if not is_final:
        last = last if last_stored is None else min(last, last_stored())
        yield _resume_event(response, root_path, last)


def _resume_event(response: ResponseObject, root_path: str, last: int) -> Event:
    # It repeats the last sequence number, so that a client that counts events resumes at the right one.
    url = f"{root_path}/v1/responses/{response['id']}?stream=true&starting_after={last}"
    unfinished = {**as_answered(response), "output": []}
    return {"type": "response.in_progress", "sequence_number": last, "response": unfinished, "resume": url}


def _room(response: ResponseObject) -> float:
    """Return bytes; infinite unless the stream is buffered and resumable."""
    invocation = current_invocation.get()
    if invocation is None or not invocation.buffered or not response["store"]:
        return math.inf
    return bounds.ANSWER - bounds.WITHOUT_OUTPUT - 1_000


def _size(event: Event) -> int:
    names = len(event["type"]) + len(str(event["sequence_number"]))
    return bounds.size(event) + names + 26  # `id:`, `event:`, `data:` and line breaks


async def wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def encode_data(value: Any, name: str = "") -> bytes:
    """Return an event without an id."""
    begin = b"event: %b\n" % name.encode() if name else b""
    return b"%bdata: %b\n\n" % (begin, to_json_bytes(value))


def encode_event(event: Event) -> bytes:
    # Who reconnects sends the last id as the header Last-Event-ID, as browsers do by themselves.
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        event["sequence_number"],
        event["type"].encode(),
        to_json_bytes(event),
    )
