"""Who may call: keys and owners, AUTH=none on this machine only, browsers, and `make key`."""

import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from agency_lambda import __version__
from agency_lambda.auth import Authentication, authenticator
from agency_lambda.protocol import bounds
from agency_lambda.routes.dependencies import Caller
from agency_lambda.settings import ConfigurationError, Settings, get_settings
from agency_lambda.testing.events import function_url_event, rest_event
from tests.library.asgi import Headers, ask
from tests.library.conftest import Service


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


KEYS = {name: f"al_{digest(name)[:43]}" for name in ("alice", "alice again", "bob")}


def pairs() -> str:
    return ", ".join(f"{name.split()[0]}:{digest(key)}" for name, key in KEYS.items())


def bearer(key: str) -> Headers:
    return [(b"authorization", f"Bearer {key}".encode())]


@pytest.fixture
def whoami(clean_environment: pytest.MonkeyPatch) -> Callable[..., Any]:
    """whoami(NAME=value, ...): the real middleware before one route, which says who calls."""

    def app(**variables: str) -> Any:
        for name, value in variables.items():
            clean_environment.setenv(name, value)
        get_settings.cache_clear()
        inner = FastAPI()
        inner.get("/whoami")(who)
        inner.get("/health")(anybody)
        settings = get_settings()
        return Authentication(inner, authenticator(settings), set() if settings.auth == "none" else {"/health"})

    async def who(call: Caller) -> str:
        return call.owner

    async def anybody() -> str:
        return "ok"

    return app


@pytest.mark.parametrize("name", KEYS)
def test_a_key_names_its_owner_and_an_owner_may_have_several(whoami: Callable[..., Any], name: str) -> None:
    answer = ask(whoami(API_KEYS=pairs()), "/whoami", bearer(KEYS[name]))
    assert (answer.status, answer.body) == (200, name.split()[0])


GOOD = KEYS["bob"].encode()


@pytest.mark.parametrize(
    "value", [b"Bearer " + GOOD, b"bearer " + GOOD, b"BEARER " + GOOD, b" Bearer  " + GOOD + b" "], ids=repr
)
def test_however_bearer_is_written(whoami: Callable[..., Any], value: bytes) -> None:
    assert ask(whoami(API_KEYS=pairs()), "/whoami", [(b"authorization", value)]).body == "bob"


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ([], "Bearer"),
        ([b""], "Bearer"),
        ([b"Bearer"], "Bearer"),
        ([b"Bearer "], "Bearer"),
        ([b"Basic Ym9iOmJvYg=="], "Bearer"),
        ([GOOD], "Bearer"),
        ([b"Bearer x"], 'Bearer error="invalid_token"'),
        ([b"Bearer " + GOOD[:-1]], 'Bearer error="invalid_token"'),
        ([b"Bearer " + GOOD + b"x"], 'Bearer error="invalid_token"'),
        ([b"Bearer " + digest(KEYS["bob"]).encode()], 'Bearer error="invalid_token"'),
        ([b"Bearer \xff\xfe\x00" + "schlüssel".encode()], 'Bearer error="invalid_token"'),
        ([b"Bearer " + b"x" * 1_000_000], 'Bearer error="invalid_token"'),
        ([b"Bearer " + GOOD, b"Bearer " + GOOD], 'Bearer error="invalid_token"'),
        ([b"Bearer " + GOOD, b"Basic eA=="], 'Bearer error="invalid_token"'),
        ([b"Basic eA==", b"Bearer " + GOOD], "Bearer"),
        ([b"Bearer ", GOOD], 'Bearer error="invalid_token"'),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_without_a_known_key_nothing_is_answered(
    whoami: Callable[..., Any], headers: list[bytes], challenge: str
) -> None:
    answer = ask(whoami(API_KEYS=pairs()), "/whoami", [(b"authorization", value) for value in headers])
    assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.body["error"]["type"] == "unauthenticated"
    assert answer.body["error"]["request_id"] == answer.headers["x-request-id"]


