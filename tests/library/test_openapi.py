"""The document for generators of clients: the service's own routes, and what an adopter's routes get."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Annotated, Any, Literal

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from agency_lambda.openapi import documented, reference
from agency_lambda.settings import get_settings
from tests.library.asgi import ask

HERE = __name__
KEY = "al_alice-key"


class Leaf(BaseModel):
    kind: Literal["leaf"]
    title: str


class Branch(BaseModel):
    kind: Literal["branch"]
    children: "list[Leaf | Branch]"


class Usage(BaseModel):
    """Not the `Usage` of POST /completion."""

    trees: int


type Tree = Annotated[Leaf | Branch, Field(discriminator="kind")]
Node = Annotated[Leaf | Branch, Field(discriminator="kind")]


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


def test_types_that_routes_name_are_schemas(create_app: Callable[..., FastAPI]) -> None:
    app = create_app()
    told = documented(f"{HERE}:Leaf", events=f"{HERE}:Node", accepted=f"{HERE}:Usage", description="A tree")
    body = {"requestBody": {"content": {"application/json": {"schema": reference(f"{HERE}:Tree")}}}}

    @app.post("/trees", responses=told, openapi_extra=body)
    async def plant() -> dict[str, Any]:
        return {}

    document = app.openapi()
    operation, schemas = document["paths"]["/trees"]["post"], document["components"]["schemas"]
    assert schema_of(operation) == {"$ref": "#/components/schemas/Leaf"}
    assert operation["responses"]["200"]["description"] == "A tree"
    assert schema_of(operation, kind="text/event-stream") == {"$ref": "#/components/schemas/Node"}
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Tree"}
    mapping = {"branch": "#/components/schemas/Branch", "leaf": "#/components/schemas/Leaf"}
    for name in ("Node", "Tree"):
        assert schemas[name]["discriminator"] == {"mapping": mapping, "propertyName": "kind"}
    assert schemas["Leaf"]["properties"].keys() == {"kind", "title"}  # a property's name is no title of a schema
    assert schema_of(operation, "202") == {"$ref": "#/components/schemas/UsageOutput"}
    assert schemas["UsageOutput"]["properties"].keys() == {"trees"}
    assert "model_calls" in schemas["Usage"]["properties"]


def test_every_reference_leads_somewhere(create_app: Callable[..., FastAPI]) -> None:
    document = create_app().openapi()
    schemas = document["components"]["schemas"]
    found = set(references(document))
    assert found == {f"#/components/schemas/{name}" for name in schemas}
    assert not [name for name in schemas if "__" in name]  # of two types with one name


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
    for _, path, operation in operations(app.openapi()):
        shape = "OpenAIFailureAnswer" if path.startswith("/v1/") else "FailureAnswer"
        failures = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "401", "403", "404", "409", "413", "422", "500", "503"} <= failures, path
        assert {schema_of(operation, status)["$ref"].rpartition("/")[2] for status in failures} == {shape}, path


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
