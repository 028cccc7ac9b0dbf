"""A REST API on loopback, for tools made from an OpenAPI schema: `GET /task/7?fields=name`, with a bearer token."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "token-of-the-rest-server"
TASK = {"id": 7, "name": "a parcel for Oslo"}
GET_TASK = {
    "operationId": "getTask",
    "description": "One task.",
    "parameters": [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "fields", "in": "query", "required": True, "schema": {"type": "string"}},
    ],
    "responses": {},
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["authorization"] == f"Bearer {TOKEN}" and self.path == "/task/7?fields=name"
        body = json.dumps({"task": TASK} if known else {"error": self.path}).encode()
        self.send_response(200 if known else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def rest_server() -> Iterator[dict[str, object]]:
    """Yield the OpenAPI schema of the running server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield {"openapi": "3.1.0", "servers": [{"url": url}], "paths": {"/task/{id}": {"get": GET_TASK}}}
        server.shutdown()