def test_the_owner_of_one_request_is_not_left_for_the_next(whoami: Callable[..., Any]) -> None:
    app, shared = whoami(API_KEYS=pairs()), {"of": "the app"}
    assert ask(app, "/whoami", bearer(KEYS["bob"]), state=shared).status == 200
    assert shared == {"of": "the app"}


def test_a_callers_path_is_compared_as_it_is_routed(whoami: Callable[..., Any]) -> None:
    app = whoami(API_KEYS=pairs())
    assert ask(app, "/health").status == 200
    for path in ("/health/", "//health", "/Health", "/health/../whoami", "/health%2f", "/whoami?/health"):
        assert ask(app, path).status == 401, path
    for method in ("POST", "HEAD", "OPTIONS", "get"):
        assert ask(app, "/health", method=method).status == 401, method


# The holes of Agency Swarm's run_fastapi, one by one


def test_no_key_configured_never_means_open(
    clean_environment: pytest.MonkeyPatch, whoami: Callable[..., Any], service_app: Callable[..., FastAPI]
) -> None:
    for variables in ({"AUTH": "keys"}, {"AWS_LAMBDA_FUNCTION_NAME": "api"}, {"API_KEYS": " , "}):
        with pytest.raises(ConfigurationError, match="API_KEYS"):
            whoami(**variables)
        for name in variables:
            clean_environment.delenv(name)
    for variables in ({"AUTH": "keys"}, {"AWS_LAMBDA_FUNCTION_NAME": "api"}):
        with pytest.raises(ConfigurationError, match="API_KEYS"):
            service_app(**variables)  # at once, not when the first request comes
        for name in variables:
            clean_environment.delenv(name)
    of_nothing = whoami(API_KEYS=f"nobody:{digest('')}")
    for headers in ([], bearer("")):
        assert ask(of_nothing, "/whoami", headers).status == 401
    clean_environment.delenv("API_KEYS")
    app = whoami()
    assert ask(app, "/whoami", [(b"host", b"api.example.com")]).status == 403
    assert ask(app, "/whoami", client=("203.0.113.7", 1)).status == 403


@pytest.mark.parametrize("key", [*KEYS.values(), "wrong"])
def test_keys_are_compared_in_constant_time(
    whoami: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(sent: bytes, known: bytes) -> bool:
        compared.append((sent, known))
        return False

    app = whoami(API_KEYS=pairs())
    compare_digest = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda sent, known: compare(sent, known) or compare_digest(sent, known))
    assert ask(app, "/whoami", bearer(key)).status == (401 if key == "wrong" else 200)
    assert [known.hex() for _, known in compared] == [digest(each) for each in KEYS.values()]  # no early exit
    assert {sent.hex() for sent, _ in compared} == {digest(key)}
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert ask(app, "/whoami", bearer(key)).status == 401  # nothing else decides


def test_cors_is_off_by_default(service_app: Callable[..., FastAPI]) -> None:
    origin = (b"origin", b"https://evil.example")
    app = service_app(API_KEYS=pairs())
    answer = ask(app, "/health", [origin])
    assert not [name for name in answer.headers if name.startswith("access-control")]
    preflight = ask(app, "/completion", [origin, (b"access-control-request-method", b"POST")], "OPTIONS")
    assert preflight.status == 401
    assert not [name for name in preflight.headers if name.startswith("access-control")]


# Browsers


def preflight(app: Any, origin: bytes, method: bytes = b"POST", headers: bytes = b"authorization") -> Any:
    asked = [(b"access-control-request-method", method), (b"access-control-request-headers", headers)]
    return ask(app, "/completion", [(b"origin", origin), *asked], "OPTIONS")


