"""What a route does not know is refused by its name, never dropped in silence: walked over the table of routes."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from agency_lambda.routes import PROTOCOLS, routes_of
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

ROUTES = routes_of(PROTOCOLS, page=False)
MODEL = "letters"
RUN = {"threadId": "t", "runId": "r", "messages": [{"id": "u", "role": "user", "content": "x"}]}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/ag-ui/{agency}"): RUN,
    ("POST", "/ag-ui/{agency}/{agent}"): RUN,
    ("POST", "/completion"): {"message": "x"},
    ("POST", "/v1/responses"): {"model": MODEL, "input": "x"},
    ("POST", "/v1/chat/completions"): {"model": MODEL, "messages": [{"role": "user", "content": "x"}]},
    ("POST", "/v1/responses/compact"): {"model": MODEL, "input": "x"},
    ("POST", "/v1/responses/input_tokens"): {"model": MODEL, "input": "x"},
    ("POST", "/v1/conversations"): {},
    ("POST", "/v1/conversations/{conversation_id}"): {"metadata": {}},
    ("POST", "/v1/conversations/{conversation_id}/items"): {"items": [{"role": "user", "content": "x"}]},
    ("POST", "/v1/approvals/{approval_id}"): {"approve": True},
    ("PUT", "/v1/admin/budgets/{owner}"): {"runs_at_once": 1},
    ("POST", "/{agency}/get_response"): {"message": "x"},
    ("POST", "/{agency}/get_response_stream"): {"message": "x"},
    ("POST", "/{agency}/cancel_response_stream"): {"run_id": "x"},
    ("PUT", "/v1/webhooks"): {"url": "http://localhost/", "events": ["response.completed"]},
    ("POST", "/v1/uploads"): {"bytes": 1, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"},
    ("POST", "/v1/uploads/{upload_id}/complete"): {"part_ids": []},
}
#: bodies that routes read themselves: tests/library/files/test_forms.py, tests/library/protocols/test_mcp.py
OWN_BODIES = {("POST", "/v1/files"), ("POST", "/v1/uploads/{upload_id}/parts"), ("POST", "/mcp")}
_ID = "resp_019a0000000070008000000000000000"  # any that says when it was made
_PAGE = f"limit=1&order=asc&after={_ID}&before={_ID}"
_RUNS = f"{_PAGE}&status=failed&model=x&conversation=x&created_after=1&created_before=2"
QUERIES = {
    ("GET", "/v1/responses"): _RUNS,
    ("GET", "/v1/conversations"): _PAGE.replace("resp", "conv"),
    ("GET", "/v1/webhooks/deliveries"): _PAGE.replace("resp", "evt"),
    ("GET", "/v1/admin/responses"): f"{_RUNS}&owner=x_1",
    ("POST", "/v1/admin/responses/cancel"): "owner=x_1",
    ("GET", "/v1/approvals"): f"{_PAGE.replace('resp', 'mcpr')}&owner=local",
    ("GET", "/v1/approvals/{approval_id}"): "owner=local",
    ("POST", "/v1/approvals/{approval_id}"): "owner=local",
    ("GET", "/v1/responses/{response_id}"): "stream=true&starting_after=1&include_obfuscation=false",
    ("GET", "/v1/responses/{response_id}/input_items"): "limit=1&order=asc&after=msg_1",
    ("GET", "/v1/conversations/{conversation_id}/items"): "limit=1&order=asc&after=msg_1",
    ("GET", "/v1/files"): f"limit=1&order=asc&after={_ID.replace('resp_', 'file-')}&purpose=user_data",
}
_INCLUDE = "include[]=message.output_text.logprobs&include=reasoning.encrypted_content"
for _route in (
    ("GET", "/v1/responses/{response_id}"),
    ("GET", "/v1/responses/{response_id}/input_items"),
    ("GET", "/v1/conversations/{conversation_id}/items"),
    ("POST", "/v1/conversations/{conversation_id}/items"),
    ("GET", "/v1/conversations/{conversation_id}/items/{item_id}"),
):
    QUERIES[_route] = f"{QUERIES[_route]}&{_INCLUDE}" if _route in QUERIES else _INCLUDE
_REQUIRED = {"/v1/admin/responses/cancel": "owner=x_1"}


def routes() -> Iterator[tuple[str, str]]:
    for context in iter_route_contexts(ROUTES):
        yield from ((method, str(context.path)) for method in context.methods or ())


TABLE = sorted(routes())


def sent(service: Service, method: str, path: str, query: str = "", body: Any = None) -> tuple[int, Any]:
    filled = re.sub(r"\{[^}]+\}", "x_1", path)
    return service.send(http_event(method, f"{filled}?{query}" if query else filled, body))


def refused(answer: tuple[int, Any], path: str, code: str, name: str) -> None:
    status, body = answer
    error = body["error"]
    if path.startswith("/v1"):
        assert (status, error["code"], error["param"]) == (400, code, name)
    else:
        assert status in (400, 422)
        assert name in error["message"]


def test_the_table_is_whole() -> None:
    assert len(TABLE) >= 18
    assert set(BODIES) | set(QUERIES) | OWN_BODIES <= set(TABLE)
    with_body = {
        (method, route.path)
        for route in ROUTES
        if isinstance(route, APIRoute) and route.body_field
        for method in route.methods or ()
    }
    assert with_body == set(BODIES)


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_an_unknown_query_parameter(service: Service, method: str, path: str) -> None:
    known = QUERIES.get((method, path), "")
    body = BODIES.get((method, path))
    for name in {"foo", "Limit", "include[]", "stream ", "starting_after[]", "x"} - set(
        re.findall(r"[^&=]+(?==)", known)
    ):
        query = "&".join(filter(None, (known, f"{name.replace(' ', '%20')}=1")))
        refused(sent(service, method, path, query, body), path, "unsupported_parameter", name)
    refused(sent(service, method, path, "empty", body), path, "unsupported_parameter", "empty")


@pytest.mark.parametrize(("method", "path"), QUERIES)
def test_known_ones_are_taken_and_none_twice(service: Service, method: str, path: str) -> None:
    query, body = QUERIES[method, path], BODIES.get((method, path))
    # There is no x_1, or nothing in the list: the query is right.
    assert sent(service, method, path, query, body)[0] == (404 if "{" in path else 200)
    for pair in query.split("&"):
        name = pair.partition("=")[0]
        if name in ("include", "include[]"):  # a list, as clients write it
            assert sent(service, method, path, f"{query}&{pair}", body)[0] == 404
            refused(sent(service, method, path, f"{name}=no.such", body), path, "invalid_request", f"{name}[0]")
            continue
        refused(sent(service, method, path, f"{query}&{pair}", body), path, "invalid_request", name)


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_an_unknown_key_of_a_body(service: Service, method: str, path: str) -> None:
    body = BODIES.get((method, path))
    if (method, path) in OWN_BODIES:
        assert sent(service, method, path, body={"foo": 1})[0] == 400
        return
    if body is None:
        status, answer = sent(service, method, path, body={"foo": 1})
        assert status == 400
        assert "takes no body" in answer["error"]["message"]
        for nothing in (None, "", "{}", " {} ", "null"):
            assert sent(service, method, path, _REQUIRED.get(path, ""), body=nothing)[0] in (200, 404)
        return
    if path.startswith("/ag-ui/"):  # its specification: what a newer client adds does not fail the run
        status, answer = sent(service, method, path, body={**body, "foo": 1})
        assert (status, "x_1" in answer["error"]["message"]) == (404, True)
        return
    refused(sent(service, method, path, body={**body, "foo": 1}), path, "unsupported_parameter", "foo")


def test_a_presigned_url_is_taken(service: Service) -> None:
    """AWS credentials sign in the query too; the gateway reads that, and passes it on."""
    assert service.get("/v1/models?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0")[0] == 200


def test_a_route_that_is_the_users_own_takes_what_it_will(start: Callable[..., Service]) -> None:
    service = start()

    async def own() -> str:
        return "ok"

    app: Any = service.handler.app
    app.add_api_route("/own", own)
    answer = service.handler(http_event("GET", "/own?any=1"), Context())
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, "ok")


# Nested: in every object of a body that has everything

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]},
    {
        "role": "user",
        "content": [{"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,eA=="}],
    },
    {"role": "assistant", "content": [{"type": "output_text", "text": "y"}, {"type": "refusal", "refusal": "no"}]},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "z"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}]},
    {"role": "user", "content": "go on"},
]
WHOLE: dict[str, Any] = {
    "model": MODEL,
    "input": ITEMS,
    "metadata": {"a": "b"},
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    "tool_choice": {"type": "function", "name": "f"},
    "reasoning": {"effort": "low"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
}
#: what is passed on as it is: the client's own words, or a schema, or a part of an item that is shown again
PASSED_ON = ("metadata", "tools[0].parameters", "text.format.schema", "input[6].summary[0]")


def objects(value: Any, path: str = "") -> Iterator[str]:
    """The path of every object in it."""
    if isinstance(value, dict):
        yield path
        for key, each in value.items():
            yield from objects(each, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from objects(each, f"{path}[{number}]")


def with_key(body: dict[str, Any], path: str, key: str, value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(body))
    there: Any = copy
    for step in re.findall(r"[^.\[\]]+", path):
        there = there[int(step) if step.isdigit() else step]
    there[key] = value
    return copy


def is_passed_on(path: str) -> bool:
    return path.startswith(PASSED_ON)


@pytest.mark.parametrize("path", [path for path in objects(WHOLE) if not is_passed_on(path)])
def test_an_unknown_key_in_an_object_of_a_request(service: Service, path: str) -> None:
    for key in ("foo", "Type", "extra_body"):
        body = with_key(WHOLE, path, key, {"bar": 1})
        refused(service.post("/v1/responses", body), "/v1", "unsupported_parameter", f"{path}.{key}".removeprefix("."))
    answer = service.post("/v1/responses", with_key(WHOLE, path, "foo", None))
    assert answer[0] == 200  # null says nothing, and clients send it for what they do not set


@pytest.mark.parametrize("path", [path for path in objects(WHOLE) if is_passed_on(path)])
def test_what_is_the_clients_own_is_passed_on(service: Service, path: str) -> None:
    status, response = service.post("/v1/responses", with_key(WHOLE, path, "foo", "bar"))
    assert status == 200
    shown = {name: response[name] for name in ("metadata", "tools", "text")}
    shown["input"] = service.get(f"/v1/responses/{response['id']}/input_items?order=asc")[1]["data"]
    there: Any = shown
    for step in re.findall(r"[^.\[\]]+", path):
        there = there[int(step) if step.isdigit() else step]
    assert there["foo"] == "bar"


@pytest.mark.parametrize("number", range(len(ITEMS)))
def test_the_items_of_a_conversation_are_read_like_those_of_a_request(service: Service, number: int) -> None:
    item = {**ITEMS[number], "foo": 1}
    for path in ("/v1/conversations", "/v1/conversations/x_1/items"):
        refused(service.post(path, {"items": [item]}), "/v1", "unsupported_parameter", "items[0].foo")


def test_a_reference_to_an_item_and_one_to_a_conversation(service: Service) -> None:
    answered = service.respond("hello")["output"][-1]["id"]
    reference = {"type": "item_reference", "id": answered}
    given: list[Any] = [{**reference, "foo": 1}, {"role": "user", "content": "go on"}]
    refused(service.post("/v1/responses", {**WHOLE, "input": given}), "/v1", "unsupported_parameter", "input[0].foo")
    assert service.post("/v1/responses", {"model": MODEL, "input": [reference, given[1]]})[0] == 200
    conversation = {"id": "conv_1", "foo": 1}
    body = {"model": MODEL, "input": "x", "conversation": conversation}
    assert service.post("/v1/responses", body)[1]["error"]["code"] == "unsupported_parameter"


def test_what_we_have_answered_can_be_sent_back(service: Service) -> None:
    """With the fields of ours, and with the nulls of a client's own classes."""
    output = service.respond("Client Nordwind asks about a date.")["output"]
    assert any("tool" in item for item in output)
    sent = [{**item, "phase": None, "caller": None} for item in output]
    assert service.post("/v1/responses", {"model": MODEL, "input": [*sent, {"role": "user", "content": "x"}]})[0] == 200
