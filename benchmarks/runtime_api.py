"""Lambda's Runtime API in its least form, for where AWS's emulator does not run: events in, answers out."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

PATIENCE = 60  # seconds, for a start and its answer
_ARN = "arn:aws:lambda:eu-central-1:123456789012:function:api"


@contextmanager
def serving() -> Iterator["RuntimeApi"]:
    api = RuntimeApi()
    threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield api
    finally:
        api.shutdown()
        api.server_close()


class RuntimeApi(ThreadingHTTPServer):
    """address: the value of AWS_LAMBDA_RUNTIME_API."""

    daemon_threads = True  # one of them waits for an event that never comes

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.address = f"127.0.0.1:{self.server_port}"
        self.events: Queue[dict[str, Any]] = Queue()
        self.answers: Queue[Any] = Queue()

    def invoke(self, event: dict[str, Any]) -> Any:
        """Return what the function answers.

        Raises:
            queue.Empty: nothing, for too long.
        """
        self.events.put(event)
        return self.answers.get(timeout=PATIENCE)


class _Door(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def handle(self) -> None:
        with suppress(OSError):  # the process has been ended
            super().handle()

    def do_GET(self) -> None:
        event = self.server.events.get()
        told = {
            "Lambda-Runtime-Aws-Request-Id": "1",
            "Lambda-Runtime-Deadline-Ms": str(round(1000 * (time.time() + PATIENCE))),
            "Lambda-Runtime-Invoked-Function-Arn": _ARN,
            "Content-Type": "application/json",
        }
        self._say(200, json.dumps(event).encode(), told)

    def do_POST(self) -> None:
        self.server.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._say(202, b"{}", {})

    def _say(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
