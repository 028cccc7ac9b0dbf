"""A summary of reasoning for who asks for one, and it says that there was none."""

import asyncio

import pytest
from agents import ModelSettings
from openai.types.shared import Reasoning

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.offline import read_turn
from tests.library.models.agencies import read_task, single
from tests.library.models.test_events import request, tool


def output(items="hello", script=None, reasoning=None, tools=("add",)):
    asked = request(input=items, tools=[*map(tool, tools)], model_settings=ModelSettings(reasoning=reasoning))
    return asyncio.run(OfflineModel("Solo", script).get_response(**asked)).output


@pytest.mark.parametrize(
    "reasoning",
    [Reasoning(summary="auto"), Reasoning(summary="concise"), Reasoning(generate_summary="detailed")],
)
def test_it_comes_first_and_says_what_is_next(reasoning):
    thought, call = output(reasoning=reasoning)
    assert (thought.type, call.type, thought.status) == ("reasoning", "function_call", "completed")
    assert thought.id.startswith("rs_")
    assert [part.text for part in thought.summary] == [
        "[offline model] Solo has no model to reason with.\nIt was asked: hello\nNext: calls add."
    ]
    thought, message = output(reasoning=reasoning, tools=())
    assert thought.summary[0].text.endswith("\nNext: answers.")
    assert message.content[0].text == "[offline model] Solo was asked: hello"


def test_each_tool_is_named_once():
    calls = [("add", {"a": 1}), ("tell", {}), ("add", {"a": 2})]
    thought, *_ = output(script=lambda turn: calls, reasoning=Reasoning(summary="auto"), tools=("add", "tell"))
    assert thought.summary[0].text.endswith("\nNext: calls add, tell.")


@pytest.mark.parametrize("reasoning", [None, Reasoning(effort="high"), Reasoning()])
def test_who_does_not_ask_gets_none(reasoning):
    assert [item.type for item in output(reasoning=reasoning)] == ["function_call"]


def test_what_cannot_be_seen_is_named():
    parts = [
        {"type": "input_image", "image_url": "x"},
        {"type": "input_file", "file_id": "y"},
        {"type": "input_file", "file_id": "z"},
    ]
    items = [{"role": "user", "content": parts}]
    thought, message = output(items, reasoning=Reasoning(summary="auto"), tools=())
    assert "\nIt was asked: (no text) (with 1 image, 2 files)\n" in thought.summary[0].text
    assert message.content[0].text == "[offline model] Solo was asked: (no text) (with 1 image, 2 files)"


def test_only_what_came_with_the_latest_message_is_named():
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}, {"role": "user", "content": "b"}]
    assert read_turn(items, {}).attached == ""
    assert read_turn(items[:1], {}).attached == "1 image"


def test_it_costs_no_tokens():
    def used(reasoning):
        asked = request(tools=[], model_settings=ModelSettings(reasoning=reasoning))
        return asyncio.run(OfflineModel("Solo").get_response(**asked)).usage

    assert used(Reasoning(summary="auto")) == used(None)


def test_a_later_turn_passes_over_it():
    agency = single(
        model=OfflineModel("Solo"),
        tools=[read_task],
        model_settings=ModelSettings(reasoning=Reasoning(summary="auto")),
    )

    async def two_turns():
        first = await agency.get_response("one")
        second = await agency.get_response("two")
        return first.to_input_list(), second.to_input_list(), second.final_output

    first, second, text = asyncio.run(two_turns())
    kinds = ["message", "reasoning", "function_call", "function_call_output", "reasoning", "message"]
    assert [item["type"] for item in first] == kinds
    assert [item["type"] for item in second][-len(kinds) :] == kinds
    assert text == "[offline model] Solo was asked: two\nread_task answered: task 1: details"
    again = [*first, {"role": "user", "content": "three"}]
    assert [item.type for item in output(again)] == ["function_call"]
    assert read_turn(first, {}).calls[0].output == "task 1: details"
