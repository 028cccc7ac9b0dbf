"""An answer that is longer than the request allows is cut, and says so in the API's own way."""

import asyncio

import pytest
from agents import ModelSettings
from openai.types.shared import Reasoning

from agency_lambda.framework.offline_model import OfflineModel
from tests.library.models.test_events import request

LONG = "offline model " * 40


def buffered(text, **settings):
    asked = request(model_settings=ModelSettings(**settings))
    return asyncio.run(OfflineModel("Solo", lambda turn: text).get_response(**asked))


def streamed(text, **settings):
    async def collect():
        asked = request(model_settings=ModelSettings(**settings))
        return [event async for event in OfflineModel("Solo", lambda turn: text).stream_response(**asked)]

    return asyncio.run(collect())


def test_a_long_text_is_cut_where_its_tokens_end():
    answer = buffered(LONG, max_tokens=20)
    assert answer.output[0].content[0].text == LONG[:79]
    assert answer.output[0].status == "incomplete"
    assert answer.usage.output_tokens == 20
    assert answer.usage.total_tokens == answer.usage.input_tokens + 20


def test_a_stream_of_it_ends_incomplete():
    events = streamed(LONG, max_tokens=20)
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == LONG[:79]
    assert [event.item.status for event in events if event.type.startswith("response.output_item")] == [
        "in_progress",
        "incomplete",
    ]
    last = events[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.usage.output_tokens == 20
    assert events[0].response.status == "in_progress"
    assert events[0].response.incomplete_details is None


@pytest.mark.parametrize(("text", "limit"), [(LONG[:79], 20), (LONG, None), (LONG, 1000)])
def test_what_fits_is_whole_and_counts_no_more_than_the_limit(text, limit):
    answer = buffered(text, max_tokens=limit)
    assert (answer.output[0].content[0].text, answer.output[0].status) == (text, "completed")
    assert answer.usage.output_tokens == len(text) // 4 + 1 <= (limit or 1000)
    last = streamed(text, max_tokens=limit)[-1]
    assert (last.type, last.response.incomplete_details) == ("response.completed", None)


def test_one_character_more_is_cut():
    assert buffered(LONG[:80], max_tokens=20).output[0].status == "incomplete"


def test_calls_are_not_cut():
    last = streamed([("add", {"text": LONG})], max_tokens=16)[-1]
    assert last.type == "response.completed"
    assert LONG in last.response.output[0].arguments


def test_a_summary_is_not_cut():
    thought, message = buffered(LONG, max_tokens=16, reasoning=Reasoning(summary="auto")).output
    assert thought.summary[0].text.endswith("Next: answers.")
    assert (thought.status, message.status) == ("completed", "incomplete")
