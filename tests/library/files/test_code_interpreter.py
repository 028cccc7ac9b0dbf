"""Files that the provider's code interpreter writes: fetched before it forgets them, as files of the caller."""

import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage

from agency_lambda import catalogue
from agency_lambda.protocol import bounds
from agency_lambda.testing.events import Context, http_event
from agency_lambda.testing.service import read_events
from tests.library.conftest import Service
from tests.library.files.test_inputs import ANN, BOB, KEYS
from tests.library.files.test_save_file import cited, content
from tests.library.model_server import Failure, Items, ModelServer

CITATION = {
    "type": "container_file_citation",
    "container_id": "cntr_1",
    "file_id": "cfile_1",
    "filename": "plot.csv",
    "start_index": 4,
    "end_index": 12,
}


def message(*annotations: dict[str, Any]) -> Items:
    part = {"type": "output_text", "text": "See plot.csv.", "annotations": list(annotations), "logprobs": []}
    fields = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return Items([ResponseOutputMessage.model_validate({**fields, "content": [part]})])


@function_tool
def look() -> str:
    """Look."""
    return "seen"


class Provider(ModelServer):
    """fetched: paths of files that were asked for. content: of each; None for an error."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(list(answers))
        self.fetched: list[str] = []
        self.content: bytes | None = b"a,b\n"
        provider = self

        def do_GET(handler: BaseHTTPRequestHandler) -> None:
            provider.fetched.append(handler.path)
            assert handler.headers["authorization"] == "Bearer sk-test"
            handler.send_response(200 if provider.content is not None else 404)
            handler.send_header("content-length", str(len(provider.content or b"{}")))
            handler.end_headers()
            handler.wfile.write(provider.content or b"{}")

        self._http.RequestHandlerClass.do_GET = do_GET  # type: ignore[attr-defined]


@pytest.fixture
def served(start: Callable[..., Service], clean_environment: pytest.MonkeyPatch) -> Callable[..., Service]:
    agents = {"desk": lambda: Agency(Agent(name="Solo", instructions=".", tools=[look]))}
    clean_environment.setattr(catalogue, "factories", lambda: agents)

    def serve(server: ModelServer, **settings: str) -> Service:
        return start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url, API_KEYS=KEYS, **settings)

    return serve


def ask(service: Service, **fields: Any) -> tuple[int, Any]:
    return service.post("/v1/responses", {"model": "desk", "input": "Plot it.", **fields}, **ANN)


def test_file_is_fetched_and_is_the_callers(served: Callable[..., Service]) -> None:
    with Provider(message(CITATION)) as server:
        service = served(server)
        status, response = ask(service)
        (citation,) = cited(response)
        assert status == 200
        assert citation == {**CITATION, "file_id": citation["file_id"]}
        assert re.fullmatch("file-[0-9a-f]{32}", citation["file_id"])
        assert server.fetched == ["/v1/containers/cntr_1/files/cfile_1/content"]
        for path in (f"files/{citation['file_id']}", f"containers/cntr_1/files/{citation['file_id']}"):
            assert content(service, f"/v1/{path}/content", **ANN) == (200, "a,b\n")
            assert content(service, f"/v1/{path}/content", **BOB)[0] == 404


def test_ten_files_of_an_answer_are_fetched(served: Callable[..., Service]) -> None:
    found = [{**CITATION, "file_id": f"cfile_{number}"} for number in range(1, 13)]
    with Provider(message(*found)) as server:
        ids = [each["file_id"] for each in cited(ask(served(server))[1])]
        assert (len(server.fetched), [each.partition("_")[0] for each in ids[9:]].count("cfile")) == (10, 2)


def test_stream_cites_what_was_fetched(served: Callable[..., Service]) -> None:
    with Provider(message(CITATION)) as server:
        service = served(server)
        body = {"model": "desk", "input": "Plot it.", "stream": True}
        events = read_events(service.handler(http_event("POST", "/v1/responses", body, **ANN), Context(60))["body"])
        (added,) = [each for each in events if each["type"] == "response.output_text.annotation.added"]
        assert added["annotation"] == cited(events[-1]["response"])[0]
        assert added["annotation"]["file_id"].startswith("file-")
        assert "cfile_1" not in str(events)


@pytest.mark.parametrize("why", ["error", "too large", "no place"])
def test_file_that_cannot_be_had_is_named_as_before(
    served: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    with Provider(message(CITATION)) as server:
        server.content = None if why == "error" else b"a,b\n"
        if why == "too large":
            monkeypatch.setattr(bounds, "FILE", 3)
        service = served(server, **({"AWS_LAMBDA_FUNCTION_NAME": "api"} if why == "no place" else {}))
        status, response = ask(service)
        assert (status, cited(response)) == (200, [CITATION])
        assert len(server.fetched) == (why != "no place")


def test_next_attempt_fetches_no_file_again(served: Callable[..., Service]) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    fields: dict[str, Any] = {"id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"}
    call = ResponseFunctionToolCall(type="function_call", **fields)
    with Provider(Items([*message(CITATION).items, call]), Failure(503), "done") as server:
        service = served(server)
        _, begun = ask(service, background=True)
        for _ in range(2):
            service.handler.run(worker.work(get_run_service(), begun["id"]))
        _, ended = service.get(f"/v1/responses/{begun['id']}", **ANN)
        assert ended["status"] == "completed"
        assert len(server.fetched) == len(service.get("/v1/files", **ANN)[1]["data"]) == 1
        assert "cfile_1" not in str(ended["output"])
