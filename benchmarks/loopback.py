"""A server on loopback that answers every POST with JSON: it stands for Amazon SQS."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

type Answer = Callable[[dict[str, Any]], dict[str, Any]]  # from the body asked to the body answered


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Yield the URL of a server, without a path."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answer(asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def taken(asked: dict[str, Any]) -> dict[str, Any]:
    """SQS: the message is in the queue."""
    return {"MessageId": "1", "MD5OfMessageBody": md5(asked["MessageBody"].encode(), usedforsecurity=False).hexdigest()}
