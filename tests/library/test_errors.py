"""What an error looks like: in OpenAI's envelope under /v1, in the service's own elsewhere, and never from inside."""

import inspect
import json
import logging
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from agency_lambda import errors, exception_handlers
from tests.library.asgi import Reply, ask

SECRET = "sk-live-1234 /var/task/handler/runs.py"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    content: str | list[Part]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: str | list[Item] = ""
    size: int = Field(1, ge=1)


async def create(body: Asked) -> str:
    raise TO_RAISE[body.model]


async def read(after: int, idempotency_key: Annotated[str | None, Header(max_length=3)] = None) -> str:
    return "ok"


TO_RAISE: dict[str, BaseException] = {
    "busy": errors.ConversationBusy("Two at once."),
    "nobody": errors.UnknownName("There is no agency.", param="model", code="model_not_found"),
    "store": errors.StoreUnavailable("Not there."),
    "defect": RuntimeError(SECRET),
    "long": errors.InvalidRequest("x" * 1_000_000, param="y" * 1_000_000),
    "half": errors.InvalidRequest("Half: \ud800", param="\ud800"),
    "limit": HTTPException(429, "Slowly."),
}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The same two routes under /v1 and elsewhere."""
    app = FastAPI()
    for prefix in ("/v1", "/own"):
        router = APIRouter(prefix=prefix)
        router.post("/things")(create)
        router.get("/things")(read)
        app.include_router(router)
    exception_handlers.install(app)
    return app


def post(app: FastAPI, path: str, body: Any, kind: bytes = b"application/json") -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(app, path, [(b"content-type", kind)], "POST", raw)


@pytest.mark.parametrize(
    ("error", "status", "type_", "code"),
    [
        (errors.InvalidRequest, 400, "invalid_request_error", "invalid_request"),
        (errors.UnsupportedParameter, 400, "invalid_request_error", "unsupported_parameter"),
        (errors.Unauthenticated, 401, "authentication_error", "unauthenticated"),
        (errors.InvalidCredentials, 401, "authentication_error", "unauthenticated"),
        (errors.SignatureMissing, 401, "authentication_error", "unauthenticated"),
        (errors.HostNotAllowed, 403, "permission_error", "host_not_allowed"),
        (errors.NotFound, 404, "invalid_request_error", "not_found"),
        (errors.UnknownName, 404, "invalid_request_error", "not_found"),
        (errors.ConversationBusy, 409, "invalid_request_error", "conversation_busy"),
        (errors.IdempotencyKeyReused, 409, "invalid_request_error", "idempotency_key_reused"),
        (errors.PayloadTooLarge, 413, "invalid_request_error", "payload_too_large"),
        (errors.GuardrailTriggered, 422, "invalid_request_error", "guardrail_triggered"),
        (errors.AgencyMisconfigured, 500, "server_error", "agency_misconfigured"),
        (errors.UpstreamFailed, 502, "server_error", "upstream_failed"),
        (errors.InvalidOutput, 502, "server_error", "invalid_output"),
        (errors.RunLimitExceeded, 400, "invalid_request_error", "run_limit_exceeded"),
        (errors.StoreUnavailable, 503, "server_error", "store_unavailable"),
        (errors.SecretUnavailable, 503, "server_error", "secret_unavailable"),
        (errors.IssuerUnavailable, 503, "server_error", "issuer_unavailable"),
    ],
)
def test_every_error_has_a_status_and_two_shapes(
    error: type[errors.ServiceError], status: int, type_: str, code: str
) -> None:
    for path in ("/v1", "/v1/responses"):
        answer = exception_handlers.error_response({"path": path, "method": "GET"}, error("Said.", param="input[0]"))
        envelope = {"message": "Said.", "type": type_, "param": "input[0]", "code": code}
        assert (answer.status_code, json.loads(answer.body)) == (status, {"error": envelope})
    for path in ("/completion", "/v1x", "/", "/x/v1/"):
        answer = exception_handlers.error_response({"path": path, "method": "GET"}, error("Said.", param="input[0]"))
        own = {"type": code, "message": "Said.", "request_id": answer.headers["x-request-id"]}
        assert (answer.status_code, json.loads(answer.body)) == (status, {"error": own})


def test_errors_tree_is_that_of_the_classes() -> None:
    def tree(kind: type[errors.ServiceError]) -> Iterator[tuple[str, int, str]]:
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                yield child.__name__, child.status, kind.__name__
                yield from tree(child)

    drawn, above = [], {0: "ServiceError"}
    for bars, name, status in re.findall(r"^#( [│├└─ ]+)(\w+) (\d{3})", inspect.getsource(errors), re.MULTILINE):
        above[len(bars) // 4] = name
        drawn.append((name, int(status), above[len(bars) // 4 - 1]))
    assert drawn == list(tree(errors.ServiceError))


BAD = [
    ({"model": "busy", "foo": 1}, "foo", "unsupported_parameter", "Unsupported parameter: 'foo'."),
    ({}, "model", "missing_required_parameter", "Missing required parameter: 'model'."),
    ({"model": 5}, "model", "invalid_request", "model: Input should be a valid string"),
    ({"model": "x", "size": 0}, "size", "invalid_request", "size: Input should be greater than or equal to 1"),
    ({"model": "x", "size": "{0} {x}"}, "size", "invalid_request", "size: Input should be a valid integer"),
    ({"model": "x", "input": 5}, "input", "invalid_request", "input: Input should be a valid string"),
    (
        {"model": "x", "input": [{}]},
        "input[0].content",
        "missing_required_parameter",
        "Missing required parameter: 'input[0].content'.",
    ),
    (
        {"model": "x", "input": [{"content": "x"}, {"content": [{"text": "x", "a.{b}": 1}]}]},
        "input[1].content[0].a.{b}",
        "unsupported_parameter",
        "Unsupported parameter: 'input[1].content[0].a.{b}'.",
    ),
    ({"model": "x", "list[Item]": 1}, "list[Item]", "unsupported_parameter", "Unsupported parameter: 'list[Item]'."),
    ([1], None, "invalid_request", "body: Input should be a valid dictionary or object to extract fields from"),
]


@pytest.mark.parametrize(("body", "param", "code", "message"), BAD, ids=lambda value: repr(value)[:40])
def test_a_wrong_field_is_named_as_openai_names_it(
    app: FastAPI, body: Any, param: str | None, code: str, message: str
) -> None:
    answer = post(app, "/v1/things", body)
    envelope = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert (answer.status, answer.body) == (400, {"error": envelope})
    elsewhere = post(app, "/own/things", body)
    assert (elsewhere.status, elsewhere.body["error"]["type"]) == (422, "invalid_request")
    assert elsewhere.body["error"]["message"].startswith(f"{param or 'body'}: ")


def test_what_is_wrong_outside_of_the_body_is_named_too(app: FastAPI) -> None:
    assert ask(app, "/v1/things?after=x").body["error"]["param"] == "after"
    assert ask(app, "/v1/things").body["error"]["code"] == "missing_required_parameter"
    answer = ask(app, "/v1/things?after=1", [(b"idempotency-key", b"long")])
    assert (answer.status, answer.body["error"]["param"]) == (400, "idempotency-key")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", b"application/json"),
        (b"model=x", b"application/x-www-form-urlencoded"),
        (b'{"model": "x"}', b"text/plain"),
        (b'{"model": ' + b"[" * 100_000, b"application/json"),
        (b"\xff", b"application/json"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_body_that_is_no_json_is_a_400(app: FastAPI, body: bytes, kind: bytes) -> None:
    for path, field in (("/v1/things", "code"), ("/own/things", "type")):
        answer = post(app, path, body, kind)
        assert (answer.status, answer.body["error"][field]) == (400, "invalid_json")


def test_under_v1_no_body_is_no_json(app: FastAPI) -> None:
    assert post(app, "/v1/things", b"").body["error"]["code"] == "invalid_json"


def test_the_code_of_one_error_can_say_more(app: FastAPI) -> None:
    answer = post(app, "/v1/things", {"model": "nobody"}).body["error"]
    assert (answer["code"], answer["param"]) == ("model_not_found", "model")
    assert post(app, "/own/things", {"model": "nobody"}).body["error"]["type"] == "not_found"


def test_paths_and_methods_that_are_not_there(app: FastAPI) -> None:
    assert ask(app, "/v1/nothing").body["error"] == {
        "message": "Not Found",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }
    answer = ask(app, "/v1/things", method="PUT")
    assert (answer.status, answer.body["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert ask(app, "/own/nothing").body["error"]["type"] == "not_found"
    assert post(app, "/v1/things", {"model": "limit"}).body["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("path", ["/v1/things", "/own/things"])
def test_a_defect_tells_nothing(app: FastAPI, path: str) -> None:
    replies: list[Any] = []

    async def keeping(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except RuntimeError as error:  # Starlette answers, and raises on for the log
            replies.append(error)

    answer = post(keeping, path, {"model": "defect"})  # type: ignore[arg-type]
    assert str(replies[0]) == SECRET
    assert answer.status == 500
    assert answer.body["error"]["message"] == "The service failed to answer. The request id finds it in the log."
    assert SECRET not in json.dumps(answer.body)
    assert answer.headers["x-request-id"]


def test_the_request_id_is_on_every_error_and_finds_it_in_the_log(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "agency_lambda.errors"):
        answer = post(app, "/v1/things", {"model": "store"})
    assert answer.headers["x-request-id"] in caplog.text
    for reply in (post(app, "/v1/things", {}), ask(app, "/v1/nothing"), post(app, "/v1/things", {"model": "busy"})):
        assert reply.headers["x-request-id"]
    own = post(app, "/own/things", {})
    assert own.body["error"]["request_id"] == own.headers["x-request-id"]


def test_what_was_sent_is_repeated_only_in_part(app: FastAPI) -> None:
    for body in ({"model": "long"}, {"model": "x", "y" * 4_000_000: 1}):
        answer = post(app, "/v1/things", body)
        assert answer.status == 400
        assert len(json.dumps(answer.body)) < 3000


def test_half_a_surrogate_in_a_name_is_no_500(app: FastAPI) -> None:
    for path, status in (("/v1/things", 400), ("/own/things", 422)):
        assert post(app, path, b'{"model": "x", "\\ud800": 1}').status == status
        assert post(app, path, {"model": "half"}).status == 400
