"""Every answer is one of ours: readable by an allowed page, found in the log by its id, and in the error's shape."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse

from agency_lambda import errors, exception_handlers
from agency_lambda.errors import ServiceError
from agency_lambda.protocol.bounds import BODY
from agency_lambda.routes.dependencies import _Caller
from agency_lambda.runs.outcome import error_field, error_from_field
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store.sqlite import SQLiteStore
from agency_lambda.testing.events import Context, alb_event, function_url_event, http_event, rest_event
from tests.library.asgi import ask
from tests.library.conftest import Service

KEY = "k" * 43
ORIGIN = "https://app.example.com"
HEADERS = {"authorization": f"Bearer {KEY}", "origin": ORIGIN}
STATUSES = (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 502, 503, 504)


class _Unforeseen(BaseException):
    """What no framework expects."""


async def raises(request: Request, status: int) -> None:
    raise HTTPException(status, "Said by a route.", {"x-own": "yes"})


async def crashes(request: Request) -> None:
    raise ZeroDivisionError("secret")


async def crashes_beyond_exceptions(request: Request) -> None:
    raise _Unforeseen("secret")


async def is_cancelled(request: Request) -> None:
    raise asyncio.CancelledError


async def sleeps(request: Request) -> None:
    await asyncio.sleep(60)


async def conflicts(request: Request) -> None:
    asyncio.run(asyncio.sleep(0))


async def hides_a_conflict(request: Request) -> str:
    await asyncio.gather(conflicts(request), return_exceptions=True)
    return "all is well"


async def is_late(request: Request) -> None:
    """As a run that another attempt takes up."""
    unfinished = JSONResponse({"id": "resp_1"}, 202, {"location": "/v1/responses/resp_1"})
    _Caller(request)._set_deadline_response({"id": "resp_1"}, lambda response: unfinished)
    await asyncio.sleep(60)


async def drips(request: Request) -> StreamingResponse:
    async def forever() -> Any:
        while True:
            yield b"data: more\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(forever(), media_type="text/event-stream")


def wrong(start: Callable[..., Service], mode: str) -> Service:
    """With routes that go wrong in every way, under /v1 and elsewhere."""
    key = f"anna:{hashlib.sha256(KEY.encode()).hexdigest()}"
    service = start(mode, API_KEYS=key, CORS_ORIGINS=f"{ORIGIN},https://b.example.com")
    app: Any = service.handler.app
    ends = (crashes, crashes_beyond_exceptions, is_cancelled, sleeps, drips, conflicts, hides_a_conflict, is_late)
    for prefix in ("/v1", "/own"):
        app.add_api_route(f"{prefix}/raises/{{status}}", raises)
        for endpoint in ends:
            app.add_api_route(f"{prefix}/{endpoint.__name__}", endpoint)
    return service


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return wrong(start, "patch")


def is_ours(service: Service, answer: dict[str, Any], path: str) -> None:
    """An error in the shape of its path, with the headers that every answer has."""
    has_headers(service, answer)
    error, request_id = json.loads(answer["body"])["error"], answer["headers"]["x-request-id"]
    if f"{path}/".startswith("/v1/"):
        assert error.keys() == {"message", "type", "param", "code"}
    else:
        assert error.keys() == {"message", "type", "request_id"}
        assert error["request_id"] == request_id
    assert "secret" not in answer["body"]


def has_headers(service: Service, answer: dict[str, Any]) -> None:
    headers = answer["headers"]
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-expose-headers"].startswith("x-request-id, location, retry-after")
    assert headers["vary"].lower() == "origin"
    assert headers["x-request-id"] == service.report.request_id == "request-1"


@pytest.mark.parametrize("prefix", ["/v1", "/own"])
def test_whatever_a_route_raises(service: Service, prefix: str) -> None:
    for status in STATUSES:
        path = f"{prefix}/raises/{status}"
        answer = service.handler(http_event("GET", path, **HEADERS), Context())
        assert answer["statusCode"] == status
        is_ours(service, answer, path)
        assert answer["headers"].get("x-own") == (None if status == 405 else "yes")


ENDED = [("crashes", 500), ("crashes_beyond_exceptions", 500), ("is_cancelled", 500), ("sleeps", 504)]


@pytest.mark.parametrize(("name", "status"), ENDED)
@pytest.mark.parametrize("prefix", ["/v1", "/own"])
def test_what_the_loop_answers_when_the_app_does_not(service: Service, prefix: str, name: str, status: int) -> None:
    path = f"{prefix}/{name}"
    answer = service.handler(rest_event("GET", path, **HEADERS), Context(1))
    assert answer["statusCode"] == status == service.report.status
    is_ours(service, answer, path)
    head = service.handler(rest_event("HEAD", path, **HEADERS), Context(1))
    assert (head["statusCode"], head["body"]) == (status, "")
    assert head["headers"] == answer["headers"]


@pytest.mark.parametrize("name", ["conflicts", "hides_a_conflict"])
def test_a_conflict_of_event_loops(start: Callable[..., Service], name: str) -> None:
    service = wrong(start, "strict")
    for path in (f"/v1/{name}", f"/own/{name}"):
        answer = service.handler(http_event("GET", path, **HEADERS), Context())
        assert answer["statusCode"] == 500
        is_ours(service, answer, path)
        error = json.loads(answer["body"])["error"]
        assert "event_loop_conflict" in (error["type"], error.get("code"))


def test_the_service_and_its_middleware(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*args: Any) -> Any:
        raise ZeroDivisionError("secret")

    cases: list[tuple[dict[str, Any], int]] = [
        (http_event("GET", "/nowhere", **HEADERS), 404),
        (http_event("GET", "/v1/responses/resp_1", **HEADERS), 404),
        (http_event("PUT", "/v1/responses", **HEADERS), 405),
        (http_event("GET", "/v1/models", origin=ORIGIN), 401),
        (http_event("GET", "/agencies", **{**HEADERS, "authorization": "Bearer x"}), 401),
        (http_event("POST", "/v1/responses", "{", **HEADERS), 400),
        (http_event("POST", "/v1/responses", {"model": "nobody", "input": "x"}, **HEADERS), 404),
        (http_event("POST", "/completion", {"message": ""}, **HEADERS), 422),
        (http_event("POST", "/completion", "x" * (BODY + 1), **HEADERS), 413),
    ]
    for event, status in cases:
        answer = service.handler(event, Context())
        assert answer["statusCode"] == status, event["rawPath"]
        is_ours(service, answer, event["rawPath"])
    monkeypatch.setattr(Responses, "get", away)
    answer = service.handler(http_event("GET", "/v1/responses/resp_1", **HEADERS), Context())
    assert answer["statusCode"] == 500
    is_ours(service, answer, "/v1/responses/resp_1")


def test_a_success_and_a_stream_have_the_headers_too(service: Service) -> None:
    for event in (
        http_event("GET", "/health", origin=ORIGIN),
        http_event("POST", "/v1/responses", {"model": "letters", "input": "x", "stream": True}, **HEADERS),
    ):
        answer = service.handler(event, Context())
        assert answer["statusCode"] == 200
        has_headers(service, answer)


def test_what_is_answered_late_has_the_headers_too(service: Service) -> None:
    answer = service.handler(http_event("GET", "/own/is_late", **HEADERS), Context(1))
    assert (answer["statusCode"], answer["headers"]["location"]) == (202, "/v1/responses/resp_1")
    has_headers(service, answer)


def test_who_renders_the_failures_may_fail_too(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agency_lambda.exception_handlers._answer", lambda *_, **__: 1 / 0)
    answer = service.handler(http_event("GET", "/own/sleeps", **HEADERS), Context(1))
    error = {"type": "deadline_exceeded", "request_id": "request-1"}
    assert answer["statusCode"] == 504
    assert error.items() <= json.loads(answer["body"])["error"].items()
    assert answer["headers"]["x-request-id"] == "request-1"
    assert "failed to render" in caplog.text


# What a path has

PATHS = {
    "/health": "GET, HEAD, OPTIONS",
    "/completion": "POST, OPTIONS",
    "/v1/responses": "GET, HEAD, POST, OPTIONS",
    "/v1/responses/resp_1": "GET, HEAD, DELETE, OPTIONS",
    "/v1/responses/compact": "GET, HEAD, POST, DELETE, OPTIONS",  # an id may be any word
    "/v1/responses/resp_1/cancel": "POST, OPTIONS",
    "/v1/conversations/conv_1": "GET, HEAD, POST, DELETE, OPTIONS",
    "/v1/conversations/conv_1/items": "GET, HEAD, POST, OPTIONS",
    "/v1/models/a/b": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize(("path", "allow"), PATHS.items())
def test_allow_names_every_method_of_a_path(service: Service, path: str, allow: str) -> None:
    refused = service.handler(http_event("PATCH", path, **HEADERS), Context())
    assert (refused["statusCode"], refused["headers"]["allow"]) == (405, allow)
    is_ours(service, refused, path)
    options = service.handler(http_event("OPTIONS", path, **HEADERS), Context())
    assert (options["statusCode"], options["headers"]["allow"], options["body"]) == (204, allow, "")
    has_headers(service, options)
    for method in ("GET", "HEAD", "POST", "DELETE"):
        found = service.handler(http_event(method, path, {}, **HEADERS), Context())["statusCode"]
        assert (found != 405) == (method in allow.split(", ")), method


EVENTS: list[Callable[..., dict[str, Any]]] = [rest_event, http_event, function_url_event, alb_event]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    "path", ["/health", "/v1/models", "/v1/models/nobody", "/nowhere", "/completion", "/own/drips"]
)
def test_head_is_get_without_a_body(service: Service, path: str, event: Callable[..., dict[str, Any]]) -> None:
    head = service.handler(event("HEAD", path, **HEADERS), Context())
    assert (head["body"], head["isBase64Encoded"]) == ("", False)
    if path == "/own/drips":
        assert head["statusCode"] == 200
        assert service.report.duration_ms < 2000
        assert service.report.leftovers == []
        return
    get = service.handler(event("GET", path, **HEADERS), Context())
    assert get["body"]
    assert {**get, "body": ""} == head


def test_head_needs_a_key_where_get_does(service: Service) -> None:
    assert service.handler(http_event("HEAD", "/health"), Context())["statusCode"] == 200
    assert service.handler(http_event("HEAD", "/v1/models"), Context())["statusCode"] == 401


def test_the_routes_of_the_users_own_routers_are_named_too(service: Service) -> None:
    router, app = APIRouter(prefix="/mine"), service.handler.app
    for method in ("GET", "PUT"):
        router.add_api_route("/{name}", raises, methods=[method])
    app.include_router(router)  # type: ignore[attr-defined]
    answer = service.handler(http_event("PATCH", "/mine/x", **HEADERS), Context())
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, "GET, HEAD, PUT, OPTIONS")
    asked = {"origin": ORIGIN, "access-control-request-method": "PUT"}
    assert service.handler(http_event("OPTIONS", "/mine/x", **asked), Context())["statusCode"] == 200


# Preflights


def test_a_preflight_of_an_allowed_page_needs_no_key_and_says_what_it_may(service: Service) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization,x-a"}
    answer = service.handler(http_event("OPTIONS", "/v1/models", origin="https://b.example.com", **asked), Context())
    headers = answer["headers"]
    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert headers["access-control-allow-origin"] == "https://b.example.com"
    assert "GET" in headers["access-control-allow-methods"].split(", ")
    assert headers["access-control-allow-headers"] == "authorization,x-a"
    assert headers["vary"].split(", ") == [
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
        "Origin",
    ]
    assert headers["x-request-id"] == "request-1"


def test_a_preflight_of_another_page_is_an_error_of_ours(service: Service) -> None:
    for path in ("/v1/models", "/agencies"):
        asked = {"origin": "https://evil.example", "access-control-request-method": "GET"}
        answer = service.handler(http_event("OPTIONS", path, **asked), Context())
        assert answer["statusCode"] == 400
        assert not [name for name in answer["headers"] if name.startswith("access-control")]
        assert json.loads(answer["body"])["error"]["message"].startswith("Pages of this origin may not call")


def test_a_page_that_is_not_allowed_reads_no_failure(service: Service) -> None:
    for path in ("/nowhere", "/own/crashes", "/own/is_cancelled", "/own/raises/503"):
        event = http_event("GET", path, **{**HEADERS, "origin": "https://evil.example"})
        headers = service.handler(event, Context())["headers"]
        assert not [name for name in headers if name.startswith("access-control")]
        assert headers["vary"] == "Origin"  # a cache must not give it to a page that is


def test_without_a_loop_each_answer_has_an_id_of_its_own(service: Service) -> None:
    """Under a server that calls the app itself."""
    app: Any = service.handler.app
    ids = {ask(app, "/health").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


# Whether to repeat


@pytest.mark.parametrize("path", ["/v1/responses", "/completion"])
def test_a_post_is_repeated_by_clients_only_where_nothing_can_have_begun(path: str) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]
    harmless = {errors.StoreUnavailable, errors.FilesUnavailable, errors.SecretUnavailable, errors.IssuerUnavailable}
    assert len(kinds) > 30
    for kind in kinds:
        headers = exception_handlers.error_response({"type": "http", "method": "POST", "path": path}, kind("x")).headers
        if kind in harmless:
            assert "x-should-retry" not in headers
        elif kind.status >= 500:
            assert headers["x-should-retry"] == "false"
            assert "retry-after" not in headers
    again = error_from_field(error_field(errors.StoreUnavailable("x")))
    assert not again.safe_to_retry  # the response of a run that had begun


def test_items_that_may_have_been_added_are_not_added_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/v1/conversations/{service.post('/v1/conversations', {}, **HEADERS)[1]['id']}/items"
    write = SQLiteStore.write

    async def fails_afterwards(self: SQLiteStore, *changes: Any) -> None:
        await write(self, *changes)
        raise errors.StoreUnavailable("The store could not be written.")

    monkeypatch.setattr(SQLiteStore, "write", fails_afterwards)
    event = http_event("POST", path, {"items": [{"role": "user", "content": "x"}]}, **HEADERS)
    answer = service.handler(event, Context())
    assert (answer["statusCode"], answer["headers"].get("x-should-retry")) == (503, "false")
    assert "retry-after" not in answer["headers"]
    created = service.handler(http_event("POST", "/v1/conversations", {}, **HEADERS), Context())
    assert (created["statusCode"], created["headers"].get("x-should-retry")) == (503, None)
    assert int(created["headers"]["retry-after"]) > 0


# Base paths of custom domains


def own(event: dict[str, Any]) -> dict[str, Any]:
    event["requestContext"] |= {"domainName": "api.example.com"}
    return event


@pytest.mark.parametrize("base", ["/agents", "/our/agents", "/v1"])
@pytest.mark.parametrize("event", [http_event, rest_event])
def test_a_base_path_that_the_event_does_not_name(service: Service, base: str, event: Any) -> None:
    def sent(method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(service.handler(own(event(method, f"{base}{path}", body, **HEADERS)), Context()))

    assert sent("GET", "/v1/models")["statusCode"] == 200
    assert sent("GET", "/health")["statusCode"] == 200
    assert sent("PATCH", "/v1/models")["headers"]["allow"] == "GET, HEAD, OPTIONS"
    created = sent("POST", "/v1/conversations", {})
    assert sent("GET", f"/v1/conversations/{json.loads(created['body'])['id']}")["statusCode"] == 200
    assert sent("GET", "/nowhere")["statusCode"] == 404
    for path in ("/v1/nowhere", "/v1/responses/resp_1/nowhere", "/v1"):
        is_ours(service, sent("GET", path), path)
        unknown = service.handler(own(event("GET", f"{base}{path}", origin=ORIGIN)), Context())
        assert unknown["statusCode"] == 401
        is_ours(service, unknown, path)


def test_a_base_path_is_not_looked_for_in_all_of_a_long_path(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends it need not have a key."""
    tried, matches = list[str](), APIRoute.matches

    def counted(self: APIRoute, scope: Any) -> Any:
        tried.append(scope["path"])
        return matches(self, scope)

    monkeypatch.setattr(APIRoute, "matches", counted)

    def tries(path: str) -> int:
        tried.clear()
        assert service.handler(own(http_event("GET", path)), Context())["statusCode"] in (401, 404)
        return len(tried)

    assert tries("/a" * 4_000) <= tries("/a" * 40)
    assert service.handler(own(http_event("GET", "/a" * 10 + "/health")), Context())["statusCode"] == 200


