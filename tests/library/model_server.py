"""A model provider on loopback: OpenAI's /v1/responses and /v1/chat/completions, streamed (SSE) or not.

    with ModelServer() as server:                          # generic behaviour of the offline model
    with ModelServer(scripts({"Manager": manager})) as server:   # an agency's own SCRIPT
    with ModelServer([call("add", a=1), "done"]) as server:      # canned answers, one a request, in order
    with ModelServer(lambda request: Failure(429)) as server:    # anything else

    server.base_url, server.requests, server.connections, server.tokens (input, output of all good answers)

An answer is a text, a list of tool calls (name, arguments), Items, or a Failure. `delay` holds back every answer; a
stream waits before its last event for `hold`, and breaks off if that does not come. A text is cut at the limit.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from openai.types.responses import Response

from agency_lambda.framework.models.events import response, stream_events, within
from agency_lambda.framework.offline_model import output_items
from agency_lambda.offline import Plan, Script, decide, read_turn
from tests.library.models.chat_wire import as_items, completion, completion_chunks


@dataclass(frozen=True)
class Failure:
    """An HTTP error with this body; status 0 drops the connection without a word.

    after: events of a good stream to send first, before the connection is dropped.
    """

    status: int
    body: str = '{"error": {"message": "no", "type": "test"}}'
    headers: Mapping[str, str] = field(default_factory=lambda: {"x-should-retry": "false"})
    after: int | None = None


@dataclass(frozen=True)
class Items:
    """An answer of items as they are."""

    items: list[Any]


type Answer = Plan | Items | Failure

_LIMITS = ("max_output_tokens", "max_completion_tokens", "max_tokens")
_PATIENCE = 5.0  # seconds, with a test that does not give the sign that a stream waits for


@dataclass(frozen=True)
class ModelRequest:
    """One request as it arrived. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes = b""

    @property
    def chat(self) -> bool:
        return self.path.endswith("/chat/completions")

    @property
    def items(self) -> list[dict[str, Any]]:
        """The conversation in Responses format, whichever API was asked."""
        return as_items(self.body["messages"]) if self.chat else self.body["input"]

    @property
    def instructions(self) -> str:
        if not self.chat:
            return self.body.get("instructions") or ""
        return "\n".join(str(m["content"]) for m in self.body["messages"] if m["role"] in ("system", "developer"))

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """Function tools: name -> JSON schema of the parameters."""
        found = [tool.get("function", tool) for tool in self.body.get("tools") or []]
        return {tool["name"]: tool["parameters"] for tool in found if "parameters" in tool}


def call(tool: str, **arguments: Any) -> Plan:
    return [(tool, arguments)]


def scripts(by_agent: Mapping[str, Script] = {}) -> Callable[[ModelRequest], Answer]:
    """Plays each agent's script. The agent is the one whose name stands first in the request's instructions."""

    def answer(request: ModelRequest) -> Answer:
        named = [name for name in by_agent if name in request.instructions]
        agent = min(named, key=request.instructions.index, default="model server")
        tools = {} if request.body.get("tool_choice") == "none" else request.tools
        return decide(agent, read_turn(request.items, tools), by_agent.get(agent))

    return answer


class ModelServer:
    """Serves from a thread of its own until the `with` block ends. `answers` may be exchanged while it runs."""

    def __init__(
        self,
        answers: Callable[[ModelRequest], Answer] | Iterable[Answer] | None = None,
        delay: float = 0.0,
        hold: threading.Event | None = None,
    ) -> None:
        canned = iter(answers) if isinstance(answers, Iterable) else None
        self.answer: Callable[[ModelRequest], Answer] = (
            (lambda request: next(canned)) if canned else answers or scripts()  # type: ignore[assignment]
        )
        self.delay = delay  # seconds
        self.hold = hold
        self.requests: list[ModelRequest] = []
        self.connections = 0
        self.tokens = (0, 0)
        self.repeats_ids = False  # every call is `call_0`, as careless servers have it
        self._open: set[socket.socket] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"owner": self}))
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="model-server")

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def _counted(self, answer: Response) -> Response:
        assert answer.usage
        read, written = self.tokens
        self.tokens = (read + answer.usage.input_tokens, written + answer.usage.output_tokens)
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        for connection in list(self._open):
            _drop(connection)
        self._http.server_close()  # joins the threads of the connections


class _Door(BaseHTTPRequestHandler):
    owner: ModelServer
    protocol_version = "HTTP/1.1"  # keep-alive
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    def setup(self) -> None:
        super().setup()
        self.owner.connections += 1
        self.owner._open.add(self.connection)

    def finish(self) -> None:
        self.owner._open.discard(self.connection)
        with suppress(OSError):  # nobody is there to read the rest
            super().finish()
        self.rfile.close()  # it does not, where the client hung up

    def handle(self) -> None:
        with suppress(OSError):  # cut by the client or by the end of the `with` block
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = ModelRequest(self.path, headers, json.loads(raw), raw)
        self.owner.requests.append(request)
        answer = self.owner.answer(request)
        time.sleep(self.owner.delay)
        if not isinstance(answer, Failure):
            self._answer(request, self.owner._counted(self._made(request, answer)))
        elif answer.after is not None:
            self._break_off(request, answer.after)
        elif answer.status == 0:
            self._hang_up()
        else:
            self._send(answer.status, answer.body.encode(), {"Content-Type": "application/json", **answer.headers})

    def _made(self, request: ModelRequest, plan: Plan | Items) -> Response:
        answer = _response(request, plan)
        for item in answer.output if self.owner.repeats_ids else ():
            if item.type == "function_call":
                item.id, item.call_id = "fc_0", "call_0"
        return answer

    def _answer(self, request: ModelRequest, answer: Response) -> None:
        if request.body.get("stream"):
            self._stream([*_sse(request, answer)])
            return
        body = completion(answer) if request.chat else answer.to_dict(mode="json")
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _stream(self, events: list[bytes]) -> None:
        *first, last = events
        self._begin_stream()
        for event in first:
            self._chunk(event)
        if self.owner.hold and not self.owner.hold.wait(_PATIENCE):
            self._hang_up()
            return
        self._chunk(last)
        self._chunk(b"")

    def _break_off(self, request: ModelRequest, after: int) -> None:
        self._begin_stream()
        for _, event in zip(range(after), _sse(request, _response(request, "this will be cut off")), strict=False):
            self._chunk(event)
        self._hang_up()

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        _drop(self.connection)


def _response(request: ModelRequest, plan: Plan | Items) -> Response:
    limit = next((request.body[name] for name in _LIMITS if request.body.get(name)), None)
    said = within(plan, limit) if isinstance(plan, str) and limit else plan
    output = said.items if isinstance(said, Items) else output_items(said, complete=said == plan)
    asked = {name: value for name, value in request.body.items() if not name.startswith("stream")}
    answer = response(request.body["model"], output, len(json.dumps(asked)), len(str(said)))
    assert answer.usage
    answer.usage.input_tokens_details.cached_tokens = answer.usage.input_tokens // 2
    answer.usage.output_tokens_details.reasoning_tokens = answer.usage.output_tokens // 3
    return answer


def _sse(request: ModelRequest, answer: Response) -> Iterator[bytes]:
    if request.chat:
        for chunk in completion_chunks(answer):
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        yield b"data: [DONE]\n\n"
        return
    for event in stream_events(answer):
        yield f"event: {event.type}\ndata: {event.to_json(indent=None)}\n\n".encode()


def _drop(connection: socket.socket) -> None:
    with suppress(OSError):  # the client was faster
        connection.shutdown(socket.SHUT_RDWR)
