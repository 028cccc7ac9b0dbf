"""A question of an agent to a person."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent
from agents import Agent as SDKAgent
from agents import Runner

from agency_lambda import ask_person
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.offline import Script
from agency_lambda.protocol.approvals import Decision
from agency_lambda.store import Store, open_store
from tests.library.features.waiting import REFUSED, StoredRun, awaited


@pytest.fixture
def sqlite(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path}/agency.db")


COLOURS = ["red", "blue"]


def asks(choices: list[str] | None) -> Script:
    def script(turn: Any) -> Any:
        if not turn.calls:
            return [("ask_person", {"question": "Which colour?", "choices": choices})]
        return f"offline model: {turn.calls[-1].output}"

    return script


def painter(choices: list[str] | None = None) -> Agency:
    return Agency(
        Agent(name="Painter", instructions=".", model=OfflineModel("Painter", asks(choices)), tools=[ask_person])
    )


def words(run: StoredRun) -> str:
    return str(run.output[-1]["content"][0]["text"]).removeprefix("offline model: ")


@awaited
async def test_a_question_waits_and_its_answer_is_the_output_of_the_tool(sqlite: Store) -> None:
    run = StoredRun(lambda: painter(COLOURS), sqlite)
    (asked,) = (await run.attempt()).asked
    assert (asked.agent, asked.name, asked.kind, asked.schema) == ("Painter", "ask_person", "question", None)
    assert json.loads(asked.arguments) == {"question": "Which colour?", "choices": COLOURS}
    assert (await run.attempt()).asked == (asked,)
    await run.decide(asked, Decision(approve=True, reason="blue"))
    assert (await run.attempt()).asked == ()
    assert words(run) == "blue"
    assert (run.meter.paid()["model_calls"], run.meter.model_calls) == (1, 2)


@pytest.mark.parametrize(
    ("choices", "decision", "answer"),
    [
        (None, Decision(approve=True, reason=" a light blue\n"), "a light blue"),
        (None, Decision(approve=True), "The person agreed, without an answer in words."),
        (COLOURS, Decision(approve=True, reason="green"), "The person answered with none of the choices: green"),
        (COLOURS, REFUSED, "The person did not answer."),
        (None, Decision(approve=False, reason="Ask tomorrow."), "The person did not answer. Ask tomorrow."),
    ],
)
def test_what_the_model_is_told(sqlite: Store, choices: list[str] | None, decision: Decision, answer: str) -> None:
    async def play() -> None:
        run = StoredRun(lambda: painter(choices), sqlite)
        await run.to_end(lambda _: decision)
        assert words(run) == answer

    asyncio.run(play())


@awaited
async def test_two_questions_of_one_answer_are_asked_together(sqlite: Store) -> None:
    def script(turn: Any) -> Any:
        both = [("ask_person", {"question": name, "choices": None}) for name in ("Who?", "When?")]
        return f"offline model: {[call.output for call in turn.calls]}" if turn.calls else both

    run = StoredRun(
        lambda: Agency(Agent(name="Solo", instructions=".", model=OfflineModel("Solo", script), tools=[ask_person])),
        sqlite,
    )
    who, when = (await run.attempt()).asked
    assert who.key != when.key
    await run.decide(when, Decision(approve=True, reason="now"))
    (left,) = (await run.attempt()).asked
    assert left == who
    await run.decide(who, Decision(approve=True, reason="me"))
    await run.attempt()
    assert words(run) == "['me', 'now']"


def test_outside_of_a_run_it_is_a_tool_that_needs_approval() -> None:
    agent = SDKAgent(name="Painter", model=OfflineModel("Painter", asks(None)), tools=[ask_person])
    asked = asyncio.run(Runner.run(agent, "Paint it."))
    (item,) = asked.interruptions
    assert item.tool_name == "ask_person"
    state = asked.to_state()
    state.reject(item, rejection_message="green")
    assert asyncio.run(Runner.run(agent, state)).final_output == "offline model: green"
