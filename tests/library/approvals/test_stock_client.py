"""OpenAI's official client answers approvals as it is."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from agency_lambda.testing.events import Context, http_event
from tests.library.approvals.desk import Desk, Start, asked_in, desk

__all__ = ["desk"]
PAY: Any = {"model": "desk", "input": "Pay Bob."}


def client_of(at: Desk) -> OpenAI:
    """Ann's client, of the service in this process."""

    def respond(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        path, key = request.url.raw_path.decode(), request.headers["authorization"]
        answer = at.service.handler(http_event(request.method, path, body, authorization=key), Context(60))
        return httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"])

    served = httpx.Client(transport=httpx.MockTransport(respond))
    return OpenAI(base_url="http://127.0.0.1/v1", api_key="al_ann", http_client=served, max_retries=0)


def answering(response: Any, *, approve: bool = True, **more: Any) -> Any:
    """Return the input that answers all requests of a response."""
    asked = [item for item in response.output if item.type == "mcp_approval_request"]
    assert asked
    return [
        {"type": "mcp_approval_response", "approval_request_id": item.id, "approve": approve, **more} for item in asked
    ]


@pytest.mark.parametrize("approve", [True, False])
def test_answer_with_the_previous_response_makes_the_rest(desk: Start, approve: bool) -> None:
    at = desk()
    client = client_of(at)
    first = client.responses.create(**PAY)
    request = first.output[-1]
    assert (first.status, request.type, request.name) == ("completed", "mcp_approval_request", "pay_0")  # type: ignore[union-attr]
    given = answering(first, approve=approve, reason="Too dear.")
    rest = client.responses.create(model="desk", previous_response_id=first.id, input=given)
    assert (rest.status, len(at.paid)) == ("completed", int(approve))
    assert ("paid" if approve else "Too dear.") in rest.output_text
    assert rest.usage is not None
    assert first.usage is not None
    assert (first.usage.model_calls, rest.usage.model_calls) == (1, 1)  # type: ignore[attr-defined]
    assert client.responses.retrieve(first.id).output == first.output
    with pytest.raises(openai.ConflictError, match=r"approved|refused"):
        client.responses.create(model="desk", previous_response_id=first.id, input=given)


def test_streams_end_as_the_helper_of_the_client_wants(desk: Start) -> None:
    at = desk()
    client = client_of(at)
    with client.responses.stream(**PAY) as stream:
        first = stream.get_final_response()
    given = answering(first)
    with client.responses.stream(model="desk", previous_response_id=first.id, input=given) as stream:
        assert "paid" in stream.get_final_response().output_text
    assert len(at.paid) == 1


def test_in_the_background_the_same_id_goes_on(desk: Start) -> None:
    at = desk()
    client = client_of(at)
    begun = client.responses.create(**PAY, background=True)
    at.work(begun.id)
    waiting = client.responses.retrieve(begun.id)
    assert waiting.status == "in_progress"
    answered = client.responses.create(
        model="desk", previous_response_id=begun.id, input=answering(waiting), background=True
    )
    assert answered.id == begun.id
    at.work(begun.id)
    assert "paid" in client.responses.retrieve(begun.id).output_text


def test_in_a_conversation_the_run_that_waits_holds_its_turn(desk: Start) -> None:
    at = desk()
    client = client_of(at)
    conversation = client.conversations.create()
    first = client.responses.create(**PAY, conversation=conversation.id)
    with pytest.raises(openai.ConflictError, match="conversation"):
        client.responses.create(**PAY, conversation=conversation.id)
    client.responses.create(model="desk", conversation=conversation.id, input=answering(first))
    assert len(at.paid) == 1
    again = client.responses.create(**PAY, conversation=conversation.id)
    last = client.responses.create(**PAY, conversation=conversation.id, extra_body={"cancel_waiting": True})
    assert (last.status, len(asked_in(last.to_dict()))) == ("completed", 1)  # type: ignore[arg-type]
    assert [each["response_id"] for each in at.pending()] == [last.id]
    assert again.id != last.id


def test_run_that_is_not_stored_cannot_wait(desk: Start) -> None:
    at = desk()
    with pytest.raises(openai.BadRequestError) as caught:
        client_of(at).responses.create(**PAY, store=False)
    assert caught.value.code == "approval_not_stored"
    assert at.paid == []
