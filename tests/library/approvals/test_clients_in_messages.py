"""What clients see, and cancel, of a root whose child runs ask persons."""

import time
from typing import Any

import pytest

from tests.library.approvals.desk import Desk, asked_in
from tests.library.approvals.test_in_messages import PAY, Begin, ask, drain, ids, swarm
from tests.library.callers import bearer

__all__ = ["swarm"]


def complete(at: Desk, message: str = "Pay.", **fields: Any) -> tuple[int, Any]:
    """POST /completion, with the same key if the message is the same."""
    given = {"agency": "desk", "message": message, **fields}
    return at.service.post("/completion", given, **bearer("ann"), **{"idempotency-key": message[:3]})


def test_completion_names_what_its_child_runs_ask_and_in_the_end_answers(swarm: Begin) -> None:
    at = swarm(PAY, letters=2, ANSWER_SECONDS="1")
    status, first = complete(at)
    assert (status, first["status"]) == (202, "in_progress")
    drain(at)
    at.runs.answer_seconds = 60
    begun = time.monotonic()
    waiting = at.pending()
    status, again = complete(at)
    assert time.monotonic() - begun < 15
    assert (status, again["run_id"], again["thread_id"]) == (202, first["run_id"], first["thread_id"])
    assert sorted(ids(again["approvals"])) == sorted(ids(waiting))
    assert {each["name"] for each in again["approvals"]} == {"pay"}
    at.decide(waiting[0]["id"])
    drain(at)
    assert ids(complete(at)[1]["approvals"]) == [waiting[1]["id"]]
    at.decide(waiting[1]["id"])
    drain(at)
    status, answer = complete(at)
    assert (status, answer["run_id"], answer["thread_id"]) == (200, first["run_id"], first["thread_id"])
    assert "paid 5 to bob" in answer["response"]


def test_poll_shows_what_child_runs_ask_as_the_last_items(swarm: Begin) -> None:
    at = swarm(PAY, letters=2)
    root = ask(at)
    waiting = ids(at.pending())
    response = at.response(root)
    assert sorted(ids(response["output"][-2:])) == sorted(waiting)
    assert {item["type"] for item in response["output"][-2:]} == {"mcp_approval_request"}
    assert at.get(f"/v1/admin/responses/{root}?owner=ann", "eve")["output"] == response["output"]
    at.decide(waiting[0])
    drain(at)
    assert ids(asked_in(at.response(root))) == waiting[1:]
    at.decide(waiting[1])
    drain(at)
    final = at.response(root)
    assert (final["status"], sorted(ids(asked_in(final)))) == ("completed", sorted(waiting))


def test_answer_of_one_request_shows_the_others(swarm: Begin) -> None:
    at = swarm(PAY, letters=2)
    root = ask(at)
    first, second = ids(at.pending())
    item = {"type": "mcp_approval_response", "approval_request_id": first, "approve": True}
    body = {"model": "desk", "previous_response_id": root, "input": [item], "background": True}
    status, response = at.service.post("/v1/responses", body, **bearer("ann"))
    assert (status, response["id"], ids(asked_in(response))) == (200, root, [second])


def test_request_of_another_root_is_not_shown(swarm: Begin) -> None:
    at = swarm(PAY)
    one, other = ask(at), ask(at)
    shown = [ids(asked_in(at.response(root))) for root in (one, other)]
    asked = {each["root_response_id"]: [each["id"]] for each in at.pending()}
    assert shown == [asked[one], asked[other]]


def test_poll_of_a_run_that_waits_for_no_agents_reads_no_approvals(
    swarm: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = swarm(PAY)
    root = ask(at)
    (waiting,) = at.pending()
    read: list[str] = []
    query = at.runs.store.query

    async def counted(partition: str, **limits: Any) -> Any:
        read.append(partition)
        return await query(partition, **limits)

    monkeypatch.setattr(at.runs.store, "query", counted)
    at.response(root)
    assert read == ["ann/approvals"]
    at.response(waiting["response_id"])
    assert read == ["ann/approvals"]
    at.decide(waiting["id"])
    drain(at)
    read.clear()
    assert at.response(root)["status"] == "completed"
    assert read == []


def in_conversation(at: Desk) -> tuple[str, dict[str, Any]]:
    """Returns the id of a root that waits in a conversation, and another request in it."""
    conversation = at.service.post("/v1/conversations", {}, **bearer("ann"))[1]["id"]
    body = {"model": "desk", "input": "Pay.", "conversation": conversation}
    status, response = at.service.post("/v1/responses", body, **bearer("ann"))
    assert status == 202, response
    return response["id"], body


def test_conversation_is_freed_by_cancelling_the_root_that_waits(swarm: Begin) -> None:
    at = swarm(PAY, ANSWER_SECONDS="1")
    root, body = in_conversation(at)
    drain(at)
    status, busy = at.service.post("/v1/responses", body, **bearer("ann"))
    assert (status, busy["error"]["code"]) == (409, "conversation_busy")
    assert "waits for a person" in busy["error"]["message"]
    status, other = at.service.post("/v1/responses", {**body, "cancel_waiting": True}, **bearer("ann"))
    assert (status, at.response(root)["status"]) == (202, "cancelled")
    assert at.pending() == []
    drain(at)
    assert {each["root_response_id"] for each in at.pending()} == {other["id"]}


def test_conversation_stays_busy_while_nobody_is_asked(swarm: Begin) -> None:
    at = swarm(PAY, ANSWER_SECONDS="1")
    root, body = in_conversation(at)
    status, busy = at.service.post("/v1/responses", {**body, "cancel_waiting": True}, **bearer("ann"))
    assert (status, "Try again" in busy["error"]["message"]) == (409, True)
    assert at.response(root)["status"] == "in_progress"
