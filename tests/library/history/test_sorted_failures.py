"""What may pass is tried again in the background; what stays as it is, is not."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from openai import APIConnectionError, APIError, APIStatusError

from agency_lambda.framework.models import selection
from agency_lambda.framework.models.failure_kinds import is_transient
from agency_lambda.framework.models.failures import ModelUnavailable, provider_failures
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.service import RunService
from tests.library.history.test_replay import swarm
from tests.library.model_server import Answer, Failure, ModelServer
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/responses")


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(selection, "_RETRIES", 0)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def refused(status: int, code: str | None = None, kind: str = "invalid_request_error") -> APIStatusError:
    body = {"message": "no", "code": code, "type": kind}
    return APIStatusError("no", response=httpx.Response(status, request=REQUEST), body=body)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        *((refused(status), True) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
        *((refused(status), False) for status in (400, 401, 402, 403, 404, 405, 413, 422)),
        (refused(400, "context_length_exceeded"), False),
        (refused(404, "model_not_found"), False),
        (refused(429, "rate_limit_exceeded"), True),
        (refused(429, "insufficient_quota"), False),
        (refused(429, None, "insufficient_quota"), False),
        (refused(429, "billing_not_active"), False),
        (refused(429, "access_terminated"), False),
        (APIConnectionError(request=REQUEST), True),
        (httpx.ReadTimeout("slow"), True),
        (ValueError("no JSON"), True),
        (APIError("in a stream", REQUEST, body={"code": "server_error"}), True),
        (APIError("in a stream", REQUEST, body={"code": "context_length_exceeded"}), False),
        (APIError("in a stream", REQUEST, body={"code": "invalid_prompt"}), False),
        (APIError("in a stream", REQUEST, body=None), True),
    ],
)
def test_failure_is_passing_or_final(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("-1", 0.0),
        ("soon", 0.0),
        (None, 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read(header: str | None, seconds: float) -> None:
    headers = {} if header is None else {"retry-after": header}
    error = APIStatusError("no", response=httpx.Response(429, headers=headers, request=REQUEST), body=None)
    with pytest.raises(ModelUnavailable) as unavailable, provider_failures():
        raise error
    assert (unavailable.value.transient, unavailable.value.retry_after) == (True, seconds)


async def worked(runs: RunService, stream: bool) -> tuple[int, dict[str, Any], list[float]]:
    """(attempts, the response in the end, seconds until each next attempt)."""
    asked = {"model": "desk", "input": "Go.", "background": True, "stream": stream}
    kept = await runs.create(CreateResponse.model_validate(asked), "owner")
    assert isinstance(kept, StoredResponse)
    run_id, waits = kept.response["id"], list[float]()
    for attempt in range(1, 9):
        await worker.work(runs, run_id)
        lease = await Leases(runs.store).find(run_id)
        if lease is None:
            return attempt, await runs.cancel("owner", run_id), waits
        waits.append(lease.until - time.time())
    raise AssertionError("it does not end")


def in_background(answers: list[Answer], stream: bool = False, api: str = "responses") -> Any:
    async def whole(url: str, folder: str) -> Any:
        service = settings(url, model_api=api, store=f"sqlite:///{folder}/agency.db", max_model_calls=5)
        async with on_stage(lambda: swarm("gpt-4.1"), service) as runs:
            return await worked(runs, stream)

    with tempfile.TemporaryDirectory() as folder, ModelServer(answers) as server:
        attempts, response, waits = asyncio.run(asyncio.wait_for(whole(server.base_url, folder), 30))
        return attempts, response, waits, len(server.requests)


def failing(status: int, code: str = "x", **headers: str) -> Failure:
    return Failure(status, f'{{"error": {{"message": "sk-live-1", "code": "{code}"}}}}', headers)


FINAL = {
    "model_unauthorized": failing(401, "invalid_api_key"),
    "model_not_found": failing(404, "model_not_found"),
    "context_length_exceeded": failing(400, "context_length_exceeded"),
    "content_refused": failing(400, "content_policy_violation"),
    "model_out_of_quota": failing(429, "insufficient_quota"),
    "model_refused_request": failing(400, "unsupported_parameter"),
}


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", FINAL)
def test_final_failure_ends_the_run_at_once(api: str, stream: bool, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for once: by the client of the provider, and by the worker."""
    monkeypatch.setattr(selection, "_RETRIES", 2)
    failure = replace(FINAL[code], headers={})
    attempts, response, _, requests = in_background([failure], stream, api)
    assert (attempts, requests, response["status"]) == (1, 1, "failed")
    assert response["error"]["detail_code"] == code
    is_ours = code in ("model_unauthorized", "model_not_found", "model_out_of_quota")  # and not the request's fault
    assert response["error"]["code"] == ("server_error" if is_ours else "invalid_prompt")
    assert "sk-live" not in str(response)


@pytest.mark.parametrize("stream", [False, True])
def test_passing_failures_are_tried_again(stream: bool) -> None:
    attempts, response, _, requests = in_background([failing(503), Failure(0), failing(429), "done"], stream)
    assert (attempts, requests, response["status"]) == (4, 4, "completed")


def test_provider_may_ask_to_wait_longer() -> None:
    answers = [failing(429, **{"retry-after": "60"}), failing(429, **{"retry-after": "99999"}), "done"]
    _, response, waits, _ = in_background(answers)
    assert response["status"] == "completed"
    assert 60 < waits[0] < 90
    assert 300 < waits[1] < 330


def test_answer_that_nothing_can_be_made_of_is_asked_for_again() -> None:
    """The framework fails behind the journal, where an answer is kept; the next attempt must not find it there."""
    from tests.library.history.provider import Provider

    async def whole(provider: Provider, folder: str) -> Any:
        service = settings(provider.base_url, store=f"sqlite:///{folder}/agency.db")
        async with on_stage(lambda: swarm("gpt-5"), service) as runs:
            return await worked(runs, False)

    with tempfile.TemporaryDirectory() as folder, Provider() as provider:
        provider.script = {"Entry": ["tool", "shell", "text"]}
        attempts, response, _ = asyncio.run(asyncio.wait_for(whole(provider, folder), 30))
    assert (attempts, response["status"], len(provider.bodies)) == (2, "completed", 3)
