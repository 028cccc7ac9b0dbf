"""Runs of several owners at the same time, on agents and agencies that lie at the top of a module."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, Handoff, MasterContext, RunContextWrapper, SendMessage, function_tool
from agents import Agent as SdkAgent
from agents import ModelSettings, Runner, WebSearchTool, handoff

from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.service import RunService
from agency_lambda.settings import Settings
from tests.library.model_server import ModelServer, scripts
from tests.library.models.agencies import settings
from tests.library.runs.stage import Told, on_stage, told

LIVE = pytest.mark.parametrize("stream", [True, False])
OWNERS = [f"owner{number}word" for number in range(6)]


@function_tool
async def who_asks(context: RunContextWrapper[MasterContext]) -> str:
    """Says what it knows of its caller, after a while."""
    before = dict(context.context.user_context)
    context.context.user_context["last"] = before["owner"]
    if "notes" in before:  # Boss and those that are wired with it
        before["notes"].append(before["owner"])
        before["deep"]["of"].add(before["owner"])
        assert set(before["notes"]) == before["deep"]["of"] == {before["owner"]}
    await asyncio.sleep(random.random() / 50)
    assert context.context.user_context["last"] == before["owner"]
    return json.dumps({name: before[name] for name in sorted(before) if name not in ("notes", "deep")})


class Shared:
    """What is at the top of an agency's module, made once for all runs."""

    def __init__(self) -> None:
        agents = {name: Agent(name=name, instructions=f"You are {name}.") for name in ("Boss", "Aide", "Clerk")}
        self.boss, self.aide, self.clerk = agents.values()
        self.nested = Agency(Agent(name="Nested", instructions="You are Nested.", tools=[who_asks]))
        self.alone = Agent(name="Alone", instructions="You are Alone.", tools=[who_asks])
        self.context: dict[str, Any] = {"theirs": "stays", "notes": [], "deep": {"of": set()}}
        self.agents = [*agents.values(), *self.nested.agents.values(), self.alone]
        self.boss.tools.extend(self._tools())
        self.aide.tools.append(who_asks)
        self.clerk.tools.append(who_asks)
        self.before = self.state()

    def _tools(self) -> list[Any]:
        @function_tool
        async def ask_nested(question: str) -> str:
            """Asks an agency at the top of the module."""
            return str((await self.nested.get_response(question)).final_output)

        @function_tool
        async def ask_alone(question: str) -> str:
            """Asks an agent that is in no agency, with instructions for this question."""
            answer = await self.alone.get_response(question, additional_instructions=f"For {question}.")
            return str(answer.final_output)

        return [who_asks, ask_nested, ask_alone]

    def create_agency(self) -> Agency:
        flows = [self.boss > self.aide, (self.boss, self.clerk, Handoff), (self.aide, self.clerk, Handoff)]
        return Agency(self.boss, communication_flows=flows, shared_instructions="Be kind.", user_context=self.context)

    def state(self) -> list[Any]:
        """Everything of the agents that a run could write on."""
        names = ("instructions", "model", "model_settings", "tools", "handoffs", "mcp_servers", "output_guardrails")
        return [
            *([repr(getattr(agent, name)) for name in names] for agent in self.agents),
            *(sorted(vars(agent)) for agent in self.agents),
            self.nested.thread_manager.get_all_messages(),
            repr(self.context),
            repr(self.nested.user_context),
        ]


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[str], Settings]:
    """stored(base_url) -> settings with a store that lasts for the test."""
    return lambda base_url: settings(base_url).model_copy(update={"store": f"sqlite:///{tmp_path}/agency.db"})


def word_of(text: str) -> str:
    return next(owner for owner in OWNERS if owner in text)


def boss(turn: Any) -> Any:
    """Asks everybody at once, and hands over in the end."""
    word, known = word_of(turn.message), {call.tool: call.output for call in turn.calls}
    if "who_asks" not in known:
        message = {"recipient_agent": "Aide", "message": word, "additional_instructions": f"Only for {word}."}
        return [
            ("who_asks", {}),
            ("send_message", message),
            ("ask_nested", {"question": word}),
            ("ask_alone", {"question": word}),
        ]
    return "offline model: " + json.dumps(known)


def other(turn: Any) -> Any:
    known = [call.output for call in turn.calls if call.tool == "who_asks"]
    return f"offline model: {known[-1]}" if known else [("who_asks", {})]


SCRIPTS = {"Boss": boss, **dict.fromkeys(("Aide", "Clerk", "Nested", "Alone"), other)}


