"""Routes that the adopter adds to handler/app.py are held to what the service's own routes are."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

import handler.app
from agency_lambda import create_app, lambda_handler, serve
from agency_lambda.app import App
from agency_lambda.settings import ConfigurationError, get_settings
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import PYTHONPATH, Service

SETTINGS = {
    "API_KEYS": f"alice:{hashlib.sha256(b'al_key').hexdigest()}",
    "CORS_ORIGINS": "https://shop.example.com",
}
KEY = {"authorization": "Bearer al_key"}
OURS = """
import asyncio
from typing import Any

from agency_lambda import Owner, create_app, serve

app = create_app()

@app.get("/orders/{number}")
async def order(number: int, owner: Owner) -> dict[str, Any]:
    return {"number": number, "owner": owner}

@app.get("/crash")
async def crash() -> None:
    raise RuntimeError("secret words of the adopter")

@app.get("/nested")
async def nested() -> str:
    return asyncio.run(asyncio.sleep(0, "nested"))
"""

type Ask = Callable[..., httpx.Response]


@contextmanager
def on_lambda(start: Callable[..., Service], patch: pytest.MonkeyPatch) -> Iterator[Ask]:
    names: dict[str, Any] = {}
    for name, value in SETTINGS.items():
        patch.setenv(name, value)
    get_settings.cache_clear()
    exec(OURS, names)
    service = start(app=names["app"])

    def ask(path: str, **headers: str) -> httpx.Response:
        answer = service.handler(http_event("GET", path, **headers), Context(20))
        return httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"])

    ask.report = lambda: service.report  # type: ignore[attr-defined]
    yield ask


@contextmanager
def under_uvicorn(folder: Path) -> Iterator[Ask]:
    (folder / "own_app.py").write_text(f"{OURS}\nif __name__ == '__main__':\n    serve('own_app:app')\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"PORT": str(port), "STORE": f"sqlite:///{folder}/agency.db", "LETTERS_FOLDER": str(folder)}
    process = subprocess.Popen(
        [sys.executable, str(folder / "own_app.py")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{folder}:{PYTHONPATH}", **settings, **SETTINGS},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("OpenAI's clients"):
            assert process.poll() is None, process.communicate()
        time.sleep(0.2)
        yield lambda path, **headers: httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=["lambda", "uvicorn"])
def ask(
    request: pytest.FixtureRequest,
    start: Callable[..., Service],
    clean_environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Ask]:
    with on_lambda(start, clean_environment) if request.param == "lambda" else under_uvicorn(tmp_path) as asking:
        yield asking


def test_an_own_route_is_like_ours(ask: Ask) -> None:
    refused = ask("/orders/7")
    assert (refused.status_code, refused.json()["error"]["type"]) == (401, "unauthenticated")
    answer = ask("/orders/7", origin="https://shop.example.com", **KEY)
    assert (answer.status_code, answer.json()) == (200, {"number": 7, "owner": "alice"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example.com"
    assert answer.headers["x-request-id"]
    wrong = ask("/orders/seven", **KEY)
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (422, "invalid_request")
    assert "number" in wrong.json()["error"]["message"]
    crashed = ask("/crash", **KEY)
    assert (crashed.status_code, crashed.json()["error"]["type"]) == (500, "internal_error")
    assert "secret words" not in crashed.text
    assert {*crashed.json()["error"]} == {"type", "message", "request_id"}
    assert ask("/nested", **KEY).json() == "nested"


def test_an_own_route_is_in_the_report(start: Callable[..., Service], clean_environment: pytest.MonkeyPatch) -> None:
    with on_lambda(start, clean_environment) as ask:
        ask("/nested", **KEY)
        report = json.loads(json.dumps(ask.report().as_dict()))  # type: ignore[attr-defined]
    assert (report["status"], report["nested_entries"], report["request_id"]) == (200, 1, "request-1")
    assert report["nested"][0]["call"] == "asyncio.run()"


def conflict(app: App) -> str:
    with pytest.raises(ConfigurationError) as caught:
        lambda_handler(app)
    return str(caught.value)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health"), ("POST", "/v1/responses"), ("DELETE", "/v1/responses/{number:int}"), ("GET", "/v1/models/a")],
)
@pytest.mark.parametrize("included", [False, True])
def test_an_own_route_that_is_one_of_ours_is_refused(method: str, path: str, included: bool) -> None:
    def mine() -> None: ...

    app, router = create_app(), APIRouter()
    (router if included else app).add_api_route(path, mine, methods=[method])
    if included:
        app.include_router(router)
    line = mine.__code__.co_firstlineno
    place = f"{os.path.relpath(__file__)}:{line}"
    assert conflict(app) == f"{method} {path} is the service's own route ({place}): choose another path"


@pytest.mark.parametrize("path", ["/", "/page/mine", "/page/{name}"])
def test_a_page_of_ones_own_is_in_the_place_of_ours(clean_environment: pytest.MonkeyPatch, path: str) -> None:
    def mine() -> str:
        return "mine"

    app = create_app()
    app.get(path)(mine)
    assert conflict(app).endswith("): choose another path, or set PAGE=0 to do without the service's page")
    clean_environment.setenv("PAGE", "0")
    get_settings.cache_clear()
    app = create_app()
    app.get(path)(mine)
    service = lambda_handler(app)
    answer = service(http_event("GET", path.format(name="x")), Context())
    service.close()
    assert (answer["statusCode"], answer["body"]) == (200, '"mine"')


@pytest.mark.parametrize(("method", "path"), [("PUT", "/health"), ("GET", "/v1/{name}"), ("GET", "/{rest:path}")])
def test_an_own_route_beside_ours_is_let_be(method: str, path: str) -> None:
    app = create_app()
    app.add_api_route(path, lambda: None, methods=[method])
    app.mount("/health", create_app())
    app.refuse_conflicts()


def test_a_conflict_ends_the_start_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app()
    app.get("/health")(lambda: None)
    monkeypatch.setattr(handler.app, "app", app)
    monkeypatch.setattr("agency_lambda.local._listen", lambda: None)
    with pytest.raises(SystemExit, match=r"^Not started: GET /health is the service's own route \(.*\): choose"):
        serve("handler.app:app")


@pytest.mark.parametrize("name", ["v1", "health", "completion", "agencies", "page", "docs", "openapi.json"])
def test_an_agency_with_the_name_of_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"begin with /{name}: give the agency '{name}' another name"):
        create_app().refuse_names(["desk", name])
    create_app().refuse_names(["desk", f"{name}s"])


def test_that_name_is_taken_only_where_agencies_are_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTOCOLS", "responses")
    get_settings.cache_clear()
    create_app().refuse_names(["v1"])


def test_an_agencys_name_ends_the_start_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.local._listen", lambda: None)
    monkeypatch.setattr("agency_lambda.local.check", lambda: None)
    monkeypatch.setattr("agencies.AGENCIES", {"v1": "letters.agency:create_agency"})
    with pytest.raises(SystemExit, match=r"^Not started: paths of the service begin with /v1: give"):
        serve("handler.app:app")


def test_the_example_in_the_comment_is_the_one_that_is_tested() -> None:
    example = str(handler.app.__doc__).partition("event loop:\n")[2]
    lines = [line.removeprefix("    ") for line in example.splitlines() if line.startswith("    ")]
    assert lines[0] == "from agency_lambda import Owner"
    assert "\n".join(lines[1:]) in OURS
