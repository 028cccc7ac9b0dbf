"""What agents ask a person interrupts a run of AG-UI, and `resume` answers it."""

from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from tests.library.approvals.desk import Desk, desk
from tests.library.callers import bearer
from tests.library.protocols.ag_ui import AgUi, Refused

__all__ = ["desk"]

Start = Callable[..., Desk]


def pays(count: int) -> OfflineModel:
    """Calls the tool so often at once, and then says what became of it; to anything but "Pay." it says "Fine."."""
    calls = [("pay_0", {"to": f"p{number}", "amount": number}) for number in range(1, count + 1)]

    def answer(turn: Any) -> Any:
        if turn.calls or turn.message != "Pay.":
            return " | ".join(call.output for call in turn.calls) or "Fine."
        return calls

    return OfflineModel("Solo", answer)


def thread(at: Desk, caller: str = "ann", **options: Any) -> AgUi:
    return AgUi(at.service, "desk", **bearer(caller), **options)


def spoken(client: AgUi) -> str:
    return " ".join(each["content"] for each in client.messages if each["role"] == "assistant")


def test_run_is_interrupted_and_says_what_is_asked(desk: Start) -> None:
    client = thread(desk(model=pays(1)))
    client.say("Pay.")
    (asked,) = client.interrupts
    assert asked["reason"] == "confirmation"
    assert asked["message"] == 'Solo wants to call pay_0(to="p1", amount=1).'
    assert asked["responseSchema"]["required"] == ["approved"]
    assert asked["responseSchema"]["properties"]["editedArgs"]["properties"].keys() == {"to", "amount"}
    assert asked["metadata"]["arguments"] == {"to": "p1", "amount": 1}
    assert asked["expiresAt"].endswith("Z")
    assert client.messages[-1]["content"] == "Solo asks a person: pay_0"


@pytest.mark.parametrize(
    ("answer", "paid"),
    [
        ({"approved": True}, [("p1", 1)]),
        ({"approve": True}, [("p1", 1)]),
        (True, [("p1", 1)]),
        ({"approved": True, "editedArgs": {"to": "eve", "amount": 3}}, [("eve", 3)]),
        ({"approved": False, "reason": "Too dear."}, []),
        (False, []),
        (None, []),
    ],
)
def test_answer_lets_the_run_go_on(desk: Start, answer: Any, paid: Any) -> None:
    at = desk(model=pays(1))
    client = thread(at)
    client.say("Pay.")
    first = client.response_id
    client.resume(answer)
    assert at.paid == paid
    assert client.last["outcome"] == {"type": "success"}
    assert ("Too dear." in spoken(client)) is (isinstance(answer, dict) and "reason" in answer)
    assert at.get(f"/v1/approvals/{at.get(f'/v1/responses/{first}')['output'][-1]['id']}")["decision"]["as"] == "owner"
    client.say("Thanks.")
    assert at.response(client.response_id)["previous_response_id"] is not None


@pytest.mark.parametrize("answer", [{}, {"approved": "yes"}, 7, {"approved": True, "editedArgs": {"to": 1}}, "yes"])
def test_answer_that_says_nothing_decides_nothing(desk: Start, answer: Any) -> None:
    at = desk(model=pays(1))
    client = thread(at)
    client.say("Pay.")
    with pytest.raises(Refused) as refused:
        client.resume(answer)
    assert refused.value.status == 400
    assert len(at.pending()) == 1
    client.resume({"approved": True})
    assert len(at.paid) == 1


def test_question_is_answered(desk: Start) -> None:
    asks = [("ask_person", {"question": "Which?", "choices": ["red", "blue"]})]
    at = desk(model=OfflineModel("Solo", lambda turn: f"It is {turn.calls[0].output}." if turn.calls else asks))
    for answer in ({"answer": "blue"}, "blue", {"approved": True, "answer": "blue"}):
        client = thread(at)
        client.say("Ask.")
        (asked,) = client.interrupts
        assert (asked["reason"], asked["message"]) == ("input_required", "Solo asks: Which? (red, blue)")
        assert asked["responseSchema"]["properties"]["answer"]["enum"] == ["red", "blue"]
        with pytest.raises(Refused):
            client.resume("green")
        client.resume(answer)
        assert "It is blue." in spoken(client)


def test_what_has_no_answer_is_asked_again(desk: Start) -> None:
    at = desk(model=pays(3))
    client = thread(at)
    client.say("Pay.")
    assert len(client.interrupts) == 3
    client.resume({"approved": True})
    assert (at.paid, len(client.interrupts)) == ([("p1", 1)], 2)
    client.resume({"approved": True}, None)
    assert at.paid == [("p1", 1), ("p2", 2)]
    assert client.last["outcome"] == {"type": "success"}


