"""Clients that keep the whole conversation send it back with an approval's answer, and with every later question."""

from typing import Any

import pytest

from tests.library.approvals.desk import Start, asked_in, desk, text_of
from tests.library.callers import bearer

__all__ = ["desk"]

USER = {"type": "message", "role": "user", "content": "Pay Bob."}


def answer_to(request: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True, **fields}


@pytest.mark.parametrize("form", ["item", "reference", "id"])
def test_answer_behind_its_request_needs_no_id_of_a_response(desk: Start, form: str) -> None:
    at = desk()
    (asked,) = asked_in(at.ask(background=False))
    sent = {"item": asked, "reference": {"type": "item_reference", "id": asked["id"]}, "id": {"id": asked["id"]}}[form]
    again = at.ask(background=False, input=[USER, sent, answer_to(asked)])
    assert (again["status"], len(at.paid)) == ("completed", 1)
    assert "paid" in text_of(again)
    history = [USER, sent, answer_to(asked), *again["output"], {**USER, "content": "Thank you."}]
    status, other = at.service.post("/v1/responses", {"model": "desk", "input": history}, **bearer("ann"))
    assert (status, len(at.paid)) == (200, 1)
    assert other["id"] != again["id"]


@pytest.mark.parametrize("place", ["before", "behind"])
def test_nothing_new_may_be_said_beside_an_answer(desk: Start, place: str) -> None:
    at = desk()
    response = at.ask(background=False)
    (asked,) = asked_in(response)
    items = [USER, answer_to(asked)] if place == "before" else [answer_to(asked), USER]
    for more in ({}, {"previous_response_id": response["id"]}):
        status, refused = at.service.post("/v1/responses", {"model": "desk", "input": items, **more}, **bearer("ann"))
        assert (status, refused["error"]["param"]) == (400, f"input[{items.index(USER)}]")
    items = [USER, asked, USER, answer_to(asked)]
    status, refused = at.service.post("/v1/responses", {"model": "desk", "input": items}, **bearer("ann"))
    assert (status, refused["error"]["param"]) == (400, "input[2]")
    assert len(at.pending()) == 1


def test_answer_of_another_owner_decides_nothing(desk: Start) -> None:
    at = desk()
    (asked,) = asked_in(at.ask(background=False))
    body = {"model": "desk", "input": [USER, asked, answer_to(asked)]}
    status, refused = at.service.post("/v1/responses", body, **bearer("bob"))
    assert (status, refused["error"]["param"]) == (404, "input[2].approval_request_id")
    assert (len(at.pending()), at.paid) == (1, [])
