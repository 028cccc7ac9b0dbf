"""The official Python client: responses whole and streamed, typed answers, models and errors."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseReasoningItem
from pydantic import BaseModel

from tests.library.clients.server import MODEL, Server
from tests.library.conftest import QUESTION


class Appointment(BaseModel):
    client: str
    hours: int
    days: list[str]


def test_a_whole_response(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input=QUESTION, metadata={"case": "7"})
    assert "Dear Nordwind" in made.output_text
    assert made.status == "completed"
    assert made.metadata == {"case": "7"}
    assert made.usage
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
    assert client.responses.retrieve(made.id) == made


#: Fields that openai 3.57 requires, and the version that is installed here does not.
REQUIRED_BY_NEWER_CLIENTS = {"input_tokens_details": {"cache_write_tokens"}}


def test_newer_clients_find_their_fields(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input=QUESTION)
    compacted = client.responses.compact(model=MODEL, input=[{"role": "user", "content": "I am Alice."}] * 3)
    for usage in (made.usage, compacted.usage):
        assert usage
        for name, fields in REQUIRED_BY_NEWER_CLIENTS.items():
            assert fields <= usage.to_dict()[name].keys()  # type: ignore[attr-defined]


def test_a_stream(client: openai.OpenAI) -> None:
    with client.responses.create(model=MODEL, input=QUESTION, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    final = events[-1]
    assert final.type == "response.completed"
    told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert told == final.response.output_text
    assert "Dear Nordwind" in told


def test_the_streaming_helper(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == final.output_text
    assert "Dear Nordwind" in final.output_text
    assert client.responses.retrieve(final.id).output_text == final.output_text


def test_the_asynchronous_client(server: Server) -> None:
    async def both() -> tuple[str, str]:
        async with openai.AsyncOpenAI(**server.options()) as client:
            deltas = []
            async for event in await client.responses.create(model=MODEL, input=QUESTION, stream=True):
                if event.type == "response.output_text.delta":
                    deltas.append(event.delta)
            async with client.responses.stream(model=MODEL, input="And again.") as stream:
                final = await stream.get_final_response()
            return "".join(deltas), final.output_text

    streamed, helped = asyncio.run(both())
    assert "Dear Nordwind" in streamed
    assert helped


def test_many_streams_at_once(server: Server) -> None:
    async def ask(client: openai.AsyncOpenAI, name: str) -> str:
        async with client.responses.stream(model=MODEL, input=f"Client {name} GmbH asks for a date.") as stream:
            return (await stream.get_final_response()).output_text

    async def everybody() -> list[str]:
        async with openai.AsyncOpenAI(**server.options()) as client:
            return await asyncio.gather(*(ask(client, f"C{number}") for number in range(8)))

    for number, text in enumerate(asyncio.run(everybody())):
        assert f"Dear C{number} GmbH" in text


@pytest.mark.parametrize("after", [0, 3])
def test_a_finished_stream_is_replayed(client: openai.OpenAI, after: int) -> None:
    with client.responses.create(model=MODEL, input=QUESTION, stream=True) as stream:
        events = list(stream)
    started = events[0]
    assert started.type == "response.created"
    with client.responses.retrieve(started.response.id, stream=True, starting_after=after) as replayed:
        assert list(replayed) == events[after + 1 :]


def test_a_replay_by_the_helper(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        final = stream.get_final_response()
    with client.responses.stream(response_id=final.id) as replayed:
        assert replayed.get_final_response().output_text == final.output_text


def test_a_typed_answer(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model=MODEL, input="When?", text_format=Appointment)
    assert isinstance(parsed.output_parsed, Appointment)


def test_a_typed_answer_streamed(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="When?", text_format=Appointment) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Appointment)


def test_a_summary_of_the_reasoning(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input=QUESTION, reasoning={"summary": "auto"})
    first = made.output[0]
    assert isinstance(first, ResponseReasoningItem)
    assert "no model to reason with" in first.summary[0].text


def test_an_answer_that_is_cut_off(client: openai.OpenAI) -> None:
    made = client.responses.create(model=f"{MODEL}/Registrar", input="Which tasks are open?", max_output_tokens=16)
    assert made.status == "incomplete"
    assert made.incomplete_details
    assert made.incomplete_details.reason == "max_output_tokens"


def test_what_was_sent_is_listed(client: openai.OpenAI) -> None:
    given: Any = [{"role": role, "content": f"turn {number}"} for number, role in enumerate(("user", "assistant") * 3)]
    made = client.responses.create(model=MODEL, input=[*given, {"role": "user", "content": "turn 6"}])
    listed = list(client.responses.input_items.list(made.id, limit=2, order="asc"))
    assert [item.content[0].text for item in listed] == [f"turn {number}" for number in range(7)]  # type: ignore[union-attr]


def test_deleted_is_gone(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Greet me.")
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_what_is_not_stored_cannot_be_retrieved(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Greet me.", store=False)
    assert made.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_compaction_is_sent_back(client: openai.OpenAI) -> None:
    turns: Any = [{"role": role, "content": f"turn {number}"} for number, role in enumerate(("user", "assistant") * 3)]
    compacted = client.responses.compact(model=MODEL, input=turns)
    asked: Any = [*compacted.output, {"role": "user", "content": "And now?"}]
    assert client.responses.create(model=MODEL, input=asked).output_text


def test_the_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert MODEL in names
    for name in names:  # the slash of "agency/Agent" arrives as %2F
        assert client.models.retrieve(name).id == name
        assert client.responses.create(model=name, input="Greet me.", store=False).model == name


def test_an_image_and_a_file(client: openai.OpenAI) -> None:
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
        {"type": "input_file", "filename": "plan.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
    ]
    asked: Any = [{"role": "user", "content": parts}]
    made = client.responses.create(model=MODEL, input=asked)
    assert made.output_text
    listed: Any = client.responses.input_items.list(made.id).data[0]
    assert [part.type for part in listed.content] == ["input_text", "input_image", "input_file"]


def test_the_same_idempotency_key_gives_the_same_response(client: openai.OpenAI) -> None:
    def ask(text: str) -> Response:
        return client.responses.create(model=MODEL, input=text, extra_headers={"Idempotency-Key": "once"})

    first = ask("Greet me.")
    assert ask("Greet me.") == first
    with pytest.raises(openai.ConflictError) as refused:
        ask("Greet her.")
    assert refused.value.code == "idempotency_key_reused"


def test_an_unknown_key(server: Server) -> None:
    with (
        openai.OpenAI(**server.options("al_nobody")) as client,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        client.responses.create(model=MODEL, input="Greet me.")
    assert refused.value.code == "unauthenticated"
    assert refused.value.response.headers["www-authenticate"].startswith("Bearer")


def test_a_stranger_finds_nothing(client: openai.OpenAI, server: Server) -> None:
    made = client.responses.create(model=MODEL, input="Greet me.")
    with openai.OpenAI(**server.options(server.stranger)) as stranger:
        with pytest.raises(openai.NotFoundError):
            stranger.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError) as refused:
            stranger.responses.create(model=MODEL, input="Go on.", previous_response_id=made.id)
    assert (refused.value.param, refused.value.code) == ("previous_response_id", "previous_response_not_found")


def test_an_unknown_model(client: openai.OpenAI) -> None:
    for name in ("gpt-5", f"{MODEL}/Nobody"):
        with pytest.raises(openai.NotFoundError) as refused:
            client.responses.create(model=name, input="Greet me.")
        assert (refused.value.param, refused.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(f"{MODEL}/Nobody")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"moderation": {"model": "omni-moderation-latest"}}, "moderation"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"extra_body": {"best_of": 2}}, "best_of"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(client: openai.OpenAI, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="Greet me.", **asked)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert param in str(refused.value)
    assert refused.value.request_id


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"temperature": 3.0}, "temperature"),
        ({"input": ""}, "input"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "previous_response_id"),
        ({"tool_choice": {"type": "function", "name": "nothing"}}, "tool_choice"),
    ],
)
def test_what_is_wrong_is_refused_by_name(client: openai.OpenAI, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**{"model": MODEL, "input": "Greet me.", **asked})
    assert (refused.value.param, refused.value.code) == (param, "invalid_request")
