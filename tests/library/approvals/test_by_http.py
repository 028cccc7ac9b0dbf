"""A person decides over HTTP: approve, refuse, change, answer; once, and only who may."""

from typing import Any

import pytest

from agency_lambda.approvals.deciders import Decider
from agency_lambda.approvals.queries import find
from agency_lambda.errors import ApprovalDecided
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.approvals import Decision
from agency_lambda.runs.deletion import delete_run
from tests.library.approvals.desk import TO_EVE, Start, asked_in, desk, has, text_of, tool_node
from tests.library.callers import bearer

__all__ = ["desk"]


def test_approved_call_is_made_once_under_the_same_id(desk: Start, url: str) -> None:
    at = desk(STORE=url)
    response = at.ask()
    assert (response["status"], at.paid) == ("in_progress", [])
    (item,), (waiting,) = asked_in(response), at.pending()
    assert (item["id"], item["name"], item["server_label"]) == (waiting["id"], "pay_0", "desk")
    assert (waiting["response_id"], waiting["agency"], waiting["agent"]) == (response["id"], "desk", "Solo")
    status, decided = at.decide(waiting["id"], reason="Fine.")
    assert (status, decided["status"], decided["continued_by"]) == (200, "approved", None)
    assert decided["arguments"] == waiting["arguments"]
    assert at.pending() == []
    at.work(response["id"])
    response = at.response(response["id"])
    assert (response["status"], len(at.paid)) == ("completed", 1)
    assert "paid" in text_of(response)
    assert at.get(f"/v1/approvals/{waiting['id']}") == decided


def test_refused_call_is_not_made_and_the_model_gets_the_reason(desk: Start) -> None:
    at = desk()
    response = at.ask()
    status, decided = at.decide(at.pending()[0]["id"], approve=False, reason="Too dear for us.")
    assert (status, decided["status"], decided["decision"]["reason"]) == (200, "refused", "Too dear for us.")
    at.work(response["id"])
    assert "Too dear for us." in text_of(at.response(response["id"]))
    assert at.paid == []


def test_changed_arguments_are_used_and_both_are_kept(desk: Start) -> None:
    at = desk()
    response = at.ask()
    (waiting,) = at.pending()
    status, refused = at.decide(waiting["id"], arguments={"to": "eve", "amount": "much"})
    assert (status, refused["error"]["param"]) == (400, "arguments.amount")
    _, decided = at.decide(waiting["id"], arguments=TO_EVE)
    assert (decided["arguments"], decided["decision"]["arguments"]) == (waiting["arguments"], TO_EVE)
    at.work(response["id"])
    assert at.paid == [("eve", 1)]
    assert "paid 1 to eve" in text_of(at.response(response["id"]))


def test_question_is_answered_by_one_of_its_choices(desk: Start) -> None:
    asks = [("ask_person", {"question": "Which colour?", "choices": ["red", "blue"]})]
    at = desk(model=OfflineModel("Solo", lambda turn: f"It is {turn.calls[0].output}." if turn.calls else asks))
    response = at.ask()
    (waiting,) = at.pending()
    assert (waiting["kind"], waiting["name"]) == ("question", "ask_person")
    assert waiting["arguments"] == {"question": "Which colour?", "choices": ["red", "blue"]}
    for wrong in ({}, {"answer": "green"}, {"answer": "red", "arguments": {}}, {"answer": "red", "reason": "blue"}):
        assert at.decide(waiting["id"], **wrong)[0] == 400
    _, decided = at.decide(waiting["id"], answer="blue")
    assert (decided["status"], decided["decision"]["reason"]) == ("approved", "blue")
    at.work(response["id"])
    assert "It is blue." in text_of(at.response(response["id"]))


def test_stock_client_answers_a_question_by_a_reason(desk: Start) -> None:
    asks = [("ask_person", {"question": "Which colour?", "choices": None})]
    at = desk(model=OfflineModel("Solo", lambda turn: f"It is {turn.calls[0].output}." if turn.calls else asks))
    response = at.ask(background=False)
    (item,) = asked_in(response)
    assert item["kind"] == "question"
    answer = {"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": True}
    request = {"model": "desk", "previous_response_id": response["id"]}
    for reason in (None, "", " "):
        status, refused = at.service.post(
            "/v1/responses", {**request, "input": [{**answer, "reason": reason}]}, **bearer("ann")
        )
        assert (status, refused["error"]["param"]) == (400, "reason")
    again = at.ask(**request, background=False, input=[{**answer, "reason": "green"}])
    assert "It is green." in text_of(again)


def test_run_that_is_answered_in_the_background_is_queued_as_its_owners(desk: Start) -> None:
    at = desk()
    response = at.ask(background=False)
    (item,) = asked_in(response)
    answer = {"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": True}
    request = {"model": "desk", "previous_response_id": response["id"], "background": True, "input": [answer]}
    status, again = at.service.post("/v1/responses", request, **bearer("ann"))
    assert status == 200
    assert at.runs.queue.take() == (again["id"], "ann")