def test_links_have_the_base_path_in_front(start: Callable[..., Service]) -> None:
    """Of a run that nobody works on, so that its stream ends before it does."""
    body = {"model": "letters", "input": "x", "background": True, "stream": True}
    answer = start().handler(own(http_event("POST", "/agents/v1/responses", body)), Context(1))
    assert '"resume":"/agents/v1/responses/resp_' in answer["body"]


def test_only_a_domain_of_ones_own_has_a_base_path(service: Service) -> None:
    for make in EVENTS:
        answer = service.handler(make("GET", "/agents/v1/models", **HEADERS), Context())
        assert answer["statusCode"] == 404


@pytest.mark.parametrize("found", [True, False])
def test_where_the_gateway_decides_by_the_path_it_is_not_guessed(start: Callable[..., Service], found: bool) -> None:
    """A policy that denies `/v1/models` to somebody would not deny `/x/v1/models`. What the event names is found."""
    service = start(AUTH="iam", AWS_LAMBDA_FUNCTION_NAME="api")
    event = own(rest_event("GET", "/x/v1/models"))
    event["requestContext"]["identity"] |= {"userArn": "arn:aws:iam::123456789012:user/alice"}
    if found:
        event["pathParameters"] = {"proxy": "v1/models"}
    event["requestContext"]["path"] = "/x/v1/models"
    assert service.handler(event, Context())["statusCode"] == (200 if found else 404)