def test_thread_that_waits_takes_no_other_message(desk: Start) -> None:
    at = desk(model=pays(1))
    client = thread(at)
    client.say("Pay.")
    with pytest.raises(Refused) as refused:
        client.say("Hello?")
    assert (refused.value.status, refused.value.error["type"]) == (409, "conversation_busy")
    assert "waits for a person" in refused.value.error["message"]
    with pytest.raises(Refused) as refused:
        client.resume({"approved": True})
    assert refused.value.status == 400
    assert at.paid == []
    client.resume(None)  # with the message: the user goes on with something else
    assert (at.paid, at.pending(), client.interrupts) == ([], [], [])
    assert spoken(client).endswith("Fine.")


def test_decision_elsewhere_counts_and_the_thread_goes_on_with_it(desk: Start) -> None:
    at = desk(model=pays(1))
    client = thread(at)
    client.say("Pay.")
    (asked,) = client.interrupts
    assert at.decide(asked["id"], approve=False, reason="By another.")[0] == 200
    at.work(*(str(at.get(f"/v1/approvals/{asked['id']}")["continued_by"]),))
    client.resume({"approved": True})
    assert at.paid == []
    assert "By another." in spoken(client)
    for _ in range(2):  # the same answer again, in another run
        said = spoken(client)
        client.interrupts = [asked]
        client.resume({"approved": True})
        assert spoken(client) == said


def test_run_that_is_repeated_shows_what_has_come_of_it(desk: Start) -> None:
    at = desk(model=pays(1))
    client = thread(at)
    client.say("Pay.", runId="r")
    (asked,) = client.interrupts
    client.run(runId="r")
    assert [each["id"] for each in client.interrupts] == [asked["id"]]
    at.decide(asked["id"])
    at.work(str(at.get(f"/v1/approvals/{asked['id']}")["continued_by"]))
    client.run(runId="r")
    assert client.last["outcome"] == {"type": "success"}
    assert (len(at.paid), spoken(client).count("paid")) == (1, 1)


def test_answer_with_the_interrupted_runs_id_is_another_run(desk: Start) -> None:
    at = desk(model=pays(1))
    client = thread(at, version=None)  # as some clients resume
    client.say("Pay.", runId="r")
    client.resume({"approved": True}, runId="r")
    assert (client.last["type"], client.interrupts, len(at.paid)) == ("RUN_FINISHED", [], 1)


def test_what_nobody_has_asked_and_what_others_have_is_passed_over(desk: Start) -> None:
    at = desk(model=pays(1))
    ann, bob = thread(at), thread(at, "bob")
    ann.say("Pay.")
    bob.messages = [{"id": "u", "role": "user", "content": "Pay."}]
    bob.interrupts = [{"id": "mcpr_nobody"}, ann.interrupts[0]]
    bob.resume({"approved": True}, {"approved": True})
    assert (at.paid, len(at.pending()), len(bob.interrupts)) == ([], 1, 1)
    other = thread(at)
    other.messages, other.interrupts = [*ann.messages], ann.interrupts
    with pytest.raises(Refused) as refused:
        other.resume({"approved": True})
    assert "another thread" in refused.value.error["message"]
    assert at.paid == []


def test_owner_who_may_not_decide_sees_neither_arguments_nor_gets_its_way(desk: Start) -> None:
    at = desk("operators", model=pays(1))
    client = thread(at)
    client.say("Pay.")
    (asked,) = client.interrupts
    assert (asked["metadata"]["arguments"], "responseSchema" in asked) == ({}, False)
    assert asked["message"] == "Solo wants to call pay_0. An operator decides."
    with pytest.raises(Refused) as refused:
        client.resume({"approved": True})
    assert refused.value.status == 403


def test_owner_who_is_an_operator_decides(desk: Start) -> None:
    at = desk("operators", model=pays(1))
    client = thread(at, "eve")
    client.say("Pay.")
    assert client.interrupts[0]["metadata"]["arguments"] == {"to": "p1", "amount": 1}
    client.resume({"approved": True})
    assert at.paid == [("p1", 1)]


def test_cancelled_run_that_waits_ends_as_that(desk: Start) -> None:
    at = desk(model=pays(1))
    client = thread(at)
    client.say("Pay.", runId="r")
    at.service.post(f"/v1/responses/{client.response_id}/cancel", None, **bearer("ann"))
    at.service.handler.run(worker.reap_expired(get_run_service()))
    client.run(runId="r")
    assert client.last["outcome"] == {"type": "cancelled"}
    client.say("Hello?")
    assert spoken(client).endswith("Fine.")


def test_rest_is_answered_after_a_decision_elsewhere(desk: Start) -> None:
    at = desk(model=pays(2))
    client = thread(at)
    client.say("Pay.")
    first, second = client.interrupts
    at.decide(first["id"])
    at.work(str(at.get(f"/v1/approvals/{first['id']}")["continued_by"]))
    client.interrupts, client.seconds = [first, second], 3
    client.resume({"approved": True}, {"approved": True})
    assert client.last["code"] == "in_progress"  # the run goes on under its own id, where a worker takes it
    at.work(client.response_id)
    client.interrupts = [first, second]
    client.resume({"approved": True}, {"approved": True})
    assert client.last["outcome"] == {"type": "success"}
    assert sorted(at.paid) == [("p1", 1), ("p2", 2)]
