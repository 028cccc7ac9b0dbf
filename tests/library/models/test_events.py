"""A stream of the offline model is a stream of OpenAI's Responses API."""

import asyncio
import json

import pytest
from agents import FunctionTool, ModelSettings, ModelTracing
from openai.types.responses import ResponseStreamEvent
from openai.types.shared import Reasoning
from pydantic import TypeAdapter

from agency_lambda.framework.models.events import message_item, response, stream_events
from agency_lambda.framework.offline_model import OfflineModel

TEXT = "one two three four five\n\n  six seven"
THINK = Reasoning(summary="auto")


async def ignore(context, arguments):
    return ""


def tool(name):
    return FunctionTool(name=name, description="", params_json_schema={"type": "object"}, on_invoke_tool=ignore)


def request(**more):
    return {
        "system_instructions": "Be brief.",
        "input": "hello",
        "model_settings": ModelSettings(),
        "tools": [tool("add"), tool("tell")],
        "output_schema": None,
        "handoffs": [],
        "tracing": ModelTracing.DISABLED,
        "previous_response_id": None,
        "conversation_id": None,
        "prompt": None,
        **more,
    }


def streamed(script, **settings):
    async def collect():
        asked = request(model_settings=ModelSettings(**settings))
        return [event async for event in OfflineModel("Solo", script).stream_response(**asked)]

    return asyncio.run(collect())


def test_a_text_in_openais_order():
    events = streamed(lambda turn: f"[offline model] {TEXT}")
    kinds = [event.type.removeprefix("response.") for event in events]
    deltas = kinds.count("output_text.delta")
    assert deltas > 2
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * deltas,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == f"[offline model] {TEXT}"
    assert events[-1].response.output_text == f"[offline model] {TEXT}"


def test_two_calls_in_openais_order():
    calls = [("add", {"a": 1, "note": "vier fünf sechs sieben"}), ("tell", {})]
    events = streamed(lambda turn: calls)
    kinds = [event.type.removeprefix("response.") for event in events[2:-1]]
    one, other = kinds[: kinds.index("output_item.done") + 1], kinds[kinds.index("output_item.done") + 1 :]
    for part in (one, other):
        deltas = ["function_call_arguments.delta"] * (len(part) - 3)
        assert deltas
        assert part == ["output_item.added", *deltas, "function_call_arguments.done", "output_item.done"]
    assert [(item.name, json.loads(item.arguments)) for item in events[-1].response.output] == calls
    assert len({item.call_id for item in events[-1].response.output}) == 2


def test_a_summary_of_reasoning_in_openais_order():
    events = streamed(lambda turn: TEXT, reasoning=THINK)
    kinds = [event.type.removeprefix("response.") for event in events[2:]]
    deltas = kinds.count("reasoning_summary_text.delta")
    assert deltas > 2
    assert kinds[: deltas + 6] == [
        "output_item.added",
        "reasoning_summary_part.added",
        *["reasoning_summary_text.delta"] * deltas,
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",  # of the message
    ]
    added, part, *_, text, done_part, done = events[2 : deltas + 7]
    summary = events[-1].response.output[0].summary[0].text
    assert (added.item.summary, added.item.status, part.part.text) == ([], "in_progress", "")
    assert "".join(e.delta for e in events if e.type == "response.reasoning_summary_text.delta") == summary
    assert text.text == done_part.part.text == done.item.summary[0].text == summary
    assert {e.output_index for e in events[2 : deltas + 7]} == {0}
    assert {e.item_id for e in events[3 : deltas + 6]} == {done.item.id}
    assert {e.output_index for e in events[deltas + 7 : -1]} == {1}


@pytest.mark.parametrize("settings", [{}, {"reasoning": THINK}, {"max_tokens": 3}])
def test_numbered_from_zero_and_readable_by_the_official_types(settings):
    for script in (lambda turn: TEXT, lambda turn: [("add", {})]):
        events = streamed(script, **settings)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        adapter = TypeAdapter(ResponseStreamEvent)
        for event in events:
            again = adapter.validate_json(event.to_json())
            assert type(again) is type(event)
            assert again == event


def test_nothing_is_finished_before_its_end():
    events = streamed(lambda turn: TEXT)
    assert events[0].response.status == "in_progress"
    assert events[0].response.output == []
    assert events[2].item.content == []
    assert events[3].part.text == ""
    assert events[-1].response.status == "completed"


def test_streamed_and_buffered_say_and_cost_the_same():
    completed = streamed(lambda turn: TEXT)[-1].response
    buffered = asyncio.run(OfflineModel("Solo", lambda turn: TEXT).get_response(**request()))
    assert buffered.output[0].content == completed.output[0].content
    assert buffered.usage.total_tokens == completed.usage.total_tokens
    assert completed.usage.total_tokens == completed.usage.input_tokens + completed.usage.output_tokens
    assert completed.usage.output_tokens > len(TEXT) // 4


@pytest.mark.parametrize("text", ["word " * 200_000, " a" * 500_000, "x" * 1_000_000])
def test_a_long_text_comes_in_few_pieces(text):
    pieces = [event.delta for event in stream_of(text) if event.type == "response.output_text.delta"]
    assert "".join(pieces) == text
    assert len(pieces) <= 1_001


def stream_of(text):
    return stream_events(response("offline", [message_item(text)], 0, 0))
