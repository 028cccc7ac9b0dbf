"""A model on loopback that does what its last message says, word by word, and waits where a test wants it to.

    with Model() as model:                    # model.base_url is for OPENAI_BASE_URL
        model.texts["long"] = "..."           # what `say long` says
        with model.held("Finder"):            # Finder's answers stop after their first word until the block ends
            ...

A message has steps: "look ann & look bob; Finder: look eve & Writer: Checker: look dan; say All are well.". `;` divides
steps, `&` the calls of one step, `:` stands behind a colleague who is asked the rest. `send ann` wants an approval,
`attach x.csv` makes a file, `fail` is the provider's error, `Partner!` hands over.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from agency_lambda.framework.models.events import response, stream_events
from agency_lambda.framework.offline_model import output_items

type Calls = list[tuple[str, dict[str, Any]]]
ERROR = "The provider has an <b>error</b>."
_PATIENCE = 60.0  # seconds, with a test that does not let go


def next_step(agent: str, message: str, outputs: list[str], texts: dict[str, str]) -> str | Calls | None:
    """Return the calls that follow after so many outputs, or what the agent says in the end. None: an error."""
    done = 0
    for step in message.split("; "):
        if step == "fail":
            return None
        if step.startswith("say "):
            said = step.removeprefix("say ")
            return texts.get(said, said)
        if step == f"{agent}!":
            continue
        calls = [_call(action) for action in step.split(" & ")]
        if not all(calls):
            return texts.get(message, f"{agent}: {message}")
        if len(outputs) < (done := done + len(calls)):
            return [call for call in calls if call]
    return f"{agent} has: {', '.join(outputs)}"


def _call(action: str) -> tuple[str, dict[str, Any]] | None:
    colleague, asks, message = action.partition(": ")
    if asks:
        return "send_message", {"recipient_agent": colleague, "message": message, "additional_instructions": ""}
    if action.endswith("!"):
        return f"transfer_to_{action[:-1]}", {"recipient_agent": action[:-1]}
    verb, _, what = action.partition(" ")
    calls = {"look": {"at": what}, "send": {"to": what, "text": "a letter"}, "attach": {"name": what}}
    return (verb, calls[verb]) if verb in calls and what else None


class Model:
    """Serves from a thread of its own until the `with` block ends."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.asked: list[str] = []  # the agents, a name a request
        self._held: dict[str, tuple[threading.Event, int]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"model": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @contextmanager
    def held(self, agent: str, words: int = 1) -> Iterator[threading.Event]:
        """Let the agent's texts stop after so many threes of words until the event is set; with 0 its calls too."""
        event = threading.Event()
        self._held[agent] = event, words
        try:
            yield event
        finally:
            event.set()
            self._held.pop(agent, None)

    def wait(self, agent: str, pieces: int) -> None:
        """Wait where this agent is held."""
        event, after = self._held.get(agent, (None, 0))
        if event and pieces >= after:
            event.wait(_PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for event, _ in self._held.values():
            event.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Door(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        agent = str(body.get("instructions")).partition("You are ")[2].partition(".")[0]
        self.model.asked.append(agent)
        message, outputs = _last_message(body["input"])
        step = next_step(agent, message, outputs, self.model.texts)
        with suppress(OSError):  # the server was killed
            if step is None:
                self._send(400, {"error": {"message": ERROR, "type": "invalid_request_error", "code": "test"}})
            elif body.get("stream"):
                self._stream(agent, body["model"], step)
            else:
                self.model.wait(agent, len(step) if isinstance(step, str) else 0)
                self._send(200, response(body["model"], output_items(step), 400, 40).to_dict(mode="json"))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, agent: str, model: str, step: str | Calls) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = 0
        for event in stream_events(response(model, output_items(step), 400, 40)):
            if event.type in ("response.output_text.delta", "response.output_item.added"):
                self.model.wait(agent, pieces)
                pieces += event.type == "response.output_text.delta"
            self._chunk(f"event: {event.type}\ndata: {event.to_json(indent=None)}\n\n".encode())
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def _last_message(items: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """Return what the agent was asked, and what its tools have answered since."""
    asked = max(number for number, item in enumerate(items) if item.get("role") == "user")
    content = items[asked]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    handed = {item["call_id"] for item in items if str(item.get("name", "")).startswith("transfer_to_")}
    after = [item for item in items[asked:] if item.get("type") == "function_call_output"]
    return text, [str(item["output"]) for item in after if item["call_id"] not in handed]
