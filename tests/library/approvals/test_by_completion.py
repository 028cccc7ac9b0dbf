"""POST /completion of an agency that asks: 202 with the approvals until they are decided, then the answer."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.library.approvals.desk import Desk
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service


@pytest.fixture
def at(start: Callable[..., Service]) -> Desk:
    return Desk(start(API_KEYS=api_keys()), [])


def complete(at: Desk, message: str, key: str = "", thread: str = "t") -> tuple[int, Any]:
    body = {"agency": "payments", "message": message, "thread_id": thread}
    return at.service.post("/completion", body, **bearer("ann"), **({"idempotency-key": key} if key else {}))


def asked(at: Desk, message: str) -> tuple[str, list[str]]:
    """Repeat the request. Returns the id of the run that goes on, and those of the approvals."""
    status, unfinished = complete(at, message, key="order")
    assert (status, unfinished["status"], unfinished["thread_id"]) == (202, "in_progress", "t")
    return unfinished["run_id"], [each["id"] for each in unfinished.get("approvals", [])]


def test_repeated_request_shows_what_waits_and_then_the_answer(at: Desk) -> None:
    message = "pay ann & pay bob; pay dan"
    run_id, approvals = asked(at, message)
    assert sorted(approvals) == sorted(each["id"] for each in at.pending())
    assert {each["continued_by"] for each in at.pending()} == {run_id}
    at.decide(approvals[0])
    assert asked(at, message) == (run_id, approvals[1:])
    at.work(run_id)
    at.decide(approvals[1])
    assert asked(at, message) == (run_id, [])
    at.work(run_id)
    (last,) = at.pending()
    assert asked(at, message) == (run_id, [last["id"]])
    at.decide(last["id"], approve=False, reason="Not Dan.")
    at.work(run_id)
    status, answer = complete(at, message, key="order")
    assert (status, answer["run_id"]) == (200, run_id)
    assert answer["response"].endswith("paid 1 to ann | paid 1 to bob | Not Dan.")
    assert complete(at, "hello")[0] == 200


def test_thread_that_waits_takes_no_other_message_until_it_is_cancelled(at: Desk) -> None:
    run_id, _ = asked(at, "pay ann")
    status, refused = complete(at, "hello")
    assert (status, refused["error"]["type"]) == (409, "conversation_busy")
    assert at.service.post(f"/v1/responses/{run_id}/cancel", None, **bearer("ann"))[0] == 200
    assert complete(at, "hello")[0] == 200
    assert at.pending() == []


def test_repeated_request_names_the_thread_of_its_run(at: Desk) -> None:
    body = {"agency": "payments", "message": "pay ann"}
    given = {**bearer("ann"), "idempotency-key": "order"}
    (status, first), (_, again) = [at.service.post("/completion", body, **given) for _ in range(2)]
    assert (status, again["run_id"], again["thread_id"]) == (202, first["run_id"], first["thread_id"])
    at.decide(first["approvals"][0]["id"])
    at.work(first["run_id"])
    assert at.service.post("/completion", body, **given)[1]["thread_id"] == first["thread_id"]
