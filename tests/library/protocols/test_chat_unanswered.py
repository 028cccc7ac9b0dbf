"""Where a chat has no answer its client gets an error that says where to look, which no client repeats by itself."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from tests.library.approvals.desk import Desk
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form_event
from tests.library.model_server import Failure, ModelRequest, ModelServer, call
from tests.library.protocols.chat import ASK, joined, read, send

Start = Callable[..., Service]
ANN = bearer("ann")


async def act() -> None:
    """What the tool does."""


def agency() -> Agency:
    @function_tool
    async def tool() -> str:
        """Acts."""
        await act()
        return "acted"

    return Agency(Agent(name="One", instructions="One", model="one", tools=[tool]))


def played(request: ModelRequest) -> Any:
    return "Done." if "output" in request.items[-1] else call("tool")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with ModelServer(played) as running:
        yield running


@pytest.fixture
def serve(start: Start, server: ModelServer) -> Start:
    return lambda **settings: start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, QUEUE="local", **settings)


def unanswered(answer: tuple[int, Any, dict[str, str]], code: str) -> dict[str, Any]:
    """Return the error, which no client repeats: not even those that repeat a 409, a 429 and a 5xx."""
    status, body, headers = answer
    error: dict[str, Any] = body["error"]
    assert (status, error["code"], error["type"]) == (400, code, "invalid_request_error")
    assert headers["location"] == f"/v1/responses/{error['response_id']}"
    assert error["response_id"] in error["message"]
    return error


def test_a_run_that_outlives_the_request_is_found_under_its_id(serve: Start, server: ModelServer) -> None:
    service = serve(ANSWER_SECONDS="1")
    server.delay = 0.8
    error = unanswered(send(service, ASK), "run_goes_on")
    service.handler.run(worker.work(get_run_service(), error["response_id"]))
    _, response = service.get(f"/v1/responses/{error['response_id']}")
    assert (response["status"], response["output"][-1]["content"][0]["text"]) == ("completed", "Done.")
    assert len(server.requests) <= 3  # of two answers, one of them asked again


def test_code_that_blocks_until_the_deadline_is_no_failure(serve: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async def block() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            time.sleep(0.01)  # noqa: ASYNC251 - that is the fault

    monkeypatch.setattr(sys.modules[__name__], "act", block)
    unanswered(send(serve(), ASK, seconds=2), "run_goes_on")


def test_a_stream_that_ends_before_its_run_says_so(serve: Start, server: ModelServer) -> None:
    service, server.delay = serve(), 1.5
    status, body, _ = send(service, {**ASK, "stream": True}, seconds=4)
    assert status == 200
    first, *_, last = read(body)
    assert (last["error"]["code"], last["error"]["response_id"]) == ("run_goes_on", first["id"])
    assert [lease.id for lease in service.handler.run(Leases(get_run_service().store).all())] == [first["id"]]


def test_the_same_idempotency_key_finds_the_answer_later(serve: Start, server: ModelServer) -> None:
    service, server.delay, key = serve(ANSWER_SECONDS="0.5"), 0.8, {"idempotency-key": "k"}
    error = unanswered(send(service, ASK, **key), "run_goes_on")
    assert unanswered(send(service, ASK, **key), "run_goes_on") == error
    service.handler.run(worker.work(get_run_service(), error["response_id"]))
    status, completion, _ = send(service, ASK, **key)
    assert (status, completion["id"]) == (200, error["response_id"])
    assert completion["choices"][0]["message"]["content"] == "Done."


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_that_is_cancelled_has_no_answer(serve: Start, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    async def cancel() -> None:
        leases = Leases(get_run_service().store)
        await leases.cancel((await leases.all())[0].id)
        await asyncio.sleep(30)

    monkeypatch.setattr(sys.modules[__name__], "act", cancel)
    answer = send(serve(), {**ASK, "stream": stream})
    if stream:
        assert read(answer[1])[-1]["error"]["code"] == "run_cancelled"
    else:
        unanswered(answer, "run_cancelled")


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Failure(401), "model_unauthorized"), (Failure(0), "upstream_failed"), (Failure(0, after=6), "upstream_failed")],
    ids=["refused", "dropped", "in the middle"],
)
def test_a_model_that_fails_is_an_error_in_the_stream(
    serve: Start, server: ModelServer, failure: Failure, code: str
) -> None:
    server.answer = lambda request: failure
    service = serve()
    chunks = read(send(service, {**ASK, "stream": True})[1])
    error = chunks[-1]["error"]
    assert (error["code"], error["type"], error["param"]) == (code, "server_error", None)
    assert "finish_reason" not in joined(chunks[:-1])
    status, body, headers = send(service, ASK)
    assert (status, body["error"]["code"], headers["x-should-retry"]) == (502, code, "false")
    assert service.get(f"/v1/responses/{chunks[0]['id']}")[1]["status"] == "failed"


# Approvals


@pytest.fixture
def at(start: Start) -> Desk:
    return Desk(start(API_KEYS=api_keys(), ANSWER_SECONDS="1"), [])


def pay(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "payments", "messages": [{"role": "user", "content": text}], **fields}


@pytest.mark.parametrize("stream", [False, True])
def test_a_person_who_does_not_decide_in_time_is_named(at: Desk, stream: bool) -> None:
    answer = send(at.service, pay("pay ann", stream=stream), 3, **ANN)
    (waiting,) = at.pending()
    error = read(answer[1])[-1]["error"] if stream else unanswered(answer, "approval_required")
    assert error["code"] == "approval_required"
    assert error["approvals"] == [waiting["id"]]
    assert f"POST /v1/approvals/{waiting['id']}" in error["message"]
    at.decide(waiting["id"])
    at.work(error["response_id"])
    assert (
        at.response(error["response_id"])["output"][-1]["content"][0]["text"] == "[offline model] Entry: paid 1 to ann"
    )


def test_a_stream_shows_at_once_that_a_person_is_asked(at: Desk) -> None:
    shown = joined(read(send(at.service, pay("pay ann", stream=True), 3, **ANN)[1])[:-1])
    (waiting,) = at.pending()
    assert shown["content"] == ""
    assert shown["reasoning_content"] == f"Entry asks a person: pay (POST /v1/approvals/{waiting['id']} decides)"


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_with_the_same_key_waits_on_and_has_the_rest(at: Desk, stream: bool) -> None:
    key, body = {"idempotency-key": "order"}, pay("pay ann; pay bob", stream=stream)
    first = send(at.service, body, 3, **ANN, **key)
    for _ in range(2):
        (waiting,) = at.pending()
        at.decide(waiting["id"])
        at.work(waiting["continued_by"] or waiting["response_id"])
    answer = send(at.service, body, 10, **ANN, **key)
    if stream:
        chunks = read(answer[1])
        message = joined(chunks)
        assert chunks[0]["id"] == read(first[1])[0]["id"]
    else:
        message = answer[1]["choices"][0]["message"] | {"finish_reason": answer[1]["choices"][0]["finish_reason"]}
    assert (message["content"], message["finish_reason"]) == (
        "[offline model] Entry: paid 1 to ann | paid 1 to bob",
        "stop",
    )


def test_another_owner_finds_no_run_and_decides_nothing(at: Desk) -> None:
    error = unanswered(send(at.service, pay("pay ann"), 3, **ANN), "approval_required")
    bob = bearer("bob")
    assert at.service.get(f"/v1/responses/{error['response_id']}", **bob)[0] == 404
    assert at.service.post(f"/v1/approvals/{error['approvals'][0]}", {"approve": True}, **bob)[0] == 404
    assert at.service.post(f"/v1/responses/{error['response_id']}/cancel", None, **bob)[0] == 404


def test_a_file_is_sent_by_its_id_and_is_its_owners(at: Desk) -> None:
    _, file = at.service.send(form_event("/v1/files", file_form(b"%PDF-1.7", "a.pdf"), **ANN))
    content = [{"type": "text", "text": "look here"}, {"type": "file", "file": {"file_id": file["id"]}}]
    body = {"model": "payments", "messages": [{"role": "user", "content": content}]}
    assert send(at.service, body, **ANN)[0] == 200
    status, answer, _ = send(at.service, body, **bearer("bob"))
    assert (status, answer["error"]["param"]) == (404, "messages[0].content[1].file.file_id")


def test_what_is_not_stored_cannot_wait_for_a_person(at: Desk) -> None:
    status, body, _ = send(at.service, pay("pay ann", store=False), 3, **ANN)
    assert (status, body["error"]["code"]) == (400, "approval_not_stored")