def test_empty_reason_is_none(desk: Start) -> None:
    at = desk()
    response = at.ask()
    assert at.decide(at.pending()[0]["id"], approve=False, reason=" ")[1]["decision"]["reason"] is None
    at.work(response["id"])
    assert "not approved" in text_of(at.response(response["id"]))


def test_answer_is_for_questions_only(desk: Start) -> None:
    at = desk()
    at.ask()
    status, refused = at.decide(at.pending()[0]["id"], answer="red")
    assert (status, refused["error"]["param"]) == (400, "answer")


def test_second_decision_is_a_409_that_says_what_was_decided(desk: Start) -> None:
    at = desk()
    at.ask()
    approval = at.pending()[0]["id"]
    assert at.decide(approval, "eve", approve=False)[0] == 200
    for caller in ("ann", "eve"):
        status, refused = at.decide(approval, caller)
        assert (status, refused["error"]["code"]) == (409, "approval_decided")
        assert "refused by 'eve' as operator" in refused["error"]["message"]


def test_of_two_approvers_at_once_one_counts(desk: Start) -> None:
    at = desk()
    for _ in range(20):
        response = at.ask()
        (approval,) = at.run(find(at.runs.store, "ann", at.pending()[0]["id"]))
        yes, no = Decision(approve=True), Decision(approve=False, reason="No.")
        outcomes = at.run(
            at.runs.decide(approval, yes, Decider("ann", "owner")),
            at.runs.decide(approval, no, Decider("eve", "operator")),
        )
        (winner,) = [number for number, each in enumerate(outcomes) if each == response["id"]]
        assert isinstance(outcomes[1 - winner], ApprovalDecided)
        paid = len(at.paid)
        at.work(response["id"])
        decided = at.get(f"/v1/approvals/{approval.id}")
        assert decided["decision"]["as"] == ("owner", "operator")[winner]
        assert len(at.paid) - paid == (1, 0)[winner]


def test_decision_counts_although_another_run_waits_by_now(desk: Start) -> None:
    """Of two requests in the foreground the client answers one, while somebody is about to decide the other."""
    both = [(f"pay_{number}", {"to": "eve", "amount": number}) for number in range(2)]
    at = desk(tools=2, model=OfflineModel("Solo", lambda turn: "Paid." if turn.calls else both))
    response = at.ask(background=False)
    read = [at.run(find(at.runs.store, "ann", each["id"]))[0] for each in asked_in(response)]
    answer = {"type": "mcp_approval_response", "approval_request_id": read[0].id, "approve": True}
    again = at.ask(background=False, input=[answer], previous_response_id=response["id"])
    assert [item["id"] for item in asked_in(again)] == [read[1].id]
    (last,) = at.run(at.runs.decide(read[1], Decision(approve=True), Decider("eve", "operator")))
    assert last not in (response["id"], again["id"], read[1].run)
    at.work(last)
    assert (at.response(last)["status"], len(at.paid)) == ("completed", 2)


@pytest.mark.parametrize("changed", [{"tools": 3}, {"needs_approval": False}])
def test_deployment_while_a_run_waits_repeats_nothing(desk: Start, changed: dict[str, Any]) -> None:
    both = [(f"pay_{number}", {"to": "eve", "amount": number}) for number in range(2)]
    at = desk(tools=2, model=OfflineModel("Solo", lambda turn: f"{turn.calls}" if turn.calls else both))
    response = at.ask()
    first, second = (item["id"] for item in asked_in(response))
    at.version |= changed
    assert at.decide(first, approve=False)[0] == 200
    at.work(response["id"])
    assert (at.paid, [each["id"] for each in at.pending()]) == ([], [second])
    assert at.decide(second)[0] == 200
    at.work(response["id"])
    response = at.response(response["id"])
    assert (response["status"], at.paid, response["usage"]["model_calls"]) == ("completed", [("eve", 1)], 2)


def test_call_that_was_asked_about_waits_although_it_would_not_ask_by_now(desk: Start) -> None:
    async def decided_elsewhere(*_: Any) -> bool:
        return at.version["asks"]

    both = [(f"pay_{number}", {"to": "eve", "amount": number}) for number in range(2)]
    at = desk(tools=2, model=OfflineModel("Solo", lambda turn: "Paid." if turn.calls else both))
    at.version |= {"needs_approval": decided_elsewhere, "asks": True}
    response = at.ask()
    at.version["asks"] = False
    for approval in [item["id"] for item in asked_in(response)]:
        assert at.response(response["id"])["status"] == "in_progress"
        assert at.decide(approval, approve=False)[0] == 200
        at.work(response["id"])
    assert (at.response(response["id"])["status"], at.paid) == ("completed", [])


