"""What FastAPI does not write into the document: failures, security and the types of responses."""

from collections.abc import Collection, Iterator
from typing import Any

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
    422: "The request is not valid, or a guardrail has refused it",
    429: "Too many requests, or a budget is spent",
    500: "The service has failed",
    502: "The model's provider has failed",
    503: "Nothing has begun; try again",
    504: "The time of the invocation is over",
}
_FAILURE = "agency_lambda.exception_handlers:FailureAnswer"
_OPENAI_FAILURE = "agency_lambda.exception_handlers:OpenAIFailureAnswer"
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")  # no failure has these shapes
_BEARER = {"type": "http", "scheme": "bearer", "description": "A key of API_KEYS, or a token of JWT_ISSUER"}
_SIGNATURE = {
    **{"type": "apiKey", "in": "header", "name": "Authorization", "description": "A signature with AWS credentials"},
    "x-amazon-apigateway-authtype": "awsSigv4",
}


def complete(document: Document, open_paths: Collection[str], *, iam: bool) -> None:
    """Add to the document of FastAPI. open_paths: need no key. iam: AUTH is "iam"."""
    scheme = "AwsSignature" if iam else "ApiKey"
    components = document.setdefault("components", {})
    components["securitySchemes"] = {scheme: _SIGNATURE if iam else _BEARER}
    for path, operation in _operations(document):
        if path not in open_paths:
            operation["security"] = [{scheme: []}]
        _add_failures(operation["responses"], _OPENAI_FAILURE if path.startswith("/v1/") else _FAILURE)
    schemas = components.setdefault("schemas", {})
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    add_schemas(document)
    components["schemas"] = {name: without_titles(schema) for name, schema in sorted(schemas.items())}
    document["paths"] = without_titles(document["paths"])


def _operations(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _add_failures(responses: dict[str, Any], shape: str) -> None:
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status, description in _FAILURES.items():
        if str(status) not in responses:
            content = {"application/json": {"schema": {"$ref": shape}}}
            responses[str(status)] = {"description": description, "content": content}
