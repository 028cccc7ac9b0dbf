"""The document for generators of clients: the service's own routes, and what an adopter's routes get."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from agency_lambda.openapi.examples import EXAMPLES
from agency_lambda.openapi.operations import OPERATIONS
from agency_lambda.protocol import item_builder
from agency_lambda.protocol.items import encode_compaction, parse_items
from agency_lambda.protocol.response_object import FINAL, end_event
from agency_lambda.runs.event_log import EventLog
from agency_lambda.settings import get_settings
from agency_lambda.testing.events import Context, http_event
from tests.library.asgi import ask
from tests.library.conftest import Service
from tests.library.paths import ROOT

KEY = "al_alice-key"


@pytest.fixture
def create_app(clean_environment: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
    """create_app(NAME=value, ...) -> the app of the service with these settings."""

    def create(**variables: str) -> FastAPI:
        for name, value in {"API_KEYS": f"alice:{sha256(KEY.encode()).hexdigest()}", **variables}.items():
            clean_environment.setenv(name, value)
        get_settings.cache_clear()
        from agency_lambda.app import create_app

        return create_app()

    return create


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def schema_of(operation: dict[str, Any], status: str = "200", kind: str = "application/json") -> Any:
    return operation["responses"][status]["content"][kind]["schema"]


def test_every_route_has_the_types_of_its_answers(create_app: Callable[..., FastAPI]) -> None:
    document = create_app().openapi()
    there = {f"{method.upper()} {path}" for method, path, _ in operations(document)}
    listed = [route for routes in OPERATIONS.values() for route in routes]
    assert there == {*listed}, "openapi/operations.py lists the service's routes"
    for _, path, operation in operations(document):
        contents = operation["responses"]["200"]["content"]
        if "application/octet-stream" not in contents:
            assert [each["schema"].keys() for each in contents.values()] == [{"$ref"}] * len(contents) != [], path


def test_the_file_is_what_the_routes_are_now(create_app: Callable[..., FastAPI]) -> None:
    app = create_app()
    written = (ROOT / "docs" / "openapi.json").read_text()
    now = json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"
    assert written == now, "docs/openapi.json is not that of these routes: `make openapi` writes it"


LINKS = {"file_id", "file_url"}  # of a part: they depend on settings, and on what is kept


def samples(schema: Any, schemas: dict[str, Any]) -> list[Any]:
    """Return values with every field: one of each alternative."""
    if "$ref" in schema:
        return samples(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return [each for one in alternatives for each in samples(one, schemas) if each is not None]
    if "const" in schema or "enum" in schema:
        return [schema.get("const", schema.get("enum", [None])[0])]
    if "properties" in schema:
        left_out = LINKS if "detail" in schema["properties"] else {}
        fields = {name: samples(each, schemas) for name, each in schema["properties"].items() if name not in left_out}
        most = max(map(len, fields.values()))
        return [{name: each[number % len(each)] for name, each in fields.items() if each} for number in range(most)]
    if schema.get("type") == "array":
        return [samples(schema["items"], schemas)] if schema["items"] else [[]]
    plain = {"string": "{}", "integer": 1, "number": 1, "boolean": True, "object": {}, "null": None}
    return [plain[schema["type"]]]


def test_items_with_every_field_of_the_document_are_accepted(create_app: Callable[..., FastAPI]) -> None:
    schemas = create_app().openapi()["components"]["schemas"]
    items = samples(schemas["ItemParam"], schemas)
    assert len(items) >= 8
    data = {"image_url": "data:image/png;base64,iVBORw0KGgo=", "file_data": "data:text/plain;base64,aGk="}
    for item in items:
        for part in [*parts_of(item, "content"), *parts_of(item, "output")]:
            part |= {name: value for name, value in data.items() if name in part}
        if item["type"] == "compaction":
            item["encrypted_content"] = encode_compaction("So far.", [])["encrypted_content"]
        assert parse_items([item]), item


def parts_of(item: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [part for part in item.get(name, ()) if isinstance(part, dict)]


@pytest.mark.parametrize(
    "body",
    [
        {"reasoning": {"effort": "low", "unknown": 1}},
        {"text": {"verbosity": "low", "unknown": 1}},
        {"text": {"format": {"type": "text", "unknown": 1}}},
        {"text": {"format": {"type": "json_object", "unknown": 1}}},
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "unknown": 1}}},
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f", "unknown": 1}},
        {"tools": [{"type": "function", "name": "f", "unknown": 1}]},
        {"stream_options": {"unknown": 1}},
        {"conversation": {"id": "conv_1", "unknown": 1}},
        {"unknown": 1},
    ],
)
def test_the_document_is_closed_where_the_service_refuses(service: Service, body: dict[str, Any]) -> None:
    document: Any = service.get("/openapi.json")[1]
    asked = {"model": "letters", "input": "x", **body}
    schema = {"$ref": "#/components/schemas/CreateResponse", "components": document["components"]}
    assert not Draft202012Validator(schema).is_valid(asked)
    assert Draft202012Validator(schema).is_valid(without(asked))
    status, answer = service.post("/v1/responses", asked)
    assert (status, answer["error"]["code"]) == (400, "unsupported_parameter")


def without(value: Any) -> Any:
    """Return the body without what is unknown."""
    if isinstance(value, list):
        return [without(each) for each in value]
    return (
        {name: without(each) for name, each in value.items() if name != "unknown"} if isinstance(value, dict) else value
    )


@pytest.mark.parametrize("route", EXAMPLES)
def test_examples_are_accepted(service: Service, route: str) -> None:
    method, path = route.replace("{owner}", "alice").split()
    for name, body in EXAMPLES[route].items():
        known = {"model": "letters"} if "model" in body else {}
        answer = service.handler(http_event(method, path, body | known), Context(60))
        assert answer["statusCode"] == (404 if "{" in path else 200), (name, answer["body"])


def test_names_in_clients_are_unique_and_of_one_form(create_app: Callable[..., FastAPI]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(create_app().openapi())]
    assert len({*names}) == len(names)
    assert not [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name)]


def test_it_is_a_valid_document(create_app: Callable[..., FastAPI]) -> None:
    document: Any = create_app().openapi()
    OpenAPIV31SpecValidator(document).validate()


def test_every_reference_leads_somewhere(create_app: Callable[..., FastAPI]) -> None:
    document = create_app().openapi()
    schemas = document["components"]["schemas"]
    found = set(references(document))
    parts = ((part, name) for part in ("schemas", "responses") for name in document["components"][part])
    assert found == {reference(f"{part}/{name}")["$ref"] for part, name in parts}
    assert not [name for name in schemas if "__" in name]  # of two types with one name


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{name}"}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = value.values()
    elif not isinstance(value, list):
        return
    for each in value:
        yield from references(each)


def test_the_two_shapes_of_failures_are_told_apart(create_app: Callable[..., FastAPI]) -> None:
    app = create_app()
    app.post("/own/{number}")(own)
    others = {route for routes in OPERATIONS.values() for route, each in routes.items() if each.failure}
    for method, path, operation in operations(app.openapi()):
        if f"{method.upper()} {path}" in others:
            continue
        shape = "OpenAIFailureAnswer" if path.startswith("/v1/") else "FailureAnswer"
        failures = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "401", "403", "404", "409", "413", "415", "422", "500", "503"} <= failures, path
        assert all(operation["responses"][status] == reference(f"responses/{shape}{status}") for status in failures)


async def own(number: int) -> None:
    return


def test_every_route_but_health_says_that_it_needs_a_key(create_app: Callable[..., FastAPI]) -> None:
    app = create_app()
    app.get("/own/{number}")(own)
    document = app.openapi()
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    for _, path, operation in operations(document):
        assert operation.get("security") == (None if path == "/health" else [{"ApiKey": []}]), path


def test_with_iam_it_names_the_signature(create_app: Callable[..., FastAPI]) -> None:
    document = create_app(AUTH="iam", AWS_LAMBDA_FUNCTION_NAME="api", API_KEYS="").openapi()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["x-amazon-apigateway-authtype"] == "awsSigv4"


def test_on_lambda_there_is_none_unless_it_is_asked_for(create_app: Callable[..., FastAPI]) -> None:
    key = [(b"authorization", f"Bearer {KEY}".encode())]
    assert ask(create_app(AWS_LAMBDA_FUNCTION_NAME="api"), "/openapi.json", key).status == 404
    app = create_app(AWS_LAMBDA_FUNCTION_NAME="api", DOCS="1")
    app.get("/own/{number}")(own)
    answer = ask(app, "/openapi.json")
    assert (answer.status, "/own/{number}" in answer.body["paths"]) == (200, True)
    assert ask(app, "/docs", key).status == 404  # its scripts would come from elsewhere


def test_it_may_be_left_out_everywhere(create_app: Callable[..., FastAPI]) -> None:
    app = create_app(DOCS="0", API_KEYS="", AUTH="none")
    assert [ask(app, path).status for path in ("/openapi.json", "/docs", "/health")] == [404, 404, 200]


def test_events_of_the_document_are_those_that_are_sent() -> None:
    union = json.loads((ROOT / "docs" / "openapi.json").read_text())["components"]["schemas"]["ResponseStreamEvent"]
    source = "".join(map(inspect.getsource, (item_builder, EventLog)))
    sent = {*re.findall(r'"(response\.[a-z_.]+)"', source), *map(end_event, FINAL)}
    assert union["discriminator"]["mapping"].keys() == sent
