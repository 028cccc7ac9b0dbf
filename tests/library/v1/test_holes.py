"""The holes of Agency Swarm's own `run_fastapi`: ours has none of them, and each has its test here.

Two more are closed by tests elsewhere: no token means open, and a token compared with `!=` (test_auth.py).
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from agency_swarm import Agency, Agent

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelServer, call

Start = Callable[..., Service]
ASK = {"model": "letters", "input": "hello"}
SECRET = "sk-live-account-of-the-provider"


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    """(address, requests that came): what stands in the private network."""
    came: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_caller_chooses_where_our_key_is_sent(start: Start, trap: tuple[str, list[str]]) -> None:
    address, came = trap
    with ModelServer(lambda request: "done") as server:
        service = start(OPENAI_API_KEY=SECRET, OPENAI_BASE_URL=server.base_url)
        for field in ("client_config", "base_url", "extra_body", "metadata"):
            status, _ = service.post("/v1/responses", {**ASK, field: {"base_url": address, "api_key": "x"}})
            assert status == (200 if field == "metadata" else 400)
        assert service.post("/completion", {"message": "x", "client_config": {"base_url": address}})[0] == 422
    assert came == []


def test_no_address_of_the_callers_is_fetched(start: Start, trap: tuple[str, list[str]]) -> None:
    address, came = trap
    parts: list[dict[str, Any]] = [
        {"type": "input_image", "image_url": f"{address}/latest/meta-data"},
        {"type": "input_image", "file_id": "file-of-another-account"},
        {"type": "input_file", "file_url": f"{address}/secret.pdf"},
        {"type": "input_file", "file_id": "file-of-another-account"},
    ]
    with ModelServer(lambda request: "done") as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        for part in parts:
            status, body = service.post("/v1/responses", {**ASK, "input": [{"role": "user", "content": [part]}]})
            refused = (404, "not_found") if "file_id" in part else (400, "unsupported_parameter")
            assert (status, body["error"]["code"]) == refused
            output = [
                {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [part]},
            ]
            assert service.post("/v1/responses", {**ASK, "input": output})[0] == refused[0]
        assert server.requests == []
    assert came == []


def test_no_caller_is_sent_the_instructions(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def desk() -> Agency:
        chief = Agent(name="Chief", instructions="THE-INSTRUCTIONS of Chief", model="one")
        clerk = Agent(name="Clerk", instructions="THE-INSTRUCTIONS of Clerk", model="one")
        return Agency(chief, communication_flows=[chief > clerk], shared_instructions="THE-INSTRUCTIONS of all")

    monkeypatch.setattr("agencies.AGENCIES", {"letters": desk})
    told = call("send_message", recipient_agent="Clerk", message="do it", additional_instructions="")
    with ModelServer([told, "done", "all done"] * 2) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        shown = [
            service.handler(http_event(method, path, body), Context(30))["body"]
            for method, path, body in (
                ("POST", "/v1/responses", {**ASK, "stream": True}),
                ("POST", "/v1/responses", ASK),
                ("GET", "/v1/models", None),
                ("GET", "/agencies", None),
            )
        ]
        assert "THE-INSTRUCTIONS" in json.dumps(server.requests[0].body)
    response = json.loads(shown[1])
    shown.append(service.handler(http_event("GET", f"/v1/responses/{response['id']}"), Context(30))["body"])
    assert "THE-INSTRUCTIONS" not in "".join(shown)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/completion", "/v1/responses"])
def test_what_the_provider_said_reaches_nobody_and_is_no_200(start: Start, stream: bool, path: str) -> None:
    with ModelServer(lambda request: Failure(401, json.dumps({"error": {"message": SECRET}}))) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        body = {"message": "hello"} if path == "/completion" else {**ASK, "stream": stream}
        answer = service.handler(http_event("POST", path, body), Context(30))
    assert SECRET not in json.dumps(answer)
    if stream and path != "/completion":
        assert "response.failed" in answer["body"]
        assert "response.completed" not in answer["body"]
    else:
        assert answer["statusCode"] == 502
        assert answer["headers"]["x-should-retry"] == "false"  # the clients of OpenAI would run the agents again


def test_usage_counts_what_colleagues_colleagues_used(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def desk() -> Agency:
        chief, clerk, aide = (Agent(name=name, instructions=name, model="one") for name in ("Chief", "Clerk", "Aide"))
        return Agency(chief, communication_flows=[chief > clerk, clerk > aide])

    def ask(name: str) -> Any:
        return call("send_message", recipient_agent=name, message="do it", additional_instructions="")

    monkeypatch.setattr("agencies.AGENCIES", {"letters": desk})
    with ModelServer([ask("Clerk"), ask("Aide"), "done", "done", "done"]) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        usage = service.respond("hello")["usage"]
        assert usage["model_calls"] == len(server.requests) == 5
        assert (usage["input_tokens"], usage["output_tokens"]) == server.tokens


def test_no_page_of_another_origin_reads_an_answer(service: Service) -> None:
    for method in ("POST", "OPTIONS"):
        event = http_event(method, "/v1/responses", ASK, origin="https://evil.example")
        headers = service.handler(event, Context(30))["headers"]
        assert not [name for name in headers if name.startswith("access-control-")]