@pytest.mark.parametrize("approvers", ["operators", "other_operators"])
def test_owner_who_may_not_decide_is_a_403_and_sees_no_arguments(desk: Start, approvers: str) -> None:
    at = desk(approvers)
    response = at.ask()
    (waiting,) = at.pending()
    (item,) = asked_in(response)
    assert (waiting["arguments"], item["arguments"]) == ({}, "{}")
    status, refused = at.decide(waiting["id"])
    assert (status, refused["error"]["code"]) == (403, "approver_required")
    assert at.decide(waiting["id"], "bob")[0] == 404
    status, decided = at.decide(waiting["id"], "eve", approve=False, reason="SECRET")
    assert (status, decided["decision"]["as"]) == (200, "operator")
    assert not has(at.get(f"/v1/approvals/{waiting['id']}"), "SECRET")
    at.work(response["id"])
    assert not has(at.get(f"/v1/responses/{response['id']}/trace"), "SECRET")
    assert has(at.get(f"/v1/admin/responses/{response['id']}/trace", "eve"), "SECRET")


def test_owner_who_may_not_decide_sees_no_reason_in_the_input_either(desk: Start) -> None:
    at = desk("operators")
    response = at.ask(background=False)
    decided = at.decide(at.pending()[0]["id"], "eve", approve=False, reason="SECRET")[1]
    at.work(decided["continued_by"])
    (item,) = at.get(f"/v1/responses/{decided['continued_by']}/input_items")["data"]
    assert (item["approve"], item["reason"]) == (False, None)
    assert "SECRET" in text_of(at.response(decided["continued_by"]))  # the model is told
    assert not has(response, "SECRET")


def test_operator_may_not_decide_what_the_owner_must(desk: Start) -> None:
    at = desk("owner")
    at.ask()
    approval = at.pending()[0]["id"]
    assert at.decide(approval, "eve")[0] == 403
    assert at.decide(approval)[0] == 200


def test_decision_of_another_person_goes_on_in_a_response_that_is_named(desk: Start, url: str) -> None:
    at = desk(STORE=url)
    first = at.ask(background=False)
    assert (first["status"], first["output"][-1]["type"]) == ("completed", "mcp_approval_request")
    (waiting,) = at.pending("eve")
    assert waiting["response_id"] == first["id"]
    continued = waiting["continued_by"]
    assert at.response(continued)["status"] == "in_progress"
    assert at.decide(waiting["id"], "eve")[1]["continued_by"] == continued
    at.work(continued)
    rest = at.response(continued)
    assert (rest["status"], len(at.paid)) == ("completed", 1)
    assert "paid" in text_of(rest)
    assert at.response(first["id"]) == first


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("how", ["cancel", "cancel all", "delete"])
def test_run_that_is_ended_while_it_waits_asks_nobody_any_more(desk: Start, background: bool, how: str) -> None:
    at = desk()
    response = at.ask(background=background)
    (waiting,) = at.pending()
    run = waiting["continued_by"] or response["id"]
    assert [each["status"] for each in at.get("/v1/responses?limit=1")["data"]] == ["in_progress"]
    headers, path = bearer("ann"), f"/v1/responses/{response['id']}"
    if how == "delete":
        assert at.service.delete(path, **headers)[0] == 200
        assert at.service.get(f"/v1/responses/{run}", **headers)[0] == 404
    else:
        status, ended = at.service.post(f"{path if how == 'cancel' else '/v1/responses'}/cancel", None, **headers)
        assert status == 200, ended
        assert at.response(run)["status"] == "cancelled"
    assert (at.pending(), at.paid) == ([], [])
    assert at.get(f"/v1/approvals/{waiting['id']}")["status"] == "withdrawn"
    status, refused = at.decide(waiting["id"])
    assert (status, refused["error"]["code"]) == (409, "approval_decided")
    assert "cancelled or deleted" in refused["error"]["message"]
    if how != "delete":
        (shown,) = tool_node(at.get(f"/v1/responses/{run}/trace"))["approvals"]
        assert shown["status"] == "withdrawn"


def test_run_that_is_deleted_before_it_has_ended_asks_nobody_any_more(desk: Start) -> None:
    at = desk()
    response = at.ask()
    (waiting,) = at.pending()
    at.run(delete_run(at.runs.store, "ann", response["id"]))
    assert at.pending() == []
    assert at.get(f"/v1/approvals/{waiting['id']}")["status"] == "withdrawn"


@pytest.mark.parametrize("background", [True, False])
def test_deleted_conversation_asks_nobody_any_more(desk: Start, background: bool) -> None:
    at = desk()
    status, conversation = at.service.post("/v1/conversations", {}, **bearer("ann"))
    assert status == 200
    at.ask(conversation=conversation["id"], background=background)
    behind = at.service.post(
        "/v1/responses",
        {"model": "desk", "input": "And then?", "background": True, "conversation": conversation["id"]},
        **bearer("ann"),
    )[1]["id"]
    at.work(behind)
    (approval,) = at.pending()
    at.service.delete(f"/v1/conversations/{conversation['id']}", **bearer("ann"))
    assert at.pending() == []
    assert at.get(f"/v1/approvals/{approval['id']}")["status"] == "withdrawn"
    at.work(behind)
    assert at.response(behind)["error"]["detail_code"] == "not_found"
