"""What FastAPI does not write into the document: failures, security and the types of responses."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from agency_lambda.exception_handlers import FailureAnswer, OpenAIFailureAnswer
from agency_lambda.openapi.examples import EXAMPLES
from agency_lambda.openapi.files import BINARY
from agency_lambda.openapi.operations import OPERATIONS, Operation
from agency_lambda.openapi.schemas import add_schemas, without_titles

type Document = dict[str, Any]

_FAILURES = {
    400: "The request is not valid; the message names the field",
    401: "No key, or an unknown one",
    403: "This caller may not do it",
    404: "It does not exist, or belongs to another owner",
    405: "The path has other methods",
    409: "It conflicts with what another request has done",
    413: "The body is too large",
    415: "The body is of another type than the route takes",
    422: "The request is not valid, or a guardrail has refused it",
    429: "Too many requests, or a budget is spent",
    500: "The service has failed",
    502: "The model's provider has failed",
    503: "Nothing has begun; try again",
    504: "The time of the invocation is over",
}
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")  # no failure has these shapes
#: types of the openai package in requests, which are open there, while the service refuses unknown fields
CLOSED = (
    *("Reasoning", "ToolChoiceFunction", "ResponseTextConfig"),
    *("ResponseFormatText", "ResponseFormatJSONObject", "ResponseFormatTextJSONSchemaConfig"),
)
_BEARER = {"type": "http", "scheme": "bearer", "description": "A key of API_KEYS, or a token of JWT_ISSUER"}
_SIGNATURE = {
    **{"type": "apiKey", "in": "header", "name": "Authorization", "description": "A signature with AWS credentials"},
    "x-amazon-apigateway-authtype": "awsSigv4",
}

_WHERE = {
    "location": {"description": "Where to ask again", "schema": {"type": "string"}},
    "retry-after": {"description": "After how many seconds", "schema": {"type": "string"}},
}


def complete(document: Document, open_paths: Collection[str], *, iam: bool) -> None:
    """Add to the document of FastAPI. open_paths: need no key. iam: AUTH is "iam"."""
    scheme = "AwsSignature" if iam else "ApiKey"
    components = document.setdefault("components", {})
    components["securitySchemes"] = {scheme: _SIGNATURE if iam else _BEARER}
    known = {route: (tag, each) for tag, routes in OPERATIONS.items() for route, each in routes.items()}
    shapes = set[Any]()
    for method, path, fields in _operations(document):
        if path not in open_paths:
            fields["security"] = [{scheme: []}]
        if found := known.get(f"{method} {path}"):
            _describe(fields, *found)
            _add_examples(fields, EXAMPLES.get(f"{method} {path}", {}))
        shape = found[1].failure if found else None
        shapes.add(shape := shape or (OpenAIFailureAnswer if path.startswith("/v1/") else FailureAnswer))
        _add_failures(fields["responses"], shape)
    components["responses"] = dict(sorted(each for shape in shapes for each in _failures_of(shape)))
    schemas = components.setdefault("schemas", {})
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    add_schemas(document)
    for name in CLOSED:
        schemas[name]["additionalProperties"] = False
    components["schemas"] = {name: without_titles(schema) for name, schema in sorted(schemas.items())}
    document["paths"] = without_titles(dict(sorted(document["paths"].items())))


def _operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, fields in methods.items():
            yield method.upper(), path, fields


def _describe(fields: dict[str, Any], tag: str, operation: Operation) -> None:
    """Add what the table says to an operation of the document."""
    fields |= {"tags": [tag], "operationId": operation.name}
    fields["summary"] = re.split(r"\. |: |; |\.$|\n", fields["description"], maxsplit=1)[0]
    if operation.request is not None:
        content = {"application/json": {"schema": {"$ref": operation.request}}}
        fields.setdefault("requestBody", {"required": True})["content"] = content
    if operation.body is not None:
        fields["responses"]["200"]["content"] = {"application/json": {"schema": {"$ref": operation.body}}}
    elif operation.event is not None:
        fields["responses"]["200"]["content"] = {}
    if operation.downloads:
        fields["responses"]["200"]["content"] = BINARY
    if operation.event is not None:
        fields["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"$ref": operation.event}}
        fields["responses"]["200"]["description"] = "The whole answer; of a stream, the `data` of each event"
    if operation.accepted is not None:
        content = {"application/json": {"schema": {"$ref": operation.accepted}}}
        fields["responses"]["202"] = {"description": "The run goes on", "content": content, "headers": _WHERE}


def _add_examples(fields: dict[str, Any], examples: dict[str, Any]) -> None:
    if examples:
        named = {name: {"value": body} for name, body in examples.items()}
        fields["requestBody"]["content"]["application/json"]["examples"] = named


def _add_failures(responses: dict[str, Any], shape: Any) -> None:
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status in _FAILURES:
        if str(status) not in responses:
            responses[str(status)] = {"$ref": f"#/components/responses/{_failure_name(shape, status)}"}


def _failures_of(shape: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, description in _FAILURES.items():
        content = {"application/json": {"schema": {"$ref": shape}}}
        yield _failure_name(shape, status), {"description": description, "content": content}


def _failure_name(shape: Any, status: int) -> str:
    return f"{shape.__name__}{status}"