async def ask(runs: RunService, owner: str, **fields: Any) -> Told:
    asked = {"model": "desk", "input": f"I am {owner}", "instructions": f"Serve {owner}.", **fields}
    await asyncio.sleep(random.random() / 50)
    run = await runs.create(CreateResponse.model_validate({"metadata": {"word": owner}, **asked}), owner)
    assert isinstance(run, Attempt)
    return await told(run)


def words_in(text: str) -> set[str]:
    return {owner for owner in OWNERS if owner in text}


@LIVE
@pytest.mark.parametrize("made", ["for each run", "once"])
def test_concurrent_runs_on_shared_agents_do_not_mix(stream: bool, made: str, stored: Any) -> None:
    shared = Shared()
    only = shared.create_agency()
    create_agency = (lambda: only) if made == "once" else shared.create_agency
    shared.before = shared.state()

    async def all_at_once(service: Any) -> list[Told]:
        async with on_stage(create_agency, service) as runs:
            first = await asyncio.gather(*(ask(runs, owner, stream=stream) for owner in OWNERS))
            again = (
                ask(runs, owner, stream=stream, previous_response_id=before.response["id"])
                for owner, before in zip(OWNERS, first, strict=True)
            )
            return [*first, *await asyncio.gather(*again)]

    with ModelServer(scripts(SCRIPTS), delay=0.01) as server:
        everything = asyncio.run(all_at_once(stored(server.base_url)))
        requests = [request.body for request in server.requests]
    for owner, shown in zip([*OWNERS, *OWNERS], everything, strict=True):
        assert shown.response["status"] == "completed", shown.response
        check_answers(owner, shown)
    for body in requests:
        assert len(words_in(json.dumps(body))) == 1, body
        check_instructions(body["instructions"])
    assert shared.state() == shared.before


def check_answers(owner: str, shown: Told) -> None:
    """Everybody that the boss has asked knew who called, and nobody was still busy with somebody else."""
    (text,) = shown.words
    answers = json.loads(text.removeprefix("offline model: "))
    assert set(answers) == {"who_asks", "send_message", "ask_nested", "ask_alone"}
    for answer in answers.values():
        known = json.loads(answer.removeprefix("offline model: "))
        assert (known["owner"], known["metadata"]) == (owner, {"word": owner})
        assert known["response_id"] == shown.response["id"]
        assert known["conversation_id"] is None
        assert words_in(answer) == {owner}


def check_instructions(text: str) -> None:
    assert text.count("Be kind.") == (0 if "Nested" in text or "Alone" in text else 1), text
    assert text.count("Serve ") == text.count("You are Boss."), text
    assert text.count("Only for ") == text.count("You are Aide."), text
    assert text.count("For owner") == text.count("You are Alone."), text


def test_user_context_has_the_conversation_and_what_the_agency_put_there(stored: Any) -> None:
    shared = Shared()

    async def turns(service: Any) -> list[dict[str, Any]]:
        async with on_stage(shared.create_agency, service) as runs:
            known = []
            for thread in ("one", "two"):
                request = CreateResponse.model_validate({"model": "desk", "input": f"I am {OWNERS[0]}"})
                run = await runs.create(request, OWNERS[0], conversation_name=thread)
                assert isinstance(run, Attempt)
                (text,) = (await told(run)).words
                answers = json.loads(text.removeprefix("offline model: "))
                known.append(json.loads(answers["who_asks"]) | {"wanted": run.response["conversation"]["id"]})
            return known

    with ModelServer(scripts(SCRIPTS)) as server:
        one, two = asyncio.run(turns(stored(server.base_url)))
    assert one["conversation_id"] == one["wanted"] != two["conversation_id"] == two["wanted"]
    assert one["theirs"] == "stays"
    assert one["metadata"] == {}
    assert "last" not in two  # what a tool writes there is of its run


def test_names_of_the_service_win_in_user_context(stored: Any) -> None:
    shared = Shared()
    shared.context.update(owner="forged", metadata="forged")

    async def whole(service: Any) -> Told:
        async with on_stage(shared.create_agency, service) as runs:
            return await ask(runs, OWNERS[1])

    with ModelServer(scripts(SCRIPTS)) as server:
        check_answers(OWNERS[1], asyncio.run(whole(stored(server.base_url))))
    assert shared.context["owner"] == "forged"


