"""Rows of docs/agency-swarm.md: agents, what they are told, and what their models are asked."""

import sys
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, ModelSettings, Reasoning, RunContextWrapper
from agency_swarm.reminders import AfterEveryUserMessage
from agents import Prompt

from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.building import build
from tests.library.features.rows import at_provider, calling, holds, solo, words
from tests.library.models.agencies import read_task
from tests.library.runs.stage import play

LIVE = pytest.mark.parametrize("stream", [True, False])


def named(**settings: Any) -> Any:
    return lambda: Agency(Agent(**{"name": "Solo", "instructions": "Be brief."} | settings))


@holds("agents", "streaming")
@LIVE
def test_an_agent_answers_under_its_name(stream: bool) -> None:
    shown, (asked,) = at_provider(named(description="answers"), "one two three four five six", stream=stream)
    assert (shown.words, shown.items[0]["agent"]) == (["one two three four five six"], "Solo")
    assert "Be brief." in asked.instructions
    deltas = [event["delta"] for event in shown.events if event["type"] == "response.output_text.delta"]
    assert (len(deltas) > 1) == stream


@holds("instructions_file")
def test_instructions_come_from_a_file_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "instructions.md").write_text("Speak Latvian.")
    (tmp_path / "speaks_latvian.py").write_text(
        "from agency_swarm import Agency, Agent\n"
        "def create_agency():\n    return Agency(Agent(name='Solo', instructions='./instructions.md'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import speaks_latvian  # type: ignore[import-not-found]

    _, (asked,) = at_provider(speaks_latvian.create_agency)
    assert "Speak Latvian." in asked.instructions
    del sys.modules["speaks_latvian"]


@holds("dynamic_instructions")
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_instructions_are_made_when_they_are_needed(kind: str) -> None:
    async def later(context: RunContextWrapper[Any], agent: Any) -> str:
        return f"You are {agent.name}, for {context.context.user_context['owner']}."

    def at_once(context: RunContextWrapper[Any], agent: Any) -> str:
        return f"You are {agent.name}, for {context.context.user_context['owner']}."

    def desk() -> Agency:
        agent = Agent(name="Solo")
        agent.instructions = later if kind == "async" else at_once  # 1.11's constructor takes only texts
        return Agency(agent)

    _, (asked,) = at_provider(desk)
    assert "You are Solo, for owner." in asked.instructions


@holds("prompt")
@pytest.mark.parametrize("kind", ["prompt", "function"])
def test_a_prompt_that_is_kept_at_the_provider_is_named(kind: str) -> None:
    async def make(data: Any) -> Prompt:
        return {"id": "pmpt_1", "variables": {"who": data.agent.name}}

    prompt: Any = {"id": "pmpt_1", "variables": {"who": "Solo"}} if kind == "prompt" else make
    _, (asked,) = at_provider(named(prompt=prompt))
    assert (asked.body["prompt"]["id"], asked.body["prompt"]["variables"]) == ("pmpt_1", {"who": "Solo"})


@holds("model_settings", "reasoning")
def test_settings_reach_the_provider() -> None:
    settings = ModelSettings(temperature=0.3, max_tokens=99, reasoning=Reasoning(effort="low", summary="auto"))
    _, (asked,) = at_provider(named(model="gpt-5", model_settings=settings))
    body = asked.body
    assert (body["model"], body["temperature"], body["max_output_tokens"]) == ("gpt-5", 0.3, 99)
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}


@holds("examples")
@pytest.mark.parametrize("argument", ["examples", "temperature", "response_validator"])
def test_arguments_that_the_framework_has_dropped_are_refused(argument: str) -> None:
    with pytest.raises(AgencyMisconfigured, match="cannot be built") as refused:
        build(named(**{argument: [{"role": "user", "content": "Hi"}]}))
    assert argument in str(refused.value.__cause__)


@holds("shared_instructions")
def test_shared_instructions_are_told_to_every_agent() -> None:
    def desk() -> Agency:
        boss, clerk = Agent(name="Boss", instructions="B."), Agent(name="Clerk", instructions="C.")
        return Agency(boss, communication_flows=[(boss, clerk)], shared_instructions="We sell paper.")

    ask = [("send_message", {"recipient_agent": "Clerk", "message": "?", "additional_instructions": ""})]
    _, asked = at_provider(desk, ask, "three", "done")
    assert [("We sell paper." in each.instructions, "C." in each.instructions) for each in asked] == [
        (True, False),
        (True, True),
        (True, False),
    ]


@holds("additional_instructions")
def test_the_clients_instructions_hold_for_its_run() -> None:
    _, (asked,) = at_provider(named(), instructions="In Latvian.")
    assert "Be brief." in asked.instructions
    assert asked.instructions.endswith("In Latvian.")


@holds("system_reminders")
def test_reminders_come_with_every_message_and_are_not_kept() -> None:
    for reminder in ("Mind the date.", lambda context, agent: f"Mind, {agent.name}.", AfterEveryUserMessage("Mind.")):
        _, (asked,) = at_provider(named(system_reminders=reminder))
        assert "Mind" in str(asked.items)
        assert "Mind" not in asked.instructions


@holds("user_context", "agency_state")
def test_a_tool_knows_its_caller_and_may_note_something() -> None:
    from agency_swarm import MasterContext, function_tool

    @function_tool
    async def note(context: RunContextWrapper[MasterContext]) -> str:
        """Notes."""
        context.context.set("seen", True)
        known = context.context.user_context
        return f"{known['owner']} {known['metadata']} {context.context.get('colour')} {context.context.get('seen')}"

    def desk() -> Agency:
        agency = solo(calling("note"), tools=[note])()
        agency.user_context["colour"] = "red"
        return agency

    assert words(desk, metadata={"case": "7"}) == "owner {'case': '7'} red True"


@holds("deep_runs")
def test_the_frameworks_own_limit_of_turns_is_not_the_runs() -> None:
    def script(turn: Any) -> Any:
        return "offline model: done" if len(turn.calls) == 30 else [("read_task", {"number": len(turn.calls)})]

    shown = play(solo(script, tools=[read_task]))
    assert (shown.response["status"], shown.response["usage"]["model_calls"]) == ("completed", 31)
