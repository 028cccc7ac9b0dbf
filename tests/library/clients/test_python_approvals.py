"""The official Python client asks, is asked for approvals, and answers: `mcp_approval_request` and its response."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from tests.library.clients.payments import AGENCY, Payments, answer, ask, go_on, requests, served

SHAPES = {  # what is asked -> how many approvals at each wait, and who is paid in the end
    "pay ann & pay bob & look here": ([2], ["ann", "bob"]),
    "pay ann; look here; pay bob; pay dan": ([1, 1, 1], ["ann", "bob", "dan"]),
    "Colleague: pay ann & Auditor: pay bob": ([2], ["ann", "bob"]),
    "Colleague: Auditor: pay ann; pay bob": ([1, 1], ["ann", "bob"]),
    "Partner! pay ann; pay bob": ([1, 1], ["ann", "bob"]),
}
Send = Callable[..., Response]


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Payments]:
    with served(tmp_path_factory.mktemp("payments")) as running:
        yield running
        assert running.model.refusals == []


@pytest.fixture
def client(payments: Payments) -> Iterator[openai.OpenAI]:
    payments.file.unlink(missing_ok=True)
    payments.model.bodies.clear()
    with openai.OpenAI(**payments.server.options()) as made:
        yield made


def in_foreground(client: openai.OpenAI, **fields: Any) -> Response:
    return client.responses.create(model=AGENCY, **fields)


def in_stream(client: openai.OpenAI, **fields: Any) -> Response:
    with client.responses.stream(model=AGENCY, **fields) as stream:
        return stream.get_final_response()


def in_background(client: openai.OpenAI, **fields: Any) -> Response:
    return settled(client, client.responses.create(model=AGENCY, background=True, **fields))


def settled(client: openai.OpenAI, response: Response) -> Response:
    """Poll a response until it has ended, or asks what it has not asked before."""
    known, end = [each.id for each in requests(response)], time.monotonic() + 20
    while response.status in ("queued", "in_progress") and time.monotonic() < end:
        time.sleep(0.05)
        response = client.responses.retrieve(response.id)
        if [each.id for each in requests(response)] > known:
            break
    return response


def unanswered(response: Response, answered: set[str]) -> list[Any]:
    return [each for each in requests(response) if each.id not in answered]


@pytest.mark.parametrize("text", SHAPES)
@pytest.mark.parametrize(
    ("send", "in_conversation"),
    [(in_foreground, False), (in_foreground, True), (in_stream, False), (in_background, False), (in_background, True)],
)
def test_approved_calls_are_made_once_and_remembered_once(
    payments: Payments, client: openai.OpenAI, send: Send, text: str, in_conversation: bool
) -> None:
    waits, paid = SHAPES[text]
    conversation = client.conversations.create().id if in_conversation else None

    def place(previous: Response) -> dict[str, Any]:
        return {"conversation": conversation} if conversation else {"previous_response_id": previous.id}

    response = send(client, input=text, **({"conversation": conversation} if conversation else {}))
    chain, answered = [response], set[str]()
    for count in waits:
        asked = unanswered(response, answered)
        assert len(asked) == count
        answered |= {each.id for each in asked}
        response = send(client, input=[answer(each) for each in asked], **place(response))
        chain.append(response)
    assert response.status == "completed"
    assert sorted(payments.paid) == paid
    assert all(f"paid 1 to {name}" in response.output_text for name in paid)
    calls = len(payments.model.bodies)
    used = {each.id: each.usage for each in chain if each.usage}
    assert sum(usage.total_tokens for usage in used.values()) == 20 * calls
    assert len({each.id for each in chain}) == (1 if send is in_background else len(chain))
    send(client, input="What was that?", **place(response))
    _remembered_once(payments.model.bodies[-1]["input"], text, response.output_text)


def _remembered_once(items: list[dict[str, Any]], text: str, last: str) -> None:
    said = [
        item["content"] if isinstance(item["content"], str) else item["content"][0]["text"] for item in messages(items)
    ]
    assert [each for each in said if not each.startswith(("Transfer", "User has"))] == [text, last, "What was that?"]
    expected = [each for each in text.replace("! ", "; ").replace(" & ", "; ").split("; ") if each]
    assert len([item for item in items if item["type"] == "function_call"]) == len(expected)


def messages(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["type"] == "message"]


@pytest.mark.parametrize("send", [in_foreground, in_stream, in_background])
def test_refused_call_is_not_made_and_the_model_gets_the_reason(
    payments: Payments, client: openai.OpenAI, send: Send
) -> None:
    asked = send(client, input="Colleague: pay ann & pay bob")
    to = {json.loads(each.arguments)["to"]: each for each in requests(asked)}
    answers = [answer(to["ann"], False, "Too dear for us."), answer(to["bob"], False)]
    response = send(client, input=answers, previous_response_id=asked.id)
    assert payments.paid == []
    assert "Colleague: Too dear for us. | " in response.output_text
    outputs = [item["output"] for body in payments.model.bodies for item in body["input"] if "output" in item]
    assert "Too dear for us." in outputs


def test_request_shows_who_asks_for_what(client: openai.OpenAI) -> None:
    (request,) = requests(ask(client, "Colleague: Auditor: pay ann"))
    assert (request.server_label, request.name) == (AGENCY, "pay")
    assert json.loads(request.arguments) == {"to": "ann", "amount": 1}
    assert request.model_dump()["agent"] == "Auditor"


def test_approvals_are_answered_one_by_one(payments: Payments, client: openai.OpenAI) -> None:
    first = ask(client, "pay ann & Colleague: pay bob & look here")
    one, other = requests(first)
    second = go_on(client, first, answer(one))
    assert [each.id for each in requests(second)] == [other.id]
    assert len(payments.paid) == 1
    third = go_on(client, first, answer(other, approve=False, reason="No."))  # or with the id of the second
    assert (third.status, third.previous_response_id) == ("completed", second.id)
    assert len(payments.paid) == 1
    assert client.responses.retrieve(first.id) == first
    assert client.responses.retrieve(second.id) == second


def test_items_are_those_of_each_response_and_of_the_conversation(client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    first = ask(client, "Colleague: pay ann", conversation=conversation)
    (request,) = requests(first)
    second = client.responses.create(model=AGENCY, input=[answer(request)], conversation=conversation)
    (given,) = client.responses.input_items.list(second.id)
    assert (given.type, given.approval_request_id, given.approve) == ("mcp_approval_response", request.id, True)
    (item,) = client.responses.input_items.list(first.id)
    listed = client.conversations.items.list(conversation, order="asc", limit=100)
    assert [each.id for each in listed] == [item.id, *[each.id for each in (*first.output, given, *second.output)]]


def test_answer_is_repeated_with_its_key_only(payments: Payments, client: openai.OpenAI) -> None:
    for send in (in_foreground, in_background):
        asked = send(client, input="pay ann")
        key = {"extra_headers": {"Idempotency-Key": asked.id}}
        first, second = (go_on(client, asked, **key) for _ in range(2))
        assert (first.id, settled(client, second).status) == (second.id, "completed")
        with pytest.raises(openai.ConflictError) as refused:
            go_on(client, asked)
        assert refused.value.code == "approval_decided"
    assert payments.paid == ["ann"] * 2


REFUSED: dict[str, tuple[int, Callable[[Any], dict[str, Any]]]] = {
    "no place": (400, lambda asked: {"previous_response_id": None}),
    "another response": (400, lambda asked: {"previous_response_id": "resp_1"}),
    "another conversation": (400, lambda asked: {"previous_response_id": None, "conversation": "conv_1"}),
    "not stored": (400, lambda asked: {"store": False}),
    "with a message": (400, lambda asked: {"input": [answer(asked), {"role": "user", "content": "And?"}]}),
    "twice": (400, lambda asked: {"input": [answer(asked), answer(asked, approve=False)]}),
    "another agency": (400, lambda asked: {"model": "letters"}),
    "other instructions": (400, lambda asked: {"instructions": "Be brief."}),
    "of nothing": (404, lambda asked: {"input": [{**answer(asked), "approval_request_id": "mcpr_1"}]}),
}


@pytest.mark.parametrize("send", [in_foreground, in_background])
def test_answer_that_is_refused_decides_nothing(payments: Payments, client: openai.OpenAI, send: Send) -> None:
    asked = send(client, input="pay ann")
    (request,) = requests(asked)
    right = {"model": AGENCY, "input": [answer(request)], "previous_response_id": asked.id}
    for name, (status, change) in REFUSED.items():
        with pytest.raises(openai.APIStatusError) as refused:
            client.responses.create(**{**right, **change(request)})
        assert refused.value.status_code == status, name
    with openai.OpenAI(**payments.server.options(payments.server.stranger)) as stranger:
        own = ask(stranger, "hello").id
        for place in ({"previous_response_id": own}, {"previous_response_id": asked.id}):
            with pytest.raises(openai.NotFoundError):
                stranger.responses.create(**{**right, **place})
    assert payments.paid == []
    send(client, input=[answer(request)], previous_response_id=asked.id)
    assert payments.paid == ["ann"]


def test_response_that_is_not_stored_cannot_wait(payments: Payments, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "pay ann", store=False)
    assert refused.value.code == "approval_not_stored"
    with client.responses.create(model=AGENCY, input="pay ann", store=False, stream=True) as stream:
        last = list(stream)[-1]
    assert last.type == "response.failed"
    assert last.response.error
    assert last.response.error.model_dump()["detail_code"] == "approval_not_stored"
    assert payments.paid == []


@pytest.mark.parametrize("send", [in_foreground, in_background])
@pytest.mark.parametrize("how", ["cancel", "delete", "cancel_waiting"])
def test_run_that_is_ended_while_it_waits_cannot_be_answered(
    payments: Payments, client: openai.OpenAI, send: Send, how: str
) -> None:
    conversation = client.conversations.create().id
    asked = send(client, input="look here & pay ann", conversation=conversation)
    if how == "cancel":
        client.responses.cancel(asked.id)
    elif how == "delete":
        client.responses.delete(asked.id)
    else:
        with pytest.raises(openai.ConflictError) as busy:
            ask(client, "hello", conversation=conversation)
        assert busy.value.code == "conversation_busy"
    with_cancel = {"extra_body": {"cancel_waiting": True}} if how == "cancel_waiting" else {}
    response = ask(client, "look there", conversation=conversation, **with_cancel)
    assert response.output_text == "Entry: saw there"
    with pytest.raises(openai.ConflictError) as decided:
        go_on(client, asked)
    assert decided.value.code == "approval_decided"
    assert payments.paid == []


def test_turn_that_does_not_answer_begins_a_branch(payments: Payments, client: openai.OpenAI) -> None:
    asked = ask(client, "look here & pay ann")
    branch = ask(client, "hello", previous_response_id=asked.id)
    assert branch.output_text == "Entry: hello"
    names = [item.get("name") for item in payments.model.bodies[-1]["input"]]
    assert "pay" not in names  # a provider refuses a call without its output
    assert go_on(client, asked).status == "completed"
    assert payments.paid == ["ann"]


def test_streamed_background_is_followed_from_each_event(payments: Payments, client: openai.OpenAI) -> None:
    with client.responses.create(model=AGENCY, input="pay ann & look here", background=True, stream=True) as stream:
        *before, resumed = list(stream)  # it ends where the run waits
    assert (resumed.type, before[-1].type) == ("response.in_progress", "response.output_item.done")
    asked = client.responses.retrieve(before[0].response.id)
    fields = {"model": AGENCY, "input": [answer(requests(asked)[0])], "previous_response_id": asked.id}
    with client.responses.create(**fields, background=True, stream=True) as stream:
        events = list(stream)
    assert events[: len(before)] == before
    assert events[-1].type == "response.completed"
    assert events[-1].response == client.responses.retrieve(asked.id)
    for after in range(len(events)):
        with client.responses.retrieve(asked.id, stream=True, starting_after=after) as again:
            assert list(again) == events[after + 1 :]


def test_answer_says_how_the_rest_is_made(payments: Payments, client: openai.OpenAI) -> None:
    asked = ask(client, "pay ann; pay bob")
    queued = go_on(client, asked, background=True, metadata={"order": "7"})
    assert (queued.background, queued.metadata) == (True, {"order": "7"})
    waiting = settled(client, queued)
    assert (waiting.status, len(requests(waiting))) == ("in_progress", 1)
    with pytest.raises(openai.BadRequestError) as refused:
        go_on(client, waiting, stream=True)
    assert refused.value.param == "stream"
    assert settled(client, go_on(client, waiting)).status == "completed"
    assert payments.paid == ["ann", "bob"]
