"""A collector of OpenTelemetry's on loopback, which keeps what it gets."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agency_lambda.testing.aws import serving


class Collector(BaseHTTPRequestHandler):
    server: "CollectorServer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.received.append((self.path, dict(self.headers), body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None: ...


class CollectorServer(ThreadingHTTPServer):
    """received: (path, headers, body) of each export that it took. statuses: of its next answers; 200 after those."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Collector)
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[dict[str, Any]]:
        """The spans of all exports, as dictionaries with `attributes` and the resource's `service`."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [
            {
                **_span(span),
                "service": _attributes(resource.resource)["service.name"],
            }
            for _, _, body in self.received
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _span(span: Any) -> dict[str, Any]:
    return {
        "name": span.name,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "started_at": span.start_time_unix_nano / 1e9,
        "ended_at": span.end_time_unix_nano / 1e9,
        "is_client": span.kind == 3,
        "is_error": span.status.code == 2,
        "attributes": _attributes(span),
    }


def _attributes(owner: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in owner.attributes}


def tree(spans: list[dict[str, Any]], parent: str = "") -> list[Any]:
    """Names of spans, each with those below it, in the order of their beginning."""
    found = [
        (span["name"], below) if (below := tree(spans, span["id"])) else span["name"]
        for span in spans
        if span["parent"] == parent
    ]
    return found


@contextmanager
def collector() -> Iterator[CollectorServer]:
    server = CollectorServer()
    with serving(server):
        yield server
