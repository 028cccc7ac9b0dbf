"""What the OpenAPI document allows, and what it does not, sent to every operation: no 5xx, and only known shapes."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import TypeAdapter
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from agency_lambda.exception_handlers import FailureAnswer, OpenAIFailureAnswer
from agency_lambda.openapi.mcp import McpFailure
from tests.library.clients.near_items import requests_of_responses
from tests.library.clients.server import MODEL, Server
from tests.library.clients.wire import read_events, well_formed

AGENT = f"{MODEL}/Registrar"
WITHOUT_NEGATIVE = {"GET /agencies", "GET /health", "GET /v1/models", "GET /v1/models/{model}"}  # nothing to get wrong
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def examples(number: int) -> Any:
    """The same ones every time."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def operations(api: httpx.Client) -> list[APIOperation]:
    document = api.get("/openapi.json").json()
    found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    assert len(found) == sum(len(methods) for methods in document["paths"].values()) > 15
    return found


def existing(api: httpx.Client) -> dict[str, str]:
    """Values of path parameters that are there to be found."""
    response = api.post("/v1/responses", json={"model": AGENT, "input": "Hello.", "stream": True})
    conversation = api.post("/v1/conversations", json={"items": [{"role": "user", "content": "Hello."}]}).json()["id"]
    item = api.get(f"/v1/conversations/{conversation}/items").json()["first_id"]
    made = read_events(response.iter_lines())[0]["response"]["id"]
    return {"response_id": made, "conversation_id": conversation, "item_id": item, "model": AGENT}


def error_is_told(path: str, response: Any) -> None:
    shape: Any = OpenAIFailureAnswer if path.startswith("/v1") else FailureAnswer
    if path == "/mcp":
        shape = McpFailure
    TypeAdapter(shape).validate_json(response.content, strict=True)
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation(
    server: Server, api: httpx.Client, operations: list[APIOperation], mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    there = existing(api)
    for operation in operations:
        with subtests.test(operation.label), requests.Session() as session:
            try:
                fuzz(operation, mode, server, session, api, there)
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE
                assert operation.label in WITHOUT_NEGATIVE


def fuzz(
    operation: APIOperation,
    mode: GenerationMode,
    server: Server,
    session: requests.Session,
    api: httpx.Client,
    there: dict[str, str],
) -> None:
    @examples(8)
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def send(case: Case, known: bool) -> None:
        if known:
            found = existing(api) if operation.method == "delete" else there
            case.path_parameters = {name: found.get(name, made) for name, made in case.path_parameters.items()}
            if isinstance(case.body, dict) and "model" in case.body:
                case.body["model"] = AGENT
        case.headers.pop("Authorization", None)
        headers = {"Authorization": f"Bearer {server.key}"}
        answer = case.call(base_url=server.url, session=session, headers=headers, timeout=30)
        streamed = answer.headers["content-type"][0].startswith("text/event-stream")
        case.validate_response(answer, checks=CHECKS[:2] if streamed else CHECKS)
        if answer.status_code >= 400:
            error_is_told(operation.path, answer)

    send()


def test_what_comes_near_to_a_request(api: httpx.Client) -> None:
    """The document says of `input` only that it is a list; this knows what stands in it."""
    answered = []

    @examples(100)
    @given(requests_of_responses(AGENT))
    def send(body: dict[str, Any]) -> None:
        answer = api.post("/v1/responses", json=body)
        assert answer.status_code in (200, 400, 404), answer.text
        if answer.status_code >= 400:
            error_is_told("/v1", answer)
        elif body.get("stream"):
            well_formed(read_events(answer.iter_lines()))
        else:
            assert answer.json()["status"] in ("completed", "incomplete")
        answered.append(answer.status_code)

    send()
    assert answered.count(200) > len(answered) / 5  # else it is only the checks that are tested


def test_no_method_that_is_not_there(api: httpx.Client, operations: list[APIOperation]) -> None:
    methods: dict[str, set[str]] = {}
    for operation in operations:
        methods.setdefault(operation.path, set()).add(operation.method.upper())
    for path, allowed in methods.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            answer = api.request(method, path, json={})  # 404: of `compact` as the id of a response
            refused = (403, 405) if path.startswith("/v1/admin/") else (404, 405)  # 403: of `cancel` as an id
            assert answer.status_code in refused, (method, path)
            error_is_told(path, answer)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/compact"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_called_json(api: httpx.Client, path: str, kind: str) -> None:
    body = f'{{"model": "{AGENT}", "input": "Hello."}}'
    answer = api.post(path, content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("schema", [{"type": "object", "additionalProperties": True}, {"properties": {"a": 1}}])
def test_a_strict_schema_that_cannot_be_strict(api: httpx.Client, schema: Any) -> None:
    tool = {"type": "function", "name": "f", "parameters": schema, "strict": True}
    answer = api.post("/v1/responses", json={"model": AGENT, "input": "Hello.", "tools": [tool]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[0].parameters")


def test_half_of_a_surrogate_pair_in_a_conversation(api: httpx.Client) -> None:
    body = '{"items": [{"role": "user", "content": "\\ud800"}]}'
    headers = {"content-type": "application/json"}
    conversation = api.post("/v1/conversations", json={}).json()["id"]
    for path in ("/v1/conversations", f"/v1/conversations/{conversation}/items"):
        assert api.post(path, content=body, headers=headers).status_code == 400
    assert api.get(f"/v1/conversations/{conversation}/items").json()["data"] == []
