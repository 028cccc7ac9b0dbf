"""A server on loopback that keeps every request as its bytes arrived, and answers what openai's client takes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RESPONSE = {
    **{"id": "resp_1", "object": "response", "created_at": 0, "status": "completed", "model": "m", "output": []},
    **{"parallel_tool_calls": True, "tool_choice": "auto", "tools": []},
}
_CHAT = {"id": "chat_1", "object": "chat.completion", "created": 0, "model": "m", "choices": []}

type Recorded = tuple[str, tuple[tuple[str, str], ...], bytes]  # path, headers, body


class RecordingServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Recorded] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: RecordingServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, tuple(self.headers.items()), body))
        streamed = json.loads(body).get("stream")
        whole = json.dumps(_CHAT if "chat" in self.path else _RESPONSE).encode()
        answer = b"data: [DONE]\n\n" if streamed else whole
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    server = RecordingServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
