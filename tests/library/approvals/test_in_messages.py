"""Persons are asked by agents whose messages runs of their own answer: shown, decided and gone on with as elsewhere."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda import ask_person, once
from agency_lambda.approvals.queries import first_pending
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Delete
from tests.library.approvals.desk import DAY, Desk, asked_in, has, text_of
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.features.messages import batches, to
from tests.library.record.swarm import worked
from tests.library.webhooks.receiver import Receiver, receiver
from tests.library.webhooks.test_approval_events import listen

Begin = Callable[..., Desk]


@pytest.fixture
def swarm(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Begin:
    """swarm(calls, letters=1, before_wait=None, NAME=value, ...): Boss sends messages to Clerk, who makes the calls."""
    paid: list[tuple[str, int]] = []

    def begin(calls: Any, letters: int = 1, before_wait: Any = None, **settings: str) -> Desk:
        @function_tool
        async def look() -> str:
            """Looks."""
            await before_wait()
            return "looked"

        @function_tool(needs_approval=True)
        async def pay(to: str, amount: int) -> str:
            """Pays."""
            paid.append((to, amount))
            return f"paid {amount} to {to}"

        @function_tool
        @once
        async def charge(amount: int) -> str:
            """Charges."""
            paid.append(("charged", amount))
            return f"charged {amount}"

        def create() -> Agency:
            messages = [to("Clerk", str(number)) for number in range(letters)]
            asked = [*messages, *([("look", {})] if before_wait else [])]
            boss = Agent(name="Boss", instructions="B", model=OfflineModel("Boss", batches(asked)), tools=[look])
            model = OfflineModel("Clerk", batches(*calls))
            return Agency(
                boss,
                communication_flows=[
                    (boss, Agent(name="Clerk", instructions="C", model=model, tools=[pay, charge, ask_person]))
                ],
            )

        monkeypatch.setattr("agencies.AGENCIES", {"desk": {"create_agency": create}})
        given = {"API_KEYS": api_keys(), "AGENT_MESSAGES": "queue", **settings}
        return Desk(start(**given), paid)

    return begin


PAY = [[("pay", {"to": "bob", "amount": 5})]]


def drain(at: Desk) -> list[Any]:
    """Work until nothing is queued. Returns the messages that are not for a run."""
    return list(at.service.handler.run(worked(at.runs)))


def ask(at: Desk, **fields: Any) -> str:
    """Returns the id of a run that waits for a run which waits for a person."""
    body = CreateResponse.model_validate({"model": "desk", "input": "Pay.", "background": True, **fields})
    made = at.service.handler.run(at.runs.create(body, "ann"))
    drain(at)
    return str(made.response["id"])


@pytest.mark.parametrize("stream", [False, True])
def test_decision_lets_the_child_go_on_and_then_its_root(swarm: Begin, stream: bool) -> None:
    at = swarm(PAY)
    root = ask(at, stream=stream)
    (waiting,) = at.pending()
    assert (waiting["root_response_id"], waiting["response_id"] != root) == (root, True)
    assert at.response(waiting["response_id"])["sent_by"] == root
    assert at.response(root)["status"] == "in_progress"
    assert waiting["expires_at"] == pytest.approx(time.time() + 7 * DAY, abs=60)  # the message's own deadline
    assert at.paid == []
    _, decided = at.decide(waiting["id"])
    assert (decided["status"], decided["root_response_id"]) == ("approved", root)
    drain(at)
    response = at.response(root)
    assert (response["status"], at.paid, at.pending()) == ("completed", [("bob", 5)], [])
    assert "paid 5 to bob" in text_of(response)
    assert [item["id"] for item in asked_in(response)] == [waiting["id"]]


def shown(at: Desk, response_id: str) -> list[dict[str, Any]]:
    """Returns the items that its stream has shown so far."""
    events = at.service.handler.run(Responses(at.runs.store, "ann").stored_events(response_id))
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_streams_show_what_a_child_asks_in_the_roots(swarm: Begin) -> None:
    at = swarm(PAY)
    root = ask(at, stream=True)
    (waiting,) = at.pending()
    assert ids(asked_in({"output": shown(at, root)})) == [waiting["id"]]
    at.decide(waiting["id"])
    drain(at)
    assert ids(asked_in({"output": shown(at, root)})) == [waiting["id"]]
    assert sorted(ids(shown(at, root))) == sorted(ids(at.response(root)["output"]))


def test_stream_shows_what_a_child_has_asked_before_its_root_begins_to_wait(swarm: Begin) -> None:
    slow = asyncio.Event()
    at = swarm(PAY, before_wait=slow.wait)
    body = CreateResponse.model_validate({"model": "desk", "input": "Pay.", "background": True, "stream": True})
    root = at.service.handler.run(at.runs.create(body, "ann")).response["id"]

    async def whole() -> None:
        working = asyncio.create_task(worked(at.runs, 1))
        while not await first_pending(at.runs.store, "ann"):
            await asyncio.sleep(0.01)
            await worked(at.runs, 1)
        slow.set()
        await working

    at.service.handler.run(whole())
    (waiting,) = at.pending()
    assert ids(asked_in({"output": shown(at, root)})) == [waiting["id"]]


def test_trace_shows_what_waits_in_a_child(swarm: Begin) -> None:
    at = swarm(PAY)
    root = ask(at)
    (waiting,) = at.pending()
    message = at.get(f"/v1/responses/{root}/trace")["root"]["children"][1]
    assert (message["run"]["response_id"], message["run"]["waits_for"]) == (waiting["response_id"], "person")
    (call,) = [node for node in message["children"][0]["children"] if node["type"] == "tool_call"]
    assert [(each["id"], each["status"]) for each in call["approvals"]] == [(waiting["id"], "pending")]
    at.decide(waiting["id"], "eve", reason="SECRET")
    drain(at)
    trace = at.get(f"/v1/responses/{root}/trace")
    (call,) = [node for node in trace["root"]["children"][1]["children"][0]["children"] if node["type"] == "tool_call"]
    assert [(each["status"], each["decided_by"]) for each in call["approvals"]] == [("approved", "eve")]
    assert not has(trace, "SECRET")
    assert has(at.get(f"/v1/admin/responses/{root}/trace", "eve"), "SECRET")


@pytest.mark.parametrize("answers", ["root", "child"])
@pytest.mark.parametrize("background", [True, False])
def test_client_answers_as_openais_does(swarm: Begin, answers: str, background: bool) -> None:
    at = swarm(PAY, ANSWER_SECONDS="1")
    if background:
        root = ask(at)
    else:
        root = str(at.service.post("/v1/responses", {"model": "desk", "input": "x"}, **bearer("ann"))[1]["id"])
        drain(at)
    (waiting,) = at.pending()
    before = {"root": root, "child": waiting["response_id"]}[answers]
    item = {"type": "mcp_approval_response", "approval_request_id": waiting["id"], "approve": True}
    body = {"model": "desk", "previous_response_id": before, "input": [item]}
    other = at.service.post("/v1/responses", {**body, "previous_response_id": "resp_other"}, **bearer("ann"))
    assert (other[0], other[1]["error"]["param"]) == (400, "previous_response_id")
    status, response = at.service.post("/v1/responses", body, **bearer("ann"), **{"idempotency-key": "once"})
    assert (status, response["id"]) == (200 if background else 202, root), response
    drain(at)
    again = at.service.post("/v1/responses", body, **bearer("ann"), **{"idempotency-key": "once"})[1]
    assert (again["id"], again["status"], at.paid) == (root, "completed", [("bob", 5)])


def test_question_is_answered_in_a_child(swarm: Begin) -> None:
    at = swarm([[("ask_person", {"question": "Which colour?", "choices": ["red", "blue"]})]])
    root = ask(at)
    (waiting,) = at.pending()
    at.decide(waiting["id"], answer="blue")
    drain(at)
    assert "blue" in text_of(at.response(root))


def test_several_children_ask_and_the_root_goes_on_with_the_last(swarm: Begin) -> None:
    at = swarm(PAY, letters=3)
    root = ask(at)
    waiting = at.pending()
    assert {each["root_response_id"] for each in waiting} == {root}
    assert len({each["response_id"] for each in waiting}) == 3
    for number, each in enumerate(waiting):
        assert (at.response(root)["status"], len(at.paid)) == ("in_progress", number)
        at.decide(each["id"])
        drain(at)
    assert (at.response(root)["status"], len(at.paid)) == ("completed", 3)


def test_cancelled_root_asks_nobody_any_more(swarm: Begin) -> None:
    at = swarm(PAY)
    root = ask(at)
    (waiting,) = at.pending()
    at.service.post(f"/v1/responses/{root}/cancel", {}, **bearer("ann"))
    drain(at)
    assert (at.pending(), at.get(f"/v1/approvals/{waiting['id']}")["status"]) == ([], "withdrawn")
    assert at.response(waiting["response_id"])["status"] == "cancelled"
    assert at.paid == []


def test_call_that_once_protects_is_not_simply_repeated_in_a_child(swarm: Begin) -> None:
    at = swarm([[("charge", {"amount": 7})], *PAY])
    root = ask(at)
    (waiting,) = at.pending()
    partition = response_partition("ann", waiting["response_id"])

    async def forget() -> None:  # as if a process had died between the call and its record
        for kind in ("made", "tool"):
            for record in await at.runs.store.query(partition, after=f"journal/{kind}/", before=f"journal/{kind}0"):
                await at.runs.store.write(Delete(partition, record.sort))

    at.service.handler.run(forget())
    at.decide(waiting["id"])
    drain(at)
    (repeat,) = at.pending()
    assert (repeat["kind"], repeat["root_response_id"], at.paid) == ("repeat", root, [("charged", 7)])
    at.decide(repeat["id"])
    drain(at)
    assert (at.response(root)["status"], at.paid) == ("completed", [("charged", 7), ("charged", 7), ("bob", 5)])


def test_webhook_names_root_and_child_and_only_the_end_of_the_root(swarm: Begin) -> None:
    at = swarm(PAY, letters=2)
    with receiver() as hook:
        listen(at, hook)
        body = CreateResponse.model_validate({"model": "desk", "input": "Pay.", "background": True})
        root = at.service.handler.run(at.runs.create(body, "ann")).response["id"]
        events = delivered(at, hook)
        waiting = at.pending()
        assert sorted(events, key=str) == sorted(
            (
                ("approval_required", {"id": each["response_id"], "approvals": [each["id"]], "root_response_id": root})
                for each in waiting
            ),
            key=str,
        )
        for each in waiting:
            at.decide(each["id"])
        assert delivered(at, hook) == [("completed", {"id": root})]


def delivered(at: Desk, hook: Receiver) -> list[tuple[str, Any]]:
    before = len(hook.received)
    for message in drain(at):
        at.service.handler.run(at.runs.deliverer.deliver(message))
    payloads = [json.loads(body) for *_, body in hook.received[before:]]
    return [(payload["type"].removeprefix("response."), payload["data"]) for payload in payloads]