def test_a_named_origin_may_call_and_its_preflight_needs_no_key(service_app: Callable[..., FastAPI]) -> None:
    app = service_app(API_KEYS=pairs(), CORS_ORIGINS="https://app.example.com, http://localhost:5173")
    for origin in (b"https://app.example.com", b"http://localhost:5173"):
        for method in (b"GET", b"POST", b"DELETE"):
            answer = preflight(app, origin, method, b"authorization, content-type, idempotency-key")
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin.decode())
    refused = ask(app, "/nothing", [(b"origin", b"https://app.example.com")])
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "https://app.example.com"  # the page may read why
    assert refused.headers["access-control-expose-headers"].startswith("x-request-id, location, retry-after")
    assert "access-control-allow-credentials" not in refused.headers


def test_other_origins_methods_and_headers_are_refused(service_app: Callable[..., FastAPI]) -> None:
    app = service_app(API_KEYS=pairs(), CORS_ORIGINS="https://app.example.com")
    assert "access-control-allow-origin" not in preflight(app, b"https://app.example.com.evil.example").headers
    assert preflight(app, b"https://evil.example").status == 400
    assert preflight(app, b"https://app.example.com", b"PATCH").status == 400
    # as OpenAI's client for browsers asks, with a dozen headers of its own
    assert preflight(app, b"https://app.example.com", headers=b"authorization, x-stainless-lang").status == 200


# The whole surface


def endpoints(app: FastAPI) -> Iterator[tuple[str, str]]:
    for context in iter_route_contexts(app.routes):
        assert context.path is not None
        assert context.methods, f"{context.path} is no HTTP route: nothing checks who calls it"
        yield from ((method, context.path) for method in context.methods)


@pytest.mark.parametrize("on_lambda", [False, True])
def test_without_a_key_every_route_is_a_401_but_health_and_the_page(
    service_app: Callable[..., FastAPI], on_lambda: bool
) -> None:
    app = service_app(API_KEYS=pairs(), **({"AWS_LAMBDA_FUNCTION_NAME": "api"} if on_lambda else {}))
    routes = set(endpoints(app))
    assert {("POST", "/completion"), ("GET", "/agencies"), ("GET", "/health")} <= routes
    docs = {("GET", "/docs"), ("GET", "/openapi.json")}
    assert routes & docs == (set() if on_lambda else docs)
    routes |= docs | {("GET", "/page"), ("POST", "/"), ("GET", "/v1"), ("GET", "/v1/nothing")}
    is_open = {("GET", "/health"), ("GET", "/"), ("HEAD", "/")}
    is_open |= set() if on_lambda else docs | {("HEAD", path) for _, path in docs}
    found = {route: ask(app, route[1], method=route[0]).status for route in routes}
    files = {(method, "/page/{path:path}"): 404 for method in ("GET", "HEAD")}  # those of the page, which this is not
    assert found == {route: 200 if route in is_open else 401 for route in routes} | files


def test_nobody_without_a_key_makes_us_read_a_body(service_app: Callable[..., FastAPI]) -> None:
    app = service_app(API_KEYS=pairs())
    huge = b"x" * (bounds.BODY + 1)
    assert ask(app, "/completion", method="POST", body=huge).status == 401
    assert ask(app, "/completion", bearer(KEYS["bob"]), "POST", huge).status == 413


def test_the_body_limit_leaves_room_in_lambdas_six_megabytes(service_app: Callable[..., FastAPI]) -> None:
    assert bounds.BODY == 5_000_000
    answer = ask(service_app(), "/completion", method="POST", body=b" " * 5_000_001)
    assert (answer.status, answer.body["error"]["message"]) == (413, "The body is over 5,000,000 bytes.")
    assert ask(service_app(), "/completion", method="POST", body=b" " * 5_000_000).status == 400


def test_under_v1_a_401_is_as_openais_clients_know_it(service_app: Callable[..., FastAPI]) -> None:
    answer = ask(service_app(API_KEYS=pairs()), "/v1/responses", bearer("wrong"))
    said = {"message": "This key is not known.", "type": "authentication_error", "code": "unauthenticated"}
    assert (answer.status, answer.body) == (401, {"error": {**said, "param": None}})