@LIVE
def test_handoffs_between_shared_agents_stay_within_their_run(stream: bool, stored: Any) -> None:
    shared = Shared()
    stranger = SdkAgent(name="Stranger", instructions="You are Stranger.")
    shared.clerk.handoffs.extend([stranger, handoff(shared.aide)])

    def clerk(turn: Any) -> Any:
        return [("transfer_to_aide", {})]

    async def all_at_once(service: Any) -> list[Told]:
        async with on_stage(shared.create_agency, service) as runs:
            return await asyncio.gather(*(ask(runs, owner, stream=stream) for owner in OWNERS))

    over = {"Boss": lambda turn: [("transfer_to_Clerk", {"recipient_agent": "Clerk"})], "Clerk": clerk, "Aide": other}
    with ModelServer(scripts(over), delay=0.01) as server:
        everything = asyncio.run(all_at_once(stored(server.base_url)))
    for owner, shown in zip(OWNERS, everything, strict=True):
        assert shown.response["status"] == "completed"
        assert json.loads(shown.words[-1].removeprefix("offline model: "))["owner"] == owner
        assert words_in(str(shown)) == {owner}
    for request in server.requests:  # whom the agency lets it hand over to, also where code of its own led there
        assert ("transfer_to_Clerk" in str(request.body["tools"])) == ("You are Clerk" not in request.instructions)


def test_agency_made_within_a_run_keeps_its_history() -> None:
    """Code that makes an agency for one question may look at what was said."""
    counted = []

    @function_tool
    async def ask_nested() -> str:
        """Asks an agency that is made for it."""
        nested = Agency(Agent(name="Nested", instructions="You are Nested."))
        for question in ("first", "second"):
            await nested.get_response(question)
            counted.append(len(nested.thread_manager.get_all_messages()))
        return "done"

    async def whole() -> Told:
        create = lambda: Agency(Agent(name="Boss", instructions="You are Boss.", tools=[ask_nested]))  # noqa: E731
        async with on_stage(create) as runs:
            return await ask(runs, OWNERS[0], store=False)

    assert asyncio.run(whole()).response["status"] == "completed"
    assert counted == [2, 4]


def test_agency_of_another_module_remembers_within_a_run_and_not_beyond() -> None:
    nested = Agency(Agent(name="Nested", instructions="You are Nested."))
    seen: list[int] = []

    @function_tool
    async def ask_nested() -> str:
        """Asks it twice."""
        for question in ("first", "second"):
            result = await nested.get_response(question)
            seen.append(len(result.to_input_list()))
        return "done"

    async def whole() -> None:
        create = lambda: Agency(Agent(name="Boss", instructions="You are Boss.", tools=[ask_nested]))  # noqa: E731
        async with on_stage(create) as runs:
            for owner in OWNERS[:2]:
                await ask(runs, owner)

    asyncio.run(whole())
    assert seen == [2, 4, 2, 4]
    assert nested.thread_manager.get_all_messages() == []


def test_outside_of_a_run_nothing_is_copied() -> None:
    alone = Agent(name="Alone", instructions="You are Alone.")
    agency = Agency(alone)

    async def whole() -> None:
        async with on_stage(lambda: Agency(alone)) as runs:
            await ask(runs, OWNERS[0])  # everything is installed
        await agency.get_response("hello")
        await Runner.run(alone, "hello")

    asyncio.run(whole())
    assert len(agency.thread_manager.get_all_messages()) == 2


def test_copies_have_what_was_done_to_agents_after_the_agency_was_made(stored: Any) -> None:
    def create() -> Agency:
        agent = Agent(name="Boss", instructions="You are Boss.", model_settings=ModelSettings(temperature=0.1))
        agency = Agency(agent)
        agent.add_tool(who_asks)
        agent.instructions = "You are changed."
        agency.agents["Boss"].model = "gpt-4.1"
        return agency

    async def whole(service: Any) -> None:
        async with on_stage(create, service) as runs:
            await ask(runs, OWNERS[0], store=False)

    with ModelServer(["hello"]) as server:
        asyncio.run(whole(stored(server.base_url)))
        (request,) = server.requests
    assert request.instructions.startswith("You are changed.")
    assert (request.body["model"], request.body["temperature"], list(request.tools)) == ("gpt-4.1", 0.1, ["who_asks"])


def test_custom_send_message_and_hosted_tools_are_there_in_a_copy(stored: Any) -> None:
    class Urgent(SendMessage):
        """Sends an urgent message."""

    one = Agent(name="Boss", instructions="You are Boss.", tools=[WebSearchTool()])
    two = Agent(name="Aide", instructions="You are Aide.")

    async def whole(service: Any) -> None:
        async with on_stage(lambda: Agency(one, communication_flows=[(one, two, Urgent)]), service) as runs:
            for owner in OWNERS[:2]:
                await ask(runs, owner, store=False)

    with ModelServer(["hello", "hello"]) as server:
        asyncio.run(whole(stored(server.base_url)))
        bodies = [request.body for request in server.requests]
    for body in bodies:
        assert [tool["type"] for tool in body["tools"]] == ["web_search", "function"]
        assert body["tools"][1]["description"].startswith("Sends an urgent message.")
        assert body["include"].count("web_search_call.action.sources") == 1
