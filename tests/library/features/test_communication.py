"""Rows of docs/agency-swarm.md: how agents reach one another."""

from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, BaseTool, Handoff, SendMessage, function_tool
from agency_swarm.tools import SendMessageHandoff
from agents import Agent as SDKAgent
from agents import Runner
from pydantic import Field

from agency_lambda.framework.offline_model import OfflineModel
from tests.library.features.rows import at_provider, calling, holds, words
from tests.library.model_server import scripts
from tests.library.models.agencies import read_task
from tests.library.runs.stage import play, said

LIVE = pytest.mark.parametrize("stream", [True, False])


def agent(name: str, script: Any = None, **settings: Any) -> Agent:
    return Agent(name=name, instructions=f"You are {name}.", model=OfflineModel(name, script), **settings)


def asking(recipient: str, tool: str = "send_message", **more: Any) -> Any:
    return calling(tool, **{"recipient_agent": recipient, "message": "?", "additional_instructions": ""} | more)


def pair(flows: Callable[[Agent, Agent], Any], boss: Any = None, clerk: Any = None, **settings: Any) -> Any:
    def create() -> Agency:
        one = agent("Boss", boss or asking("Clerk"))
        other = agent("Clerk", clerk or (lambda turn: "offline model: three"), **settings)
        return Agency(one, communication_flows=flows(one, other))

    return create


@holds("communication_flows", "send_message")
@LIVE
@pytest.mark.parametrize("flows", [lambda a, b: [(a, b)], lambda a, b: [a > b], lambda a, b: [b < a]])
def test_a_colleague_is_asked_and_its_answer_comes_back(flows: Any, stream: bool) -> None:
    shown = play(pair(flows), stream=stream)
    assert shown.activities == ["Boss asks Clerk"]
    assert "three" in shown.words[-1]


@holds("communication_chain")
def test_a_chain_of_agents_makes_every_flow_of_it() -> None:
    def create() -> Agency:
        one = agent("One", asking("Two"))
        two, three = agent("Two", asking("Three")), agent("Three", lambda turn: "offline model: end")
        return Agency(one, communication_flows=[one > two > three])

    assert play(create).activities == ["One asks Two", "Two asks Three"]


@holds("custom_send_message")
def test_a_send_message_of_ones_own_has_its_name_and_its_fields() -> None:
    class Ask(SendMessage):
        """Asks with a priority."""

        tool_name = "ask_clerk"
        priority: int = Field(description="1 to 3")

    shown = play(pair(lambda a, b: [(a, b, Ask)], boss=asking("Clerk", "ask_clerk", priority=2)))
    assert shown.activities == ["Boss asks Clerk"]
    assert "three" in shown.words[-1]


@holds("handoff", "send_message_handoff")
@LIVE
@pytest.mark.parametrize("tool", [Handoff, SendMessageHandoff])
@pytest.mark.filterwarnings("ignore:SendMessageHandoff is deprecated")
def test_a_handoff_gives_the_conversation_to_another_agent(tool: type, stream: bool) -> None:
    def create() -> Agency:
        boss, clerk = (
            Agent(name="Boss", instructions="You are Boss."),
            Agent(name="Clerk", instructions="You are Clerk."),
        )
        return Agency(boss, communication_flows=[(boss, clerk, tool)])

    transfer = [("transfer_to_Clerk", {"recipient_agent": "Clerk"})]
    shown, _ = at_provider(create, transfer, "three", stream=stream)
    assert shown.activities == ["Boss asks Clerk"]
    assert [(item["agent"], said(item)) for item in shown.items if item["type"] == "message"] == [("Clerk", "three")]


@holds("handoff_reminder")
def test_the_agent_that_takes_over_is_reminded() -> None:
    def create() -> Agency:
        boss = Agent(name="Boss", instructions="You are Boss.")
        clerk = Agent(name="Clerk", instructions="You are Clerk.", handoff_reminder="You are on duty now.")
        return Agency(boss, communication_flows=[(boss, clerk, Handoff)])

    _, asked = at_provider(create, [("transfer_to_Clerk", {"recipient_agent": "Clerk"})], "three")
    assert "You are on duty now." in str(asked[1].items)


@holds("manual_handoffs")
def test_a_handoff_to_an_agent_of_the_sdk_is_followed() -> None:
    next_one = SDKAgent(name="Next", instructions="You are Next.")
    create = lambda: Agency(Agent(name="Solo", instructions=".", handoffs=[next_one]))  # noqa: E731
    shown, asked = at_provider(create, [("transfer_to_next", {})], "here")
    assert (shown.activities, shown.words) == (["Solo uses transfer_to_next"], ["here"])
    assert "You are Next." in asked[1].instructions


@holds("entry_points")
def test_every_agent_can_be_addressed_by_its_name() -> None:
    create = pair(lambda a, b: [(a, b)], clerk=lambda turn: "offline model: at your service")
    assert words(create, model="desk/Clerk") == "at your service"


@holds("as_tool")
@LIVE
def test_an_agent_is_a_tool_of_another(stream: bool) -> None:
    inner = Agent(name="Inner", instructions="You are Inner.", tools=[read_task])
    script = {
        "Outer": calling("inner", input="Which task?"),
        "Inner": calling("read_task", number=7),
    }

    def create() -> Agency:
        tool = inner.as_tool("inner", "Asks the inner agent.")
        return Agency(Agent(name="Outer", instructions="You are Outer.", tools=[tool]))

    answer = scripts(script)
    shown, asked = at_provider_with(create, answer, stream=stream)
    assert "task 7: details" in shown.words[-1]
    assert shown.activities == ["Outer uses inner", "Inner uses read_task"]
    assert shown.response["usage"]["model_calls"] == len(asked) == 4


@holds("nested_agency")
@LIVE
def test_an_agency_answers_within_a_tool(stream: bool) -> None:
    class Consult(BaseTool):
        """Asks another agency."""

        async def run(self) -> str:
            inner = Agency(Agent(name="Inner", instructions="You are Inner.", tools=[read_task]))
            return str((await inner.get_response("Which task?")).final_output)

    script = {"Outer": calling("Consult"), "Inner": calling("read_task", number=7)}
    create = lambda: Agency(Agent(name="Outer", instructions="You are Outer.", tools=[Consult]))  # noqa: E731
    shown, asked = at_provider_with(create, scripts(script), stream=stream)
    assert "task 7: details" in shown.words[-1]
    assert shown.response["usage"]["model_calls"] == len(asked) == 4


@holds("runner_in_a_tool")
def test_the_sdks_runner_works_within_a_tool() -> None:
    @function_tool
    async def judge() -> str:
        """Judges."""
        return str((await Runner.run(SDKAgent(name="Judge", instructions="You are Judge."), "Good?")).final_output)

    script = {"Outer": calling("judge"), "Judge": lambda turn: "fair"}
    create = lambda: Agency(Agent(name="Outer", instructions="You are Outer.", tools=[judge]))  # noqa: E731
    shown, asked = at_provider_with(create, scripts(script))
    assert "fair" in shown.words[-1]
    assert shown.response["usage"]["model_calls"] == len(asked) == 3


def at_provider_with(create: Callable[[], Agency], answer: Any, **fields: Any) -> Any:
    """As `at_provider`, with a function that answers every agent by its script."""
    from tests.library.model_server import ModelServer
    from tests.library.models.agencies import settings

    with ModelServer(answer) as server:
        shown = play(create, settings(server.base_url), **fields)
    assert shown.response["status"] == "completed", shown.response["error"]
    return shown, server.requests
