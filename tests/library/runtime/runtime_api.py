"""Lambda's Runtime API on loopback, strict: every misuse of the protocol is written down in `violations`.

    with RuntimeApi() as api:
        ...start a client with AWS_LAMBDA_RUNTIME_API=api.address...
        invocation = api.invoke(event)         # waits for its end
        invocation.status, invocation.pairs, invocation.body, invocation.trailers, invocation.error
    assert api.violations == []

A `Reader` says how Lambda takes the answer: it may stop for a while, leave in the middle, or refuse.
"""

import json
import queue
import socket
import struct
import threading
import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Self

_RUNTIME = "/2018-06-01/runtime"
_TYPE, _BODY = "lambda-runtime-function-error-type", "lambda-runtime-function-error-body"
_TRAILERS = 4096  # bytes: what servers written in Go, as Lambda's is, take
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:api:live"


@dataclass
class Reader:
    """stop_at: after so many bytes of the answer it reads nothing until `go_on` is set. leave_at: it resets the
    connection there. refuse: the status in place of 202. early: it is said before the answer is read.
    """

    stop_at: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)
    leave_at: int | None = None
    refuse: int = 0
    early: bool = False


@dataclass
class Invocation:
    """An event, and what came of it. chunks: when each came, and its bytes. error: the body of `/error`."""

    request_id: str
    event: bytes
    headers: dict[str, str]
    deadline: float  # by time.time()
    reader: Reader
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    error_type: str = ""
    ended: float = 0.0  # by time.time()
    over: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float = 20) -> Self:
        """Until it was answered, or has failed."""
        assert self.over.wait(seconds), f"no answer within {seconds} s"
        return self

    @property
    def prelude(self) -> dict[str, Any]:
        """Status and headers, as they were sent."""
        head, _ = self._parts()
        prelude: dict[str, Any] = json.loads(head)
        return prelude

    @property
    def status(self) -> int:
        return int(self.prelude["statusCode"])

    @property
    def body(self) -> bytes:
        return self._parts()[1]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every header, as a client of API Gateway would see them, sorted."""
        prelude = self.prelude
        several = {**prelude.get("multiValueHeaders", {}), "set-cookie": prelude.get("cookies", [])}
        if "set-cookie" in prelude.get("multiValueHeaders", {}):
            several["set-cookie"] = prelude["multiValueHeaders"]["set-cookie"]
        single = [(name, value) for name, value in prelude.get("headers", {}).items()]
        return sorted(single + [(name, value) for name, values in several.items() for value in values])

    @property
    def cut(self) -> dict[str, Any] | None:
        """The error in the trailers."""
        error: dict[str, Any] | None = json.loads(b64decode(self.trailers[_BODY])) if self.trailers else None
        return error

    def _parts(self) -> tuple[bytes, bytes]:
        head, _, body = b"".join(data for _, data in self.chunks).partition(bytes(8))
        return head, body


class RuntimeApi:
    """Serves from threads of its own until the `with` block ends.

    snap_start: `/restore/next` is expected before the first `/next`; `snapshot` is set when it is asked, and it is
    answered when `restore` is set. log: the questions in their order. small: the connections have small buffers.
    """

    def __init__(self, *, snap_start: bool = False, small: bool = False) -> None:
        self.violations: list[str] = []
        self.log: list[str] = []
        self.init_error: dict[str, Any] | None = None
        self.restore_error: dict[str, Any] | None = None
        self.error_type = ""  # header of the two
        self.snapshot, self.restore, self.ready = threading.Event(), threading.Event(), threading.Event()
        self.restore.set()
        self.ending = False
        self._snap_start, self._restored = snap_start, False
        self._current: Invocation | None = None
        self._waiting: queue.Queue[Invocation | None] = queue.Queue()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket()
        if small:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending = True
        self.restore.set()
        self._waiting.put(None)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def begin(
        self, event: Any, seconds: float = 20, reader: Reader | None = None, request_id: str = "", **headers: str
    ) -> Invocation:
        """Hand out an event (bytes as they are, anything else as JSON). headers: of the Runtime API, `_` for `-`."""
        request_id, deadline = request_id or str(uuid.uuid4()), time.time() + seconds
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(1000 * deadline)),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Trace-Id": f"Root=1-5bef4de7-{request_id[-12:]:0>24};Parent=9a9197af755a6419;Sampled=1",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        invocation = Invocation(request_id, body, headers, deadline, reader or Reader())
        self._waiting.put(invocation)
        return invocation

    def invoke(self, event: Any, seconds: float = 20, reader: Reader | None = None, **headers: str) -> Invocation:
        """Hand out an event, and wait until it is answered."""
        return self.begin(event, seconds, reader, **headers).wait(seconds + 10)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the end
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        exchange = Exchange(connection, self._complain)
        with connection, exchange.stream:
            try:
                while exchange.read_head():
                    self._check_head(exchange)
                    self._route(exchange)
            except (OSError, EOFError, ValueError) as error:
                if not self.ending and not isinstance(error, Left):
                    self._complain(f"{exchange.line}: {error!r}")
            finally:
                self._open.discard(connection)
                with suppress(OSError):
                    exchange.stream.close()

    def _complain(self, text: str) -> None:
        self.violations.append(text)

    def _check_head(self, exchange: "Exchange") -> None:
        if exchange.headers.get("host") != self.address:
            self._complain(f"{exchange.line}: Host is {exchange.headers.get('host')}")
        if not exchange.line.endswith(" HTTP/1.1"):
            self._complain(f"{exchange.line}: not HTTP/1.1")

    def _route(self, exchange: "Exchange") -> None:
        method, path, _ = exchange.line.split(" ")
        self.log.append(f"{method} {path.removeprefix(_RUNTIME)}")
        last = path.removeprefix(_RUNTIME).split("/")[1:]
        match method, last:
            case "GET", ["invocation", "next"]:
                self._next(exchange)
            case "GET", ["restore", "next"]:
                self._restore_next(exchange)
            case "POST", ["init", "error"]:
                self.init_error = self._start_failed(exchange, self.ready.is_set() or self._restored)
            case "POST", ["restore", "error"]:
                self.restore_error = self._start_failed(exchange, self.ready.is_set() or not self._restored)
            case "POST", ["invocation", request_id, "error"]:
                self._failed(exchange, request_id)
            case "POST", ["invocation", request_id, "response"]:
                self._answered(exchange, request_id)
            case _:
                self._complain(f"{exchange.line}: there is no such path")
                exchange.answer(404)

    def _next(self, exchange: "Exchange") -> None:
        if self._current is not None:
            self._complain(f"/next while {self._current.request_id} is not answered")
        if self._snap_start and not self._restored:
            self._complain("/next before /restore/next")
        self._no_body(exchange)
        self.ready.set()
        invocation = self._waiting.get()
        if invocation is None:
            self._waiting.put(None)
            exchange.hang_up()
        self._current = invocation
        exchange.answer(200, invocation.event, {"Content-Type": "application/json", **invocation.headers})

    def _restore_next(self, exchange: "Exchange") -> None:
        if not self._snap_start or self._restored or self.ready.is_set():
            self._complain("/restore/next where it has no place")
        self._no_body(exchange)
        self.snapshot.set()
        self.restore.wait()
        self._restored = True
        exchange.answer(200)

    def _no_body(self, exchange: "Exchange") -> None:
        if exchange.headers.get("content-length", "0") != "0" or "transfer-encoding" in exchange.headers:
            self._complain(f"{exchange.line}: it has a body")

    def _start_failed(self, exchange: "Exchange", misplaced: bool) -> dict[str, Any]:
        if misplaced:
            self._complain(f"{exchange.line} where it has no place")
        error, self.error_type = self._error(exchange)
        exchange.answer(202, b'{"status":"OK"}\n')
        return error

    def _failed(self, exchange: "Exchange", request_id: str) -> None:
        invocation = self._ours(exchange, request_id)
        invocation.error, invocation.error_type = self._error(exchange)
        self._over(invocation)
        exchange.answer(202, b'{"status":"OK"}\n')

    def _error(self, exchange: "Exchange") -> tuple[dict[str, Any], str]:
        error = json.loads(exchange.stream.read(int(exchange.headers["content-length"])))
        shape = {name: type(value) for name, value in error.items()}
        if shape != {"errorMessage": str, "errorType": str, "stackTrace": list}:
            self._complain(f"{exchange.line}: an error of the shape {shape}")
        if not exchange.headers.get(_TYPE):
            self._complain(f"{exchange.line}: no error type")
        return error, exchange.headers.get(_TYPE, "")

    def _ours(self, exchange: "Exchange", request_id: str) -> Invocation:
        invocation = self._current
        if invocation is None or invocation.request_id != request_id:
            self._complain(f"{exchange.line}: {invocation and invocation.request_id} is the one to answer")
            exchange.answer(400, b'{"errorType":"InvalidRequestID"}')
            raise Left
        return invocation

    def _over(self, invocation: Invocation) -> None:
        invocation.ended = time.time()
        if self._current is invocation:  # else the client has given it up
            self._current = None
        invocation.over.set()

    def _answered(self, exchange: "Exchange", request_id: str) -> None:
        invocation = self._ours(exchange, request_id)
        self._check_streaming(exchange)
        reader = invocation.reader
        try:
            if not reader.early:
                invocation.trailers = exchange.read_chunks(invocation.chunks, reader)
                self._check_trailers(exchange, invocation.trailers)
                self._check_prelude(b"".join(data for _, data in invocation.chunks))
        finally:
            self._over(invocation)
        exchange.answer(reader.refuse or 202, b'{"status":"OK"}\n')
        if reader.early:
            exchange.hang_up()

    def _check_streaming(self, exchange: "Exchange") -> None:
        expected = {
            "transfer-encoding": "chunked",
            "content-type": "application/vnd.awslambda.http-integration-response",
            "lambda-runtime-function-response-mode": "streaming",
            "trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
            "host": self.address,
        }
        if exchange.headers != expected:
            self._complain(f"{exchange.line}: the headers are {exchange.headers}")

    def _check_trailers(self, exchange: "Exchange", trailers: Mapping[str, str]) -> None:
        if not trailers:
            return
        if set(trailers) != {_TYPE, _BODY}:
            self._complain(f"{exchange.line}: the trailers are {trailers}")
            return
        error = json.loads(b64decode(trailers[_BODY], validate=True))
        if set(error) != {"errorMessage", "errorType", "stackTrace"} or error["errorType"] != trailers[_TYPE]:
            self._complain(f"{exchange.line}: the error in the trailers is {error}")

    def _check_prelude(self, content: bytes) -> None:
        head, nulls, body = content.partition(bytes(8))
        if not nulls or body.startswith(b"\0"):  # no answer of the tests begins with one
            self._complain(f"a prelude without exactly eight NUL bytes behind it: {content[:200]!r}")
            return
        prelude = json.loads(head)
        if not {"statusCode", "headers"} <= set(prelude) <= {"statusCode", "headers", "multiValueHeaders", "cookies"}:
            self._complain(f"a prelude with {sorted(prelude)}")
        texts = [*prelude["headers"].values(), *prelude.get("cookies", [])]
        texts += [value for values in prelude.get("multiValueHeaders", {}).values() for value in values]
        if type(prelude["statusCode"]) is not int or not all(type(text) is str for text in texts):
            self._complain(f"a prelude with the wrong types: {prelude}")


class Left(ConnectionError):
    """We have hung up."""


class Exchange:
    """Requests on one connection, as they come."""

    def __init__(self, connection: socket.socket, complain: Callable[[str], None]) -> None:
        self._connection, self._complain = connection, complain
        self.stream: BinaryIO = connection.makefile("rb")
        self.line, self.headers = "", dict[str, str]()

    def read_head(self) -> bool:
        """False at the end of the connection."""
        line = self.stream.readline()
        if not line:
            return False
        self.line = line.decode().rstrip("\r\n")
        self.headers = self._fields()[0]
        for name in ("content-length", "transfer-encoding"):
            if self.headers.get(name) == "":
                raise ValueError(f"{name} is empty")
        return True

    def read_chunks(self, chunks: list[tuple[float, bytes]], reader: Reader) -> dict[str, str]:
        """A chunked body, byte by byte; the trailers."""
        read = 0
        while size := int(self._line(), 16):
            data = self._exactly(size)
            if self._exactly(2) != b"\r\n":
                raise ValueError("a chunk without CRLF behind it")
            chunks.append((time.monotonic(), data))
            before, read = read, read + size
            if reader.leave_at is not None and read >= reader.leave_at:
                self.reset()
            if reader.stop_at is not None and before < reader.stop_at <= read:
                reader.go_on.wait(20)
        trailers, length = self._fields()
        if length > _TRAILERS:
            self._complain(f"{length} bytes of trailers")
        return trailers

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """As Go's server writes it."""
        sent = {**(headers or {}), "Content-Length": str(len(body))}
        head = f"HTTP/1.1 {status} Status\r\n" + "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self._connection.sendall(f"{head}\r\n".encode("latin-1") + body)

    def reset(self) -> None:
        """Leave without a word."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def hang_up(self) -> None:
        self.stream.close()
        self._connection.close()
        raise Left

    def _fields(self) -> tuple[dict[str, str], int]:
        fields, length = dict[str, str](), 0
        while line := self._line():
            name, _, value = line.partition(": ")
            length += len(line) + 2
            if name.lower() in fields:
                self._complain(f"{self.line}: {name} twice")
            fields[name.lower()] = value
        return fields, length

    def _line(self) -> str:
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(f"broken off at {line!r}")
        return line[:-2].decode("latin-1")

    def _exactly(self, size: int) -> bytes:
        data = self.stream.read(size)
        if len(data) < size:
            raise EOFError("broken off in a chunk")
        return data
