"""The official Python client: responses in the background, followed again from any event, cancelled."""

import time
from collections.abc import Iterator
from contextlib import closing

import openai
import pytest
from openai.types.responses import Response

from tests.library.clients.server import MODEL, Server, serve
from tests.library.conftest import QUESTION
from tests.library.model_server import ModelServer


def done(client: openai.OpenAI, made: Response) -> Response:
    """As OpenAI's guide polls it."""
    end = time.monotonic() + 20
    while made.status in ("queued", "in_progress") and time.monotonic() < end:
        time.sleep(0.05)
        made = client.responses.retrieve(made.id)
    return made


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ModelServer]]:
    """A server whose model takes its time."""
    with (
        ModelServer(lambda request: "word " * 20, delay=1.5) as model,
        serve(tmp_path_factory.mktemp("slow"), OPENAI_API_KEY="k", OPENAI_BASE_URL=model.base_url) as server,
    ):
        yield server, model


def test_it_is_queued_and_then_done(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input=QUESTION, background=True)
    assert (made.status, made.background, made.output) == ("queued", True, [])
    made = done(client, made)
    assert made.status == "completed"
    assert "Dear Nordwind" in made.output_text
    assert client.responses.cancel(made.id) == made  # too late, and said as it is
    assert client.responses.create(model=MODEL, input="Thanks.", previous_response_id=made.id).output_text


def test_those_of_one_conversation_are_done_in_turn(client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    made = [
        client.responses.create(model=MODEL, input=f"turn {number}", background=True, conversation=conversation)
        for number in range(3)
    ]
    assert [done(client, each).status for each in made] == ["completed"] * 3
    listed = client.conversations.items.list(conversation, order="asc", limit=100)
    said = [item.content[0].text for item in listed if item.type == "message" and item.role == "user"]  # type: ignore[union-attr]
    assert said == ["turn 0", "turn 1", "turn 2"]


def test_a_stream_is_followed_again_from_every_event_on(client: openai.OpenAI) -> None:
    with client.responses.create(model=MODEL, input=QUESTION, background=True, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    first, last = events[0], events[-1]
    assert first.type == "response.created"
    assert last.type == "response.completed"
    for after in range(len(events)):
        with client.responses.retrieve(first.response.id, stream=True, starting_after=after) as again:
            assert list(again) == events[after + 1 :]


def test_a_stream_that_was_left_is_followed_to_its_end(slow: tuple[Server, ModelServer]) -> None:
    with closing(openai.OpenAI(**slow[0].options())) as client:
        asked = len(slow[1].requests)
        with client.responses.create(model=MODEL, input="go", background=True, stream=True) as stream:
            left = next(iter(stream))
        assert left.type == "response.created"
        with client.responses.retrieve(left.response.id, stream=True, starting_after=left.sequence_number) as again:
            rest = list(again)
        assert [event.sequence_number for event in rest] == list(range(1, len(rest) + 1))
        assert rest[-1].type == "response.completed"
        assert client.responses.retrieve(left.response.id).output_text == "word " * 20
        assert len(slow[1].requests) == asked + 1


def test_a_run_is_cancelled_while_its_model_works(slow: tuple[Server, ModelServer]) -> None:
    server, model = slow
    with closing(openai.OpenAI(**server.options())) as client:
        asked, model.delay = len(model.requests), 6
        made = client.responses.create(model=MODEL, input="go", background=True)
        end = time.monotonic() + 6
        while len(model.requests) == asked and time.monotonic() < end:
            time.sleep(0.02)
        assert client.responses.retrieve(made.id).status == "in_progress"
        stranger = openai.OpenAI(**server.options(server.stranger))
        with closing(stranger), pytest.raises(openai.NotFoundError):
            stranger.responses.cancel(made.id)
        cancelled = client.responses.cancel(made.id)
        assert (cancelled.status, cancelled.output) == ("cancelled", [])
        assert time.monotonic() < end  # and not when the model has answered
        assert client.responses.retrieve(made.id) == cancelled


def test_a_run_that_has_not_begun_is_cancelled(client: openai.OpenAI) -> None:
    conversation = client.conversations.create().id
    made = [
        client.responses.create(model=MODEL, input=QUESTION, background=True, conversation=conversation)
        for _ in range(3)
    ]
    last = client.responses.cancel(made[2].id)
    assert last.status in ("cancelled", "completed")
    assert [done(client, each).status for each in made[:2]] == ["completed"] * 2
