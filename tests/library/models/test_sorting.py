"""Which kind a provider's failure is, and what a client is told of it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from agency_swarm import Agency, Agent
from agents import Model

from agency_lambda import errors
from agency_lambda.framework.models.failure_kinds import is_transient, kind_of, kind_of_code, retry_after
from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelServer, call

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/responses")
Start = Callable[..., Service]


def status(code: int, body: Any = None, **headers: str) -> openai.APIStatusError:
    response = httpx.Response(code, request=REQUEST, headers=headers)
    return openai.APIStatusError(str(body), response=response, body=body)


class VendorError(Exception):
    """As libraries of other vendors make them."""

    def __init__(self, text: str = "", **fields: Any) -> None:
        super().__init__(text)
        vars(self).update(fields)


class ServerDisconnectedError(Exception):
    pass


TOO_LONG = (
    "This model's maximum context length is 4096 tokens.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "The input token count (40000) exceeds the maximum number of tokens allowed",
    "Requested tokens exceed context window of 2048",
)


def aws(code: str, http: int) -> VendorError:
    return VendorError(response={"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": http}})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (status(401, {"code": None}), errors.ModelUnauthorized),
        (status(403, {"code": "content_filter"}), errors.ContentRefused),
        (status(400, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}), errors.ContentRefused),
        *((status(400, {"code": 400, "message": text}), errors.ContextLengthExceeded) for text in TOO_LONG),
        (status(400, {"message": "Unknown parameter: 'foo'."}), errors.ModelRefusedRequest),
        (status(402), errors.ModelOutOfQuota),
        (status(404), errors.ModelNotFound),
        (status(408), errors.ModelTimeout),
        (status(409), errors.UpstreamFailed),
        (status(429), errors.ModelRateLimited),
        (status(429, {"code": "insufficient_quota"}), errors.ModelOutOfQuota),
        (status(503, {"message": "context length"}), errors.UpstreamFailed),
        (VendorError(status_code=529, body={"error": {"type": "overloaded_error"}}), errors.UpstreamFailed),
        (VendorError(status_code=400, body={"error": {"type": "invalid_request_error"}}), errors.ModelRefusedRequest),
        (VendorError(code=429), errors.ModelRateLimited),
        (aws("ThrottlingException", 400), errors.ModelRateLimited),
        (aws("AccessDeniedException", 400), errors.ModelUnauthorized),
        (aws("ServiceUnavailableException", 503), errors.UpstreamFailed),
        (TimeoutError(), errors.ModelTimeout),
        (openai.APITimeoutError(REQUEST), errors.ModelTimeout),
        (openai.APIError("no", REQUEST, body={"code": "rate_limit_exceeded"}), errors.ModelRateLimited),
        (openai.APIError("no", REQUEST, body={"code": "invalid_image"}), errors.ModelRefusedRequest),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_kind_of_a_failure(error: Exception, kind: type[errors.UpstreamFailed]) -> None:
    assert kind_of(error) is kind
    assert is_transient(error) is kind.transient


@pytest.mark.parametrize(
    ("error", "transient"),
    [(ConnectionResetError(), True), (ServerDisconnectedError(), True), (KeyError("x"), False), (TypeError(), False)],
)
def test_failure_without_a_status_passes_if_it_is_of_the_connection(error: Exception, transient: bool) -> None:
    assert (kind_of(error), is_transient(error)) == (errors.UpstreamFailed, transient)


def test_kind_of_litellms_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from litellm import exceptions as vendor

    given = {"message": "no", "llm_provider": "anthropic", "model": "claude"}
    found = {
        kind: kind_of(getattr(vendor, kind)(**given))
        for kind in ("AuthenticationError", "RateLimitError", "ContextWindowExceededError", "NotFoundError", "Timeout")
    }
    found |= {"ContentPolicyViolationError": kind_of(vendor.ContentPolicyViolationError(**given))}
    found |= {"InternalServerError": kind_of(vendor.InternalServerError(**given))}
    assert found == {
        "AuthenticationError": errors.ModelUnauthorized,
        "RateLimitError": errors.ModelRateLimited,
        "ContextWindowExceededError": errors.ContextLengthExceeded,
        "NotFoundError": errors.ModelNotFound,
        "Timeout": errors.ModelTimeout,
        "ContentPolicyViolationError": errors.ContentRefused,
        "InternalServerError": errors.UpstreamFailed,
    }


def test_code_of_an_answer_that_ended_badly_is_sorted_too() -> None:
    kinds = [kind_of_code(code) for code in ("rate_limit_exceeded", "server_error", "invalid_prompt", "vector", None)]
    assert kinds == [
        errors.ModelRateLimited,
        errors.UpstreamFailed,
        errors.ContentRefused,
        errors.UpstreamFailed,
        errors.UpstreamFailed,
    ]


def test_retry_after_may_be_a_date_or_milliseconds() -> None:
    assert 25 < retry_after(status(429, **{"retry-after": formatdate(time.time() + 30, usegmt=True)})) <= 30
    assert retry_after(status(429, **{"retry-after-ms": "1500", "retry-after": "9"})) == 1.5
    assert retry_after(VendorError(response=SimpleNamespace(headers={"retry-after": "3"}))) == 3


def refusing(code: int, name: str, **headers: str) -> Failure:
    return Failure(code, f'{{"error": {{"message": "sk-live-1", "code": "{name}"}}}}', headers)


def ask(start: Start, monkeypatch: pytest.MonkeyPatch, url: str, model: Any = "one", **variables: str) -> Any:
    agency = lambda: Agency(Agent(name="One", instructions="One", model=model))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=url, **variables)
    from agency_lambda.testing.events import Context, http_event

    answer = service.handler(http_event("POST", "/v1/responses", {"model": "letters", "input": "x"}), Context(60))
    assert "sk-live" not in str(answer)
    return answer


@pytest.mark.parametrize(
    ("failure", "code", "http"),
    [
        (refusing(401, "invalid_api_key"), "model_unauthorized", 502),
        (refusing(404, "model_not_found"), "model_not_found", 502),
        (refusing(400, "context_length_exceeded"), "context_length_exceeded", 400),
        (refusing(400, "content_policy_violation"), "content_refused", 400),
        (refusing(429, "insufficient_quota"), "model_out_of_quota", 502),
        (refusing(429, "rate_limit_exceeded", **{"retry-after": "61"}), "rate_limited", 429),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_client_is_told_which_kind_after_one_request(
    start: Start, monkeypatch: pytest.MonkeyPatch, failure: Failure, code: str, http: int
) -> None:
    with ModelServer(lambda request: failure) as server:
        answer = ask(start, monkeypatch, server.base_url)
        assert len(server.requests) == 1
    assert (answer["statusCode"], f'"code":"{code}"' in answer["body"]) == (http, True)
    assert answer["headers"]["x-should-retry"] == "false"
    assert answer["headers"].get("retry-after") == ("61" if http == 429 else None)


def test_provider_that_asks_for_a_moment_is_asked_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = refusing(429, "rate_limit_exceeded", **{"retry-after-ms": "5"})
    with ModelServer([busy, busy, "at last"]) as server:
        assert ask(start, monkeypatch, server.base_url)["statusCode"] == 200


class OwnModel(Model):
    """An adopter's own, that fails in its own way."""

    model = "own"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error

    async def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VendorError("sk-live-2", status_code=401), "model_unauthorized"),
        (VendorError("sk-live-2", status_code=429), "rate_limited"),
        (RuntimeError("sk-live-2"), "internal_error"),
        (TimeoutError("sk-live-2"), "model_timeout"),
    ],
)
def test_failure_of_a_model_of_the_agencys_own_is_sorted(
    start: Start, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    answer = ask(start, monkeypatch, "http://127.0.0.1:9/v1", OwnModel(error))
    assert f'"code":"{code}"' in answer["body"]


@contextmanager
def pinging() -> Iterator[str]:
    """A server that sends the headers of a stream, and then a comment every 20 ms for ever."""
    over, door = threading.Event(), socket.create_server(("127.0.0.1", 0))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = door.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(head)
                    while not over.wait(0.02):
                        connection.sendall(b": ping\n\n")
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}/v1"
    finally:
        over.set()
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join()


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_stream_of_headers_and_comments_alone_is_silence(
    start: Start, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    agency = lambda: Agency(Agent(name="One", instructions="One", model="one"))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with pinging() as url:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=url, MODEL_API=api, MODEL_FIRST_BYTE_SECONDS="0.3")
        last = service.respond("x", stream=True)[-1]
    assert (last["type"], last["response"]["error"]["detail_code"]) == ("response.failed", "model_timeout")


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("stream", [False, True])
def test_model_is_told_of_a_tool_that_it_made_up(
    start: Start, monkeypatch: pytest.MonkeyPatch, api: str, stream: bool
) -> None:
    """Whoever it is: the agent that the client addresses, and its colleague."""

    def agency() -> Agency:
        boss = Agent(name="Boss", instructions="You are Boss.", model="one")
        ann = Agent(name="Ann", instructions="You are Ann.", model="one")
        return Agency(boss, communication_flows=[boss > ann])

    def play(request: Any) -> Any:
        told = [str(item.get("output")) for item in request.items if item.get("type") == "function_call_output"]
        if any("not found" in each for each in told):
            send = call("send_message", recipient_agent="Ann", message="go", additional_instructions="")
            return send if "Boss" in request.instructions and len(told) == 1 else "I see."
        return call("made_up")

    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with ModelServer(play) as server:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MODEL_API=api)
        answer = service.respond("x", stream=stream)
        agents = [("Ann" in request.instructions) for request in server.requests]
    assert (answer[-1]["response"] if stream else answer)["status"] == "completed"
    assert agents == [False, False, True, True, False]
