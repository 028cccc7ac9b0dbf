"""What a route does not know is refused by its name, never dropped in silence: walked over the table of routes."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from handler.routes import ROUTES
from tests.conftest import Service
from tests.events import Context, http_event

MODEL = "agreement-desk"
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/completion"): {"message": "x"},
    ("POST", "/v1/responses"): {"model": MODEL, "input": "x"},
    ("POST", "/v1/responses/compact"): {"model": MODEL, "input": "x"},
    ("POST", "/v1/conversations"): {},
    ("POST", "/v1/conversations/{conversation_id}"): {"metadata": {}},
    ("POST", "/v1/conversations/{conversation_id}/items"): {"items": [{"role": "user", "content": "x"}]},
}
QUERIES = {
    ("GET", "/v1/responses/{response_id}"): "stream=false&starting_after=1",
    ("GET", "/v1/responses/{response_id}/input_items"): "limit=1&order=asc&after=msg_1",
    ("GET", "/v1/conversations/{conversation_id}/items"): "limit=1&order=asc&after=msg_1",
}


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
    assert set(BODIES) | set(QUERIES) <= set(TABLE)
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
    for name in ("foo", "Limit", "include[]", "stream ", "starting_after[]", "x"):
        query = "&".join(filter(None, (known, f"{name.replace(' ', '%20')}=1")))
        refused(sent(service, method, path, query, body), path, "unsupported_parameter", name)
    refused(sent(service, method, path, "empty", body), path, "unsupported_parameter", "empty")


@pytest.mark.parametrize(("method", "path"), QUERIES)
def test_known_ones_are_taken_and_none_twice(service: Service, method: str, path: str) -> None:
    query = QUERIES[method, path]
    assert sent(service, method, path, query)[0] == 404  # there is no x_1; the query is right
    for pair in query.split("&"):
        name = pair.partition("=")[0]
        refused(sent(service, method, path, f"{query}&{pair}"), path, "invalid_request", name)


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_an_unknown_key_of_a_body(service: Service, method: str, path: str) -> None:
    body = BODIES.get((method, path))
    if body is None:
        status, answer = sent(service, method, path, body={"foo": 1})
        assert status == 400
        assert "takes no body" in answer["error"]["message"]
        for nothing in (None, "", "{}", " {} ", "null"):
            assert sent(service, method, path, body=nothing)[0] in (200, 404)
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