def test_the_openapi_document_says_which_routes_need_a_key(service_app: Callable[..., FastAPI]) -> None:
    app = service_app()

    @app.get("/whoami")
    async def whoami(call: Caller) -> str:
        return call.owner

    paths = app.openapi()["paths"]
    assert paths["/whoami"]["get"]["security"] == [{"ApiKey": []}]
    assert "security" not in paths["/health"]["get"]


# AUTH=none


@pytest.mark.parametrize(
    "host",
    [b"localhost", b"localhost:8000", b"LocalHost", b"localhost.", b"127.0.0.1:3000", b"[::1]", b"[::1]:80", None],
)
def test_without_keys_this_machine_is_answered(whoami: Callable[..., Any], host: bytes | None) -> None:
    answer = ask(whoami(), "/whoami", [(b"host", host)] if host else [])
    assert (answer.status, answer.body) == (200, "local")


@pytest.mark.parametrize(
    "hosts",
    [
        [b"evil.example"],
        [b"evil.example:8000"],
        [b"localhost.evil.example"],
        [b"127.0.0.1.evil.example"],
        [b"localhost@evil.example"],
        [b"localhost:80@evil.example"],
        [b"localhost:80:80"],
        [b"127.0.0.2"],
        [b"0.0.0.0"],
        [b"::1"],
        [b""],
        [b"localhost\xff"],
        [b"localhost", b"evil.example"],
    ],
    ids=repr,
)
@pytest.mark.parametrize("path", ["/whoami", "/health"])
def test_without_keys_any_other_host_name_is_refused(whoami: Callable[..., Any], hosts: list[bytes], path: str) -> None:
    answer = ask(whoami(), path, [(b"host", host) for host in hosts])
    assert (answer.status, answer.body["error"]["type"]) == (403, "host_not_allowed")
    assert "DNS rebinding" in answer.body["error"]["message"]
    assert "AUTH=keys" in answer.body["error"]["message"]


@pytest.mark.parametrize("origin", [b"https://evil.example", b"null", b"http://localhost.evil.example", b""], ids=repr)
def test_without_keys_a_page_of_another_origin_is_refused(whoami: Callable[..., Any], origin: bytes) -> None:
    """A browser sends some requests of any page without asking, such as a form."""
    assert ask(whoami(), "/whoami", [(b"host", b"localhost"), (b"origin", origin)]).status == 403


@pytest.mark.parametrize("origin", [b"http://localhost:5173", b"http://127.0.0.1:8000", b"http://[::1]"], ids=repr)
def test_without_keys_a_page_of_this_machine_may_ask(whoami: Callable[..., Any], origin: bytes) -> None:
    assert ask(whoami(), "/whoami", [(b"host", b"localhost"), (b"origin", origin)]).status == 200


@pytest.mark.parametrize("peer", ["192.168.1.7", "203.0.113.7", "2001:db8::7", "::ffff:192.168.1.7"])
def test_without_keys_another_machine_is_refused_whatever_it_calls_us(whoami: Callable[..., Any], peer: str) -> None:
    assert ask(whoami(), "/whoami", [(b"host", b"localhost")], client=(peer, 1)).status == 403


@pytest.mark.parametrize("client", [("::1", 1), ("::ffff:127.0.0.1", 1), ("", 0), (None, 0), None])
def test_without_keys_a_peer_on_this_machine_or_none_is_fine(whoami: Callable[..., Any], client: Any) -> None:
    assert ask(whoami(), "/whoami", client=client).status == 200


def test_with_keys_any_host_name_and_any_peer_will_do(whoami: Callable[..., Any]) -> None:
    headers = [(b"host", b"api.example.com"), *bearer(KEYS["bob"])]
    assert ask(whoami(API_KEYS=pairs()), "/whoami", headers, client=("203.0.113.7", 1)).body == "bob"


