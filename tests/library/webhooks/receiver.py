"""A webhook's receiver on loopback, which keeps what it gets and answers what it is told to."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agency_lambda.testing.aws import serving


class Handler(BaseHTTPRequestHandler):
    server: "Receiver"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer is None:  # never
            self.server.released.wait(30)
            return
        self.send_response(answer)
        self.send_header("location", self.server.elsewhere)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *arguments: Any) -> None: ...


class Receiver(ThreadingHTTPServer):
    """received: (path, headers, body) of each request. answers: the next statuses, None for no answer; 200 after those.

    elsewhere: where its redirects lead. names: that clients have asked for by SNI.
    """

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int | None] = []
        self.elsewhere, self.released, self.names = "", threading.Event(), list[str | None]()
        if context:
            context.sni_callback = lambda _, name, __: self.names.append(name)  # type: ignore[assignment, return-value]
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?a=b"

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.received]

    def handle_error(self, *arguments: Any) -> None: ...


@contextmanager
def receiver(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    server = Receiver(context)
    with serving(server):
        yield server
        server.released.set()
