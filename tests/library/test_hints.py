"""A path that clients of other services ask for says what to ask instead."""

import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import iter_route_contexts
from starlette.routing import Match

from agency_lambda.hints import HINTS
from agency_lambda.settings import get_settings
from tests.library.asgi import Reply, ask


@pytest.fixture
def create_app(clean_environment: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
    """create_app(PROTOCOLS="") -> the app of the service, which asks for no key."""

    def create(PROTOCOLS: str = "") -> FastAPI:
        clean_environment.setenv("PROTOCOLS", PROTOCOLS)
        get_settings.cache_clear()
        from agency_lambda.app import create_app

        return create_app()

    return create


def there(app: FastAPI) -> set[str]:
    return {f"{method} {route.path}" for route in iter_route_contexts(app.routes) for method in route.methods or ()}


def exists(app: FastAPI, path: str) -> bool:
    scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is not Match.NONE for route in app.routes)


def message(answer: Reply) -> str:
    assert answer.status in (404, 405)
    return str(answer.body["error"]["message"])


def test_what_is_to_be_asked_instead_exists(create_app: Callable[..., FastAPI]) -> None:
    app, alone = create_app(), create_app(PROTOCOLS="responses")
    for start, (_, targets, _) in HINTS.items():
        assert {*targets} <= there(app), start
        assert targets[-1] in there(alone), start  # whatever PROTOCOLS says


@pytest.mark.parametrize("start", HINTS)
@pytest.mark.parametrize("protocols", ["", "responses"])
def test_each_says_so(create_app: Callable[..., FastAPI], start: str, protocols: str) -> None:
    app = create_app(PROTOCOLS=protocols)
    for path in (start, f"{start}/any/more"):
        if exists(app, path):
            continue  # a protocol that is on has it
        (asked,) = re.findall(r" Ask ([A-Z]+ \S*[^:.\s])[:.]", message(ask(app, path, method="POST", body=b"{}")))
        assert asked in there(app), path


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/responses/", "/v1/responses"),
        ("/v1//responses", "/v1/responses"),
        ("//v1/responses//", "/v1/responses"),
        ("/V1/Responses", "/v1/responses"),
        ("/v1/v1/responses", "/v1/responses"),
        ("/v1/v1/v1/models", "/v1/models"),
        ("/responses", "/v1/responses"),
        ("/responses/resp_1/cancel", "/v1/responses/resp_1/cancel"),
        ("/models", "/v1/models"),
        ("/Models/", "/v1/models"),
        ("/openai/v1/responses", "/v1/responses"),
        ("/v1/completion", "/completion"),
        ("/v1/health", "/health"),
        ("/health/", "/health"),
    ],
)
def test_a_misspelt_path_is_named_as_it_is(create_app: Callable[..., FastAPI], path: str, meant: str) -> None:
    assert f"There is no {path}. The path is {meant}." in message(ask(create_app(), path, method="POST", body=b"{}"))


def test_its_shape_is_that_of_the_place(create_app: Callable[..., FastAPI]) -> None:
    error = ask(create_app(), "/v1/messages", method="POST", body=b"{}").body["error"]
    assert (error.keys(), error["code"]) == ({"message", "type", "param", "code"}, "not_found")
    assert ask(create_app(), "/api/chat", method="POST", body=b"{}").body["error"].keys() == {
        *("type", "message", "request_id")
    }


def test_another_method_names_those_of_the_path(create_app: Callable[..., FastAPI]) -> None:
    app = create_app()
    assert message(ask(app, "/completion")) == "/completion takes POST, OPTIONS, and not GET."
    assert message(ask(app, "/v1/models", method="DELETE")) == "/v1/models takes GET, HEAD, OPTIONS, and not DELETE."


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nowhere", "/apis", "/v1/messagesx", "/" + "v1/" * 20_000, "/%2f"])
def test_of_nothing_known_nothing_is_said(create_app: Callable[..., FastAPI], path: str) -> None:
    assert message(ask(create_app(), path)) == "Not Found"


def test_a_404_of_an_own_route_stays_its_own(create_app: Callable[..., FastAPI]) -> None:
    app = create_app()

    @app.get("/api/orders")
    async def orders() -> None:
        raise HTTPException(404, "No such order.")

    assert message(ask(app, "/api/orders")) == "No such order."
