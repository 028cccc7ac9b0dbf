"""Agents without a script: every tool and colleague once, then say what came back."""

import json
from typing import Literal

import jsonschema
import pytest
from agency_swarm import Agency, Agent, Handoff, WebSearchTool, function_tool
from agents import ModelSettings
from pydantic import BaseModel, Field

from tests.library.models.agencies import (
    CreateTask,
    Listener,
    ask,
    ask_streamed,
    office,
    offline,
    read_task,
    single,
    unlimited,
)


class Letter(BaseModel):
    to: str = Field(pattern=r"^[a-z]+@[a-z]+\.org$")
    lines: list[str] = Field(min_length=2)
    tone: Literal["warm", "formal"]


def test_every_tool_and_every_colleague_is_called_once():
    text, meter = ask(offline(), office())
    assert text.startswith("[offline model] Manager was asked: Order paper\n")
    # Manager asks both, Writer asks Planner again, and Planner has two tools each time.
    assert text.count("Planner answered: ") == 2
    assert text.count("Writer answered: ") == 1
    assert text.count("CreateTask answered: task 17: Order paper (priority 1)") == 2
    assert text.count("read_task answered: task 1: details") == 2
    assert meter.model_calls == 3 + 3 + (2 + 3)


def test_the_same_question_has_the_same_answer_streamed_or_not():
    texts = {ask(offline(), office())[0] for _ in range(2)}
    texts.add(ask_streamed(offline(), office())[0])
    assert len(texts) == 1


def test_streamed_text_comes_in_several_deltas():
    run = Listener(live=True)
    text, _ = ask(offline(), single(), run=run)
    assert len(run.deltas) > 1
    assert "".join(run.deltas) == text == "[offline model] Solo was asked: Order paper"


def test_what_cannot_be_called_is_named():
    first = Agent(name="First", instructions=".", tools=[WebSearchTool()])
    second = Agent(name="Second", instructions=".")
    agency = Agency(first, communication_flows=[(first, second, Handoff)])
    text, meter = ask(offline(), agency)
    assert "Not called offline: web_search, transfer_to_Second." in text
    assert meter.model_calls == 1


def test_tools_that_are_forbidden_stay_uncalled():
    settings = ModelSettings(tool_choice="none")
    text, meter = ask(offline(), single(tools=[CreateTask], model_settings=settings))
    assert "CreateTask" not in text
    assert meter.model_calls == 1


@pytest.mark.parametrize("run", [ask, ask_streamed])
def test_a_structured_answer_validates_and_says_that_it_is_offline(run):
    seen = []

    @function_tool
    async def note(text: str) -> str:
        """Notes."""
        seen.append(text)
        return "noted"

    agency = single(output_type=Letter, tools=[note])
    letter, _ = run(offline(), agency)
    assert seen == ["Order paper"]
    assert all("[offline model]" in line for line in letter.lines)
    jsonschema.validate(letter.model_dump(), Letter.model_json_schema())


def test_agents_who_all_know_each_other_come_to_an_end():
    agents = [Agent(name=f"A{n}", instructions=".") for n in range(5)]
    flows = [(one, other) for one in agents for other in agents if one is not other]
    _, meter = ask(offline(), Agency(agents[0], communication_flows=flows), run=unlimited())
    # Paths without a repeated agent, at most three questions deep: 1 + 4 + 12 + 24 answers, 40 questions.
    assert meter.model_calls == 41 + 40


def test_a_tool_that_fails_is_called_once():
    calls = []

    @function_tool
    def broken(count: int) -> str:
        """Fails."""
        calls.append(count)
        raise ValueError("no disk")

    text, _ = ask(offline(), single(tools=[broken]))
    assert calls == [1]
    assert "no disk" in text


def test_an_empty_message_still_reaches_a_colleague():
    text, _ = ask(offline(), office(), message=" ")
    assert "Missing required" not in text


def test_tool_arguments_are_json_of_the_tools_schema():
    run = Listener()
    ask(offline(), single(tools=[CreateTask, read_task]), run=run)
    calls = [item for items, _ in run.answers for item in items if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("CreateTask", {"title": "Order paper", "priority": 1}),
        ("read_task", {"number": 1}),
    ]
