"""The server: HTTP/1.1 with keep-alive, as little of it as its clients need."""

import asyncio
import json
import sys
import time
from zlib import crc32

from benchmarks.provider import chat, responses
from benchmarks.provider.plan import CLOCK, Say, decide, read

_TICKS, _APART = 20, 0.005  # how many times the clock is told, and seconds between two
_seen = {"calls": 0, "items": 0}  # answers given, and items of the last request


class Connection(asyncio.Protocol):
    """One client. A request is answered at once; a stream of the clock by a task."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, rest = self._read.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if found and len(rest) >= length:  # a client waits for the answer before it asks again
            self._read = b""
            self._answer(head.split(b" ", 2)[1].decode(), rest)

    def _answer(self, path: str, body: bytes) -> None:
        if path == "/seen":
            return self._send(json.dumps(_seen).encode())
        request = json.loads(body)
        asked, model, is_chat = read(request), request["model"], path.endswith("/chat/completions")
        _seen.update(calls=_seen["calls"] + 1, items=asked.items)
        name = f"{asked.items}_{crc32(body):08x}"
        if request.get("stream"):
            usage = (request.get("stream_options") or {}).get("include_usage", False)
            stream = _Chat(model, name, usage) if is_chat else _Responses(model, name)
            return self._stream(stream, asked.text == CLOCK, decide(asked))
        whole = (chat if is_chat else responses).answer(model, name, decide(asked))
        return self._send(json.dumps(whole).encode())

    def _send(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )

    def _stream(self, stream: "_Chat | _Responses", clock: bool, say: Say) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        if clock:
            self._telling = asyncio.create_task(self._tell_the_time(stream))
            return
        text = say if isinstance(say, str) else json.dumps(say[1])
        words = [word + " " for word in text.split(" ")]
        words[-1] = words[-1][:-1]
        tokens = b"".join(stream.token(say, word) for word in words)
        self._end(stream.before(say) + tokens + stream.after(say))

    async def _tell_the_time(self, stream: "_Chat | _Responses") -> None:
        self._write(stream.before(""))
        said = ""
        for _ in range(_TICKS):
            await asyncio.sleep(_APART)
            said += (tick := f"{time.monotonic_ns()} ")
            self._write(stream.token("", tick))
        await asyncio.sleep(_APART)
        self._end(stream.after(said))

    def _write(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _end(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))


class _Responses:
    """The events of one response, as bytes."""

    def __init__(self, model: str, name: str) -> None:
        self._ids, self._number = (model, name), 0

    def before(self, say: Say) -> bytes:
        return self._encode(*responses.before(*self._ids, say))

    def token(self, say: Say, text: str) -> bytes:
        return self._encode(responses.token(self._ids[1], say, text))

    def after(self, say: Say) -> bytes:
        return self._encode(*responses.after(*self._ids, say))

    def _encode(self, *events: responses.Event) -> bytes:
        encoded, self._number = responses.encode(events, self._number)
        return encoded


class _Chat:
    """The chunks of one completion, as bytes."""

    def __init__(self, model: str, name: str, usage: bool) -> None:
        self._ids, self._usage = (model, name), usage

    def before(self, say: Say) -> bytes:
        return chat.before(*self._ids, say)

    def token(self, say: Say, text: str) -> bytes:
        return chat.token(*self._ids, say, text)

    def after(self, say: Say) -> bytes:
        return chat.after(*self._ids, say, self._usage)


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
