"""An ASGI response streamed to Lambda: a prelude, the body in chunks, and trailers after an error."""

import asyncio
import json
import logging
from base64 import b64encode
from contextlib import suppress
from typing import Any

from lambda_loop.asgi import Message
from lambda_loop.runtime.api import error_payload
from lambda_loop.runtime.context import Context

logger = logging.getLogger(__name__)
_HEAD = (
    "POST /2018-06-01/runtime/invocation/{request_id}/response HTTP/1.1\r\n"
    "Host: {address}\r\n"
    "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
    "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
    "Transfer-Encoding: chunked\r\n"
    "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
    "\r\n"
)
_BUFFER = 64 * 1024  # bytes that wait for a slow reader, before the app does
_MARGIN = 0.1  # seconds of the invocation that are not waited for a reader
_TRAILERS = 3500  # bytes: servers written in Go, as Lambda's is, refuse 4 KB of them


class CutOff(Exception):
    """The response ended before it was complete."""


class StreamedResponse:
    """One response. Call `end` in any case."""

    def __init__(self, address: str, context: Context, *, separate_cookies: bool) -> None:
        # separate_cookies: the prelude has a list of them, as for events of version 2.0
        self._address, self._context, self._separate_cookies = address, context, separate_cookies
        self._request_id = context.aws_request_id
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._complete = False

    @property
    def started(self) -> bool:
        """Return whether Lambda has a status, so that no error can be reported."""
        return self._writer is not None

    async def send(self, message: Message) -> None:
        """Send an ASGI message. Raises OSError when Lambda takes no more."""
        if message["type"] == "http.response.start":
            prelude = _prelude(message, separate_cookies=self._separate_cookies)  # first: it may fail
            await self._connect()
            await self._send_chunk(prelude)
        elif message["type"] == "http.response.body":
            await self._send_chunk(message.get("body", b""))
            self._complete = not message.get("more_body", False)

    async def end(self, error: BaseException | None = None) -> None:
        """Send the last chunk, with the error in trailers, and read Lambda's answer."""
        if self._writer is None or self._reader is None:
            return
        if error is None and not self._complete:
            error = CutOff("The answer broke off before its end.")
        try:
            async with asyncio.timeout(self._seconds_left()):
                self._writer.write(b"0\r\n" + (_trailers(error) if error else b"") + b"\r\n")
                await self._writer.drain()
                await self._read_answer(self._reader)
        except (OSError, EOFError) as failure:  # TimeoutError is one
            logger.error("request %s: Lambda did not take the answer to its end: %r", self._request_id, failure)
        finally:
            self._writer.transport.abort()
            with suppress(OSError):
                await self._writer.wait_closed()  # else it stays open until the loop runs again, in a later invocation

    def _seconds_left(self) -> float:
        return max(self._context.get_remaining_time_in_millis() / 1000 - _MARGIN, _MARGIN)

    async def _connect(self) -> None:
        host, _, port = self._address.rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        self._writer.transport.set_write_buffer_limits(high=_BUFFER)
        self._writer.write(_HEAD.format(request_id=self._request_id, address=self._address).encode())

    async def _send_chunk(self, data: bytes) -> None:
        if data and self._writer:  # an empty chunk would be the last
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self._writer.drain()

    async def _read_answer(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1]
        if not status.startswith(b"2"):
            body = b""
            with suppress(OSError, TimeoutError):
                body = await asyncio.wait_for(reader.read(500), 0.1)
            logger.error("request %s: Lambda answered %s %r", self._request_id, status.decode(), body)


def _prelude(message: Message, *, separate_cookies: bool) -> bytes:
    values: dict[str, list[str]] = {}
    for name, value in message.get("headers", ()):
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    prelude: dict[str, Any] = {"statusCode": message["status"]}
    if separate_cookies:
        cookies = values.pop("set-cookie", None)
        prelude["headers"] = {name: ", ".join(found) for name, found in values.items()}
        prelude |= {"cookies": cookies} if cookies else {}
    else:
        repeated = {name: found for name, found in values.items() if len(found) > 1}
        prelude["headers"] = {name: found[0] for name, found in values.items() if name not in repeated}
        prelude |= {"multiValueHeaders": repeated} if repeated else {}
    return json.dumps(prelude).encode() + bytes(8)


def _trailers(error: BaseException) -> bytes:
    payload = error_payload(error)
    payload |= {"errorMessage": payload["errorMessage"][:200], "stackTrace": payload["stackTrace"][-20:]}
    while len(body := b64encode(json.dumps(payload).encode())) > _TRAILERS and payload["stackTrace"]:
        del payload["stackTrace"][0]  # the outermost
    trailers = {
        "Lambda-Runtime-Function-Error-Type": payload["errorType"],
        "Lambda-Runtime-Function-Error-Body": body.decode(),
    }
    return "".join(f"{name}: {value}\r\n" for name, value in trailers.items()).encode()
