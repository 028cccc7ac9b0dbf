"""What api.js and stream.js may ask is what the service's document has. No browser is needed."""

import json
import re
from typing import Any

import pytest

from tests.library.paths import ROOT

FOLDER = ROOT / "src" / "page"
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
_REQUEST = re.compile(r"""(?:json|send)\(\s*"(?P<method>[A-Z]+)",\s*(?P<path>"[^"]*"|`[^`]*`)""")
_EXPORT = re.compile(r"^export (?:const|async function|function) (\w+)", re.MULTILINE)
_ONLY = re.compile(r"(query|body): only\([^,]*, ([^)]*)\)")

type Call = tuple[str, str, set[str], set[str], str]  # method, path, names of query and body, function of the client


def _paths(template: str) -> list[str]:
    """Return the document's paths that a template stands for, with {} for each id."""
    path = "/" + template.strip('"`')
    variants = [path.replace("${admin(isAdmin)}", version) for version in ("v1", "v1/admin")]
    return sorted({re.sub(r"\$\{id\(\w+\)\}", "{}", each) for each in variants})


def _calls() -> list[Call]:
    calls = []
    for statement in re.split(r"\n(?=export )", (FOLDER / "api.js").read_text()):
        requests, function = list(_REQUEST.finditer(statement)), _EXPORT.match(statement)
        for number, request in enumerate(requests):
            end = requests[number + 1].start() if number + 1 < len(requests) else len(statement)
            names = {
                kind: set(re.findall(r'"(\w+)"', each)) for kind, each in _ONLY.findall(statement[request.end() : end])
            }
            assert function, statement
            calls += [
                (request["method"], path, names.get("query", set()), names.get("body", set()), function[1])
                for path in _paths(request["path"])
            ]
    return calls


OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), re.sub(r"\{\w+\}", "{}", path)): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def _query_of(operation: dict[str, Any]) -> set[str]:
    return {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}


def _body_of(operation: dict[str, Any]) -> set[str]:
    content = operation.get("requestBody", {}).get("content", {})
    return {name for each in content.values() for name in _properties(each["schema"])}


def _properties(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _properties(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    parts = [part for name in ("allOf", "anyOf", "oneOf") for part in schema.get(name, [])]
    return set(schema.get("properties", {})).union(*map(_properties, parts))


CALLS = _calls()


def test_every_function_of_the_client_is_read() -> None:
    functions = {*_EXPORT.findall((FOLDER / "api.js").read_text())} - {"send"}
    assert len(functions) > 20
    assert {function for *_, function in CALLS} == functions


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1]}")
def test_a_request_of_the_page_is_an_operation_of_the_service(call: Call) -> None:
    method, path, query, body, _ = call
    operation = OPERATIONS[method, path]
    if not path.startswith("/v1/admin"):
        query = query - {"owner"} if "approvals" not in path else query  # for operators
    assert query <= _query_of(operation)
    assert body <= _body_of(operation)


def test_what_follows_a_stream_asks_for_it_as_the_document_says() -> None:
    text = (FOLDER / "stream.js").read_text()
    assert {request["method"] for request in _REQUEST.finditer(text)} == {"POST"}
    assert ("POST", "/v1/responses") in OPERATIONS
    assert "`v1/responses/${encodeURIComponent(id)}`" in text
    (names,) = re.findall(r"const query = \{ (.*) \};", text)
    asked = {each.partition(":")[0] for each in names.split(", ")}
    assert asked <= _query_of(OPERATIONS["GET", "/v1/responses/{}"])
