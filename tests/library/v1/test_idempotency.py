"""Idempotency-Key: the same key and body give the same response, also when both arrive at once."""

import asyncio
import json
from typing import Any

import pytest

from agency_lambda.runs.idempotency_keys import IdempotencyKeys, IdempotentRequest
from agency_lambda.store import Put
from agency_lambda.testing.events import Context, http_event
from agency_lambda.testing.service import read_events
from tests.library.conftest import Service

ASK = {"model": "letters", "input": "hello"}
KEY = {"idempotency-key": "key-1"}


def stream(service: Service, body: Any) -> Any:
    return read_events(streamed(service, body, **KEY))


def streamed(service: Service, body: Any, **headers: str) -> str:
    answer = service.handler(http_event("POST", "/v1/responses", {**body, "stream": True}, **headers), Context(60))
    text: str = answer["body"]
    return text


def test_the_same_request_has_the_same_response(service: Service) -> None:
    first = service.post("/v1/responses", ASK, **KEY)
    used = service.report.fields["model_calls"]
    assert used > 0
    assert service.post("/v1/responses", ASK, **KEY) == first
    assert "model_calls" not in service.report.fields
    other = service.post("/v1/responses", ASK, **{"idempotency-key": "key-2"})
    assert other[1]["id"] != first[1]["id"]


def test_the_same_stream_is_told_again(service: Service) -> None:
    first = stream(service, ASK)
    assert stream(service, ASK) == first
    assert "model_calls" not in service.report.fields


def test_the_same_stream_goes_on_behind_the_last_event_that_has_come(service: Service) -> None:
    chunks = streamed(service, ASK, **KEY).split("\n\n")
    assert streamed(service, ASK, **KEY, **{"last-event-id": "5"}).split("\n\n") == chunks[6:]
    other = streamed(service, ASK, **{"last-event-id": "5"})  # without the key it is another run
    assert other.startswith("id: 0\n")


def test_another_request_under_the_key_is_refused(service: Service) -> None:
    service.post("/v1/responses", ASK, **KEY)
    for body in ({**ASK, "input": "something else"}, {**ASK, "stream": True}):
        status, answer = service.post("/v1/responses", body, **KEY)
        assert (status, answer["error"]["code"]) == (409, "idempotency_key_reused")


def test_what_was_refused_does_not_use_up_the_key(service: Service) -> None:
    assert service.post("/v1/responses", {**ASK, "model": "nobody"}, **KEY)[0] == 404
    assert service.post("/v1/responses", ASK, **KEY)[0] == 200


def test_what_failed_fails_again_the_same_way(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from agency_lambda.errors import UpstreamFailed

    async def fails(*_: Any) -> Any:
        raise UpstreamFailed("The model did not answer.")

    with monkeypatch.context() as broken:
        broken.setattr("agency_lambda.framework.execution.AgencyExecution.run", fails)
        first = service.post("/v1/responses", ASK, **KEY)
    assert first[0] == 502
    assert service.post("/v1/responses", ASK, **KEY) == first


def test_completion_has_it_too(service: Service) -> None:
    first = service.post("/completion", {"message": "hello"}, **KEY)
    assert first[0] == 200
    assert service.post("/completion", {"message": "hello"}, **KEY) == first
    assert service.post("/completion", {"message": "hello", "thread_id": "t"}, **KEY)[0] == 409


ROUTES = ["/letters/get_response", "/letters/get_response_stream", "/payments/get_response", "/completion"]


@pytest.mark.parametrize("first", ROUTES)
def test_the_key_of_one_route_or_agency_is_none_of_another(service: Service, first: str) -> None:
    assert service.handler(http_event("POST", first, {"message": "hello"}, **KEY), Context(60))["statusCode"] == 200
    for path in {*ROUTES} - {first}:
        status, answer = service.post(path, {"message": "hello"}, **KEY)
        assert (status, answer["error"]["type"]) == (409, "idempotency_key_reused"), path


@pytest.fixture
def earlier_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are stored as they were without their route."""
    put = IdempotencyKeys.put

    def put_without_route(self: IdempotencyKeys, request: IdempotentRequest, response_id: str) -> Put:
        change = put(self, request, response_id)
        del change.body["request"]
        return change

    monkeypatch.setattr(IdempotencyKeys, "put", put_without_route)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", ASK),
        ("/v1/chat/completions", {"model": "letters", "messages": [{"role": "user", "content": "hello"}]}),
        ("/completion", {"message": "hello"}),
        ("/letters/get_response", {"message": "hello"}),
    ],
)
@pytest.mark.usefixtures("earlier_version")
def test_a_key_of_an_earlier_version_gives_the_same_response(service: Service, path: str, body: Any) -> None:
    first = service.post(path, body, **KEY)
    assert first[0] == 200
    assert service.post(path, body, **KEY) == first
    assert "model_calls" not in service.report.fields


@pytest.mark.usefixtures("earlier_version")
def test_completion_answers_no_run_of_another_route(service: Service) -> None:
    assert service.post("/letters/get_response", {"message": "hello"}, **KEY)[0] == 200
    status, answer = service.post("/completion", {"message": "hello"}, **KEY)
    assert (status, answer["error"]["type"]) == (409, "idempotency_key_reused")


def test_it_needs_a_stored_response(service: Service) -> None:
    status, answer = service.post("/v1/responses", {**ASK, "store": False}, **KEY)
    assert (status, answer["error"]["param"]) == (400, "store")


@pytest.mark.parametrize("conversation", [False, True])
def test_both_at_once_are_one_run(service: Service, conversation: bool) -> None:
    body = dict(ASK)
    if conversation:
        body["conversation"] = service.post("/v1/conversations", {})[1]["id"]

    async def ask() -> Any:
        sent: list[Any] = []
        received = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

        async def receive() -> Any:
            return received.pop() if received else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json"), (b"host", b"localhost"), (b"idempotency-key", b"k")]
        scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
        await service.handler.asgi(scope, receive, send)
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))

    async def both() -> Any:
        return await asyncio.gather(*(ask() for _ in range(5)))

    answers = service.handler.run(both())
    assert [status for status, _ in answers] == [200] * 5
    assert len({answer["id"] for _, answer in answers}) == 1
    assert sum("model_calls" in report.fields for report in service.reports) == 1