def test_an_event_for_another_host_is_refused_without_keys(service: Service) -> None:
    assert service.get("/health") == (200, {"status": "ok", "version": __version__})
    assert service.send(function_url_event("GET", "/health"))[0] == 403


def test_an_events_key_is_read(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=pairs(), AWS_LAMBDA_FUNCTION_NAME="api")
    assert service.get("/nothing")[0] == 401
    assert service.get("/nothing", authorization=f"Bearer {KEYS['alice']}")[0] == 404


# make key


def make_key(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "agency_lambda.auth", *arguments], capture_output=True, text=True)


def test_a_made_key_opens_with_the_pair_beside_it(whoami: Callable[..., Any]) -> None:
    done = make_key("carol@example.com")
    assert (done.returncode, done.stderr) == (0, "")
    (key,) = re.findall(r"al_[A-Za-z0-9_-]{43}", done.stdout)  # once
    (pair,) = re.findall(r"carol@example\.com:[0-9a-f]{64}", done.stdout)
    assert ask(whoami(API_KEYS=pair), "/whoami", bearer(key)).body == "carol@example.com"
    assert make_key("carol").stdout != make_key("carol").stdout


def test_key_of_an_operator_is_marked_in_its_pair(whoami: Callable[..., Any]) -> None:
    done = make_key("carol", "--role", "operator")
    (key,) = re.findall(r"al_[A-Za-z0-9_-]{43}", done.stdout)
    (pair,) = re.findall(r"carol:[0-9a-f]{64}:operator", done.stdout)
    (whose, digest_, role) = Settings(api_keys=pair).api_keys[0]  # type: ignore[arg-type]
    assert (whose, digest_.hex(), role) == ("carol", digest(key), True)
    assert ask(whoami(API_KEYS=pair), "/whoami", bearer(key)).body == "carol"


@pytest.mark.parametrize(
    "arguments",
    [("a", "--role", "admin"), ("a", "--role"), (), ("",), ("a b",), ("a:b",), ("x" * 65,), ("a", "b"), ("sha256-x",)],
)
def test_a_key_for_nobody_is_refused_in_a_sentence(arguments: tuple[str, ...]) -> None:
    done = make_key(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No key made: write `make key OWNER=name`")


def test_keys_are_not_shown_with_the_settings(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("API_KEYS", pairs())
    assert "alice" not in repr(Settings())


# Behind the stage of an API Gateway


def behind(stage: str, event: dict[str, Any]) -> dict[str, Any]:
    """A REST API's event, as its stage makes it."""
    event["requestContext"] |= {"stage": stage, "path": f"/{stage}{event['path']}"}
    return event


def test_behind_a_stage_the_same_paths_are_open(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=pairs(), AWS_LAMBDA_FUNCTION_NAME="api")
    key = {"authorization": f"Bearer {KEYS['bob']}"}
    assert service.send(behind("dev", rest_event("GET", "/health")))[0] == 200
    for path in ("/dev/health", "/healthy", "/v1/models"):
        assert service.send(behind("dev", rest_event("GET", path)))[0] == 401, path
    assert service.send(behind("dev", rest_event("GET", "/v1/models", **key)))[0] == 200
    assert service.send(behind("health", rest_event("GET", "/agencies")))[0] == 401
    status, body = service.send(behind("v1", rest_event("GET", "/nothing", **key)))
    assert (status, sorted(body["error"])) == (404, ["message", "request_id", "type"])  # not as under /v1
    status, body = service.send(behind("dev", rest_event("GET", "/v1/nothing", **key)))
    assert (status, sorted(body["error"])) == (404, ["code", "message", "param", "type"])


def test_the_interactive_docs_find_their_document_behind_a_prefix(service_app: Callable[..., FastAPI]) -> None:
    page = ask(service_app(), "/dev/docs", root_path="/dev")
    assert b"'/dev/openapi.json'" in page.body
    document = ask(service_app(), "/dev/openapi.json", root_path="/dev").body
    assert document["servers"] == [{"url": "/dev"}]
