"""An HTTP client of one connection, which costs little beside what it measures."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple


class Request(NamedTuple):
    """A POST."""

    path: str
    body: bytes
    content_type: str = "application/json"


class Refused(RuntimeError):
    """The answer is no 2xx; the message has it."""


class Client:
    """A connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: Request) -> bytes:
        """Return the body of the answer. Raises Refused."""
        return b"".join([data async for data in self.stream(request)])

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body of the answer as it comes. Raises Refused."""
        head = f"POST {request.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {request.content_type}\r\n"
        self._writer.write(f"{head}content-length: {len(request.body)}\r\n\r\n".encode() + request.body)
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        data = self._chunks() if "chunked" in headers.get("transfer-encoding", "") else self._whole(headers)
        if status.split()[1][0] != "2":
            raise Refused(f"{request.path}: {status}: {b''.join([each async for each in data]).decode()}")
        async for each in data:
            yield each

    async def _whole(self, headers: dict[str, str]) -> AsyncIterator[bytes]:
        yield await self._reader.readexactly(int(headers["content-length"]))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """Yield a client of this port of 127.0.0.1."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


def as_json(path: str, **body: object) -> Request:
    return Request(path, json.dumps(body).encode())
