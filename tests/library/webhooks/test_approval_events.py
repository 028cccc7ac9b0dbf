"""A run that waits for persons says so to its owner's webhook: which calls, once."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

import agencies
from agency_lambda.queue.messages import Delivery
from agency_lambda.testing.events import http_event
from tests.library.approvals.desk import Desk, Start, asked_in, desk
from tests.library.callers import bearer
from tests.library.runs.stage import Plays
from tests.library.webhooks.receiver import Receiver, receiver

__all__ = ["desk"]
EVENTS = ["response.completed", "response.cancelled", "response.approval_required"]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def told(at: Desk, hook: Receiver) -> list[tuple[str, Any]]:
    """What the receiver gets when the messages that were queued are worked on."""
    before = len(hook.received)
    while received := at.runs.queue.take():
        message, _ = received
        if isinstance(message, Delivery):
            at.service.handler.run(at.runs.deliverer.deliver(message))
    payloads = [json.loads(body) for *_, body in hook.received[before:]]
    return [(payload["type"].removeprefix("response."), payload["data"]) for payload in payloads]


def listen(at: Desk, hook: Receiver) -> None:
    body = {"url": hook.url, "events": EVENTS}
    assert at.service.send(http_event("PUT", "/v1/webhooks", body, **bearer("ann")))[0] == 200


def test_background_run_names_what_it_asks_each_time_and_then_its_end(desk: Start, hook: Receiver) -> None:
    at = desk(tools=2)  # which the offline model calls one after the other
    listen(at, hook)
    response = at.ask()["id"]
    for number in range(2):
        (waiting,) = [each["id"] for each in at.pending()]
        assert told(at, hook) == [("approval_required", {"id": response, "approvals": [waiting]})]
        assert asked_in(at.response(response))[number]["id"] == waiting
        at.decide(waiting)
        at.work(response)
    assert told(at, hook) == [("completed", {"id": response})]
    assert len(set(hook.ids)) == 3


def test_what_is_asked_at_once_is_one_event_and_is_not_named_again(
    desk: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = desk(tools=2)
    calls: list[Any] = [
        ResponseFunctionToolCall(
            type="function_call", call_id=f"call_{number}", name=f"pay_{number}", arguments='{"to": "bob", "amount": 1}'
        )
        for number in range(2)
    ]
    done = ResponseOutputText(type="output_text", text="Done.", annotations=[])
    message = ResponseOutputMessage(id="msg_1", type="message", role="assistant", status="completed", content=[done])
    plays = Plays(calls, [message])

    def create() -> Any:
        agency = create_desk()
        for agent in agency.agents.values():
            agent.model = plays
        return agency

    create_desk = agencies.AGENCIES["desk"]["create_agency"]
    monkeypatch.setattr("agencies.AGENCIES", {"desk": {"create_agency": create}})
    listen(at, hook)
    response = at.ask()["id"]
    ((event, data),) = told(at, hook)
    assert (event, data["approvals"]) == ("approval_required", [item["id"] for item in asked_in(at.response(response))])
    assert len(data["approvals"]) == 2
    at.decide(data["approvals"][0])
    at.work(response)
    assert (told(at, hook), len(at.pending())) == ([], 1)
    at.decide(data["approvals"][1])
    at.work(response)
    assert told(at, hook) == [("completed", {"id": response})]


def test_foreground_response_that_asks_and_the_one_that_goes_on(desk: Start, hook: Receiver) -> None:
    at = desk()
    listen(at, hook)
    for fields in ({}, {"stream": True}):
        first = at.ask(background=False, **fields)
        (approval,) = [each["id"] for each in at.pending()]
        assert told(at, hook) == [("approval_required", {"id": first["id"], "approvals": [approval]})]
        _, decided = at.decide(approval)
        at.work(decided["continued_by"])
        assert told(at, hook) == [("completed", {"id": decided["continued_by"]})]


def test_run_that_is_cancelled_while_it_waits(desk: Start, hook: Receiver) -> None:
    at = desk()
    listen(at, hook)
    response = at.ask()["id"]
    assert [event for event, _ in told(at, hook)] == ["approval_required"]
    assert at.service.post(f"/v1/responses/{response}/cancel", None, **bearer("ann"))[0] == 200
    assert told(at, hook) == [("cancelled", {"id": response})]
