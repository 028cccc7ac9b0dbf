"""What a client is told of an answer that was broken off, what a provider is told, and what is healed."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import Agent as SdkAgent
from agents import ModelSettings, Runner

from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import Turn as KeptTurn
from tests.library.history.provider import Provider
from tests.library.history.test_replay import MODEL, PLAIN, THREADS, WEATHER, Turn, play, served, swarm

APIS = pytest.mark.parametrize("api", ["responses", "chat"])
LIVE = pytest.mark.parametrize("stream", [False, True])
FIRST = [
    ("text", None),
    ("reasoning+text", None),
    ("refusal", None),
    ("blank", None),
    ("empty", None),
    ("unknown", None),
    ("malformed", None),
    ("tool+same", None),
    ("nothing!cut", "max_output_tokens"),
    ("nothing!filtered", "content_filter"),
    ("reasoning!cut", "max_output_tokens"),
    ("reasoning!filtered", "content_filter"),
    ("half!cut", "max_output_tokens"),
    ("half!filtered", "content_filter"),
    ("tool!cut", "max_output_tokens"),
    ("malformed!cut", "max_output_tokens"),
    ("half+malformed!filtered", "content_filter"),
]
IN = {
    "Entry": {},
    "Colleague": {"Entry": ["text+send"]},
    "Partner": {"Entry": ["reasoning+handoff"]},
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@APIS
@LIVE
@pytest.mark.parametrize("agent", IN)
def test_run_ends_as_the_provider_ended_its_answer(api: str, stream: bool, agent: str) -> None:
    """One thread that goes on through all of it."""
    turns = [
        Turn({name: [*kinds] for name, kinds in {**IN[agent], agent: [kind]}.items()}, stream) for kind, _ in FIRST
    ]
    with Provider() as provider:
        responses = asyncio.run(asked(provider, [*turns, PLAIN], api))
    assert provider.refusals == []
    assert responses.pop()["status"] == "completed"
    for response, (kind, reason) in zip(responses, FIRST, strict=True):
        assert response["status"] == ("incomplete" if reason else "completed"), kind
        assert response["incomplete_details"] == ({"reason": reason} if reason else None), kind


async def asked(provider: Provider, turns: list[Turn], api: str = "responses", **fields: Any) -> list[dict[str, Any]]:
    async with served(provider, THREADS[0], api, [MODEL]) as client:
        responses = []
        for turn in turns:
            provider.script = turn.script
            responses.append(await client.ask(turn, **fields))
        return responses


@APIS
@LIVE
def test_provider_is_told_store_false_and_truncation_in_every_call(api: str, stream: bool) -> None:
    with Provider() as provider:
        turn = Turn({"Entry": ["send", "handoff"], "Colleague": ["reasoning+tool", "text"]}, stream)

        async def unstored() -> dict[str, Any]:
            async with served(provider, "none", api, [MODEL]) as client:
                provider.script = turn.script
                return await client.ask(turn, store=False, truncation="auto")

        response = asyncio.run(unstored())
    assert (response["status"], response["store"], response["truncation"]) == ("completed", False, "auto")
    assert provider.refusals == []
    assert len(provider.bodies) == 5
    assert {body["store"] for body in provider.bodies} == {False}
    assert {body.get("truncation") for body in provider.bodies} == {"auto" if api == "responses" else None}


def test_provider_is_told_nothing_of_storing_that_the_client_did_not_ask() -> None:
    with Provider() as provider:
        asyncio.run(asked(provider, [PLAIN]))
    assert all("store" not in body for body in provider.bodies)


@LIVE
def test_encrypted_reasoning_that_is_refused_is_not_sent_again(stream: bool) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], "responses", [MODEL]) as client:
            provider.script = {"Entry": ["reasoning+text"]}
            await client.ask(Turn({}, stream))
            provider.reads_encrypted = False
            for _ in range(3):
                assert (await client.ask(Turn({}, stream)))["status"] == "completed"

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert [said[:25] for said in provider.refusals] == ["invalid_encrypted_content"]


def test_encrypted_reasoning_goes_back_to_the_model_that_made_it_and_to_no_other() -> None:
    async def whole(provider: Provider) -> None:
        model = [MODEL]
        async with served(provider, THREADS[0], "responses", model) as client:
            provider.script = {"Entry": ["reasoning+text"]}
            await client.ask()
            await client.ask()
            model[0] = "gpt-5.1"
            await client.ask()

    with Provider() as provider:
        asyncio.run(whole(provider))
    sent = [["encrypted_content" in item for item in body["input"]].count(True) for body in provider.bodies]
    assert sent == [0, 1, 0]
    assert provider.refusals == []


@pytest.mark.parametrize(
    ("model", "asks"),
    [
        *(("gpt-5", True), ("o4-mini", True), ("openai/o3", True)),
        *(("gpt-4.1", False), ("gpt-5-chat-latest", False), ("llama-oss", False)),
    ],
)
def test_encrypted_reasoning_is_asked_for_where_the_model_reasons(model: str, asks: bool) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], "responses", [model]) as client:
            await client.ask()

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert [bool(body["include"]) for body in provider.bodies] == [asks]


def test_refusal_of_the_question_is_remembered_of_this_model_only() -> None:
    async def whole(provider: Provider) -> None:
        model = [MODEL]
        async with served(provider, THREADS[0], "responses", model) as client:
            for each in (MODEL, MODEL, "gpt-5.1"):
                model[0] = each
                assert (await client.ask())["status"] == "completed"

    with Provider() as provider:
        provider.encrypts = False
        asyncio.run(whole(provider))
    assert [bool(body["include"]) for body in provider.bodies] == [True, False, False, True, False]


@APIS
@LIVE
def test_agents_that_store_nothing_at_the_provider_go_on_too(
    api: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agency Swarm cleans their memory itself, and would drop turns with reasoning that is not encrypted."""

    def private(model: str) -> Agency:
        agency = swarm(model)
        for agent in agency.agents.values():
            agent.model_settings = ModelSettings(store=False)
        return agency

    monkeypatch.setattr("tests.library.history.test_replay.swarm", private)
    scripts: list[dict[str, list[str]]] = [
        {"Entry": ["reasoning!cut"]},
        {"Entry": ["reasoning+tool", "reasoning+text"]},
        {"Entry": ["reasoning+send", "text"], "Colleague": ["reasoning+tool", "reasoning+text"]},
        {"Entry": ["reasoning+handoff"], "Partner": ["reasoning+tool", "nothing!filtered"]},
    ]
    responses = play([Turn(script, stream) for script in scripts], "thread_id", api)
    assert [response["status"] for response in responses] == ["incomplete", "completed", "completed", "incomplete"]


USER = {"agent": "Entry", "callerAgent": None}
INNER = {"agent": "Colleague", "callerAgent": "Entry"}
CALL = {"type": "function_call", "id": "fc_9", "call_id": "call_0", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_0", "output": "3"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]}
BAD: dict[str, list[dict[str, Any]]] = {
    "reasoning alone": [{"type": "reasoning", "id": "rs_9", "summary": []}],
    "reasoning with its follower": [{"type": "reasoning", "id": "rs_9", "summary": []}, {**SAID, "id": "msg_9"}],
    "an open call": [CALL],
    "an output alone": [OUTPUT],
    "output before call": [OUTPUT, CALL],
    "repeated ids": [CALL, OUTPUT, CALL, OUTPUT, CALL, CALL, OUTPUT, OUTPUT],
    "empty id": [{**CALL, "call_id": ""}, {**OUTPUT, "call_id": ""}],
    "long id": [{**CALL, "call_id": "c" * 90}, {**OUTPUT, "call_id": "c" * 90}],
    "half a call": [{**CALL, "arguments": '{"a": '}, OUTPUT],
    "a name that is none": [{**CALL, "name": "functions.add:0"}, OUTPUT],
    "an empty message": [{**SAID, "content": []}, {"role": "user", "content": ""}],
    "a text alone": [{"type": "message", "role": "assistant", "content": "said as text"}],
    "an output of nothing": [CALL, {**OUTPUT, "output": []}],
    "a refusal": [{**SAID, "id": "msg_9", "content": [{"type": "refusal", "refusal": "no"}]}],
    "a hosted tool": [{"type": "web_search_call", "id": "ws_9", "status": "completed", "action": {"query": "q"}}],
    "a reference": [{"type": "item_reference", "id": "msg_9"}],
    "an unknown kind": [{"type": "mcp_list_tools", "id": "mcpl_9", "tools": []}],
}


@APIS
@pytest.mark.parametrize("owner", [USER, INNER], ids=["user", "colleague"])
@pytest.mark.parametrize("bad", BAD)
def test_bad_memory_of_an_earlier_version_is_healed(api: str, owner: dict[str, Any], bad: str) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], api, [MODEL]) as client:
            conversations = Conversations(client._runs.store, "owner")
            history = [{**item, **owner, "timestamp": 1} for item in BAD[bad]]
            await conversations.append(client._fields["conversation"], KeptTurn([], history))
            provider.script = {"Entry": ["send"]}
            assert [(await client.ask())["status"] for _ in range(2)] == ["completed"] * 2

    with Provider() as provider:
        asyncio.run(whole(provider))
    assert provider.refusals == []


@APIS
@LIVE
def test_a_clients_calls_have_ids_of_their_own(api: str, stream: bool) -> None:
    """Within an answer, over the calls of a run, and over turns; the ids in the events are those of the response."""

    async def whole(provider: Provider) -> list[str]:
        seen: list[str] = []
        async with served(provider, THREADS[0], api, [MODEL]) as client:
            given: Any = "Weather?"
            for kind in ("client", "reasoning+client", "reasoning+client+tool"):
                provider.script = {"Entry": ["tool+same", kind]}
                response = await client.ask(Turn({}, stream), given, tools=[WEATHER])
                calls = [item for item in response["output"] if item["type"] == "function_call"]
                seen += [call["call_id"] for call in calls]
                output = {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "Rain"}
                given = [{"role": "user", "content": "It is late."}, output]  # chat wants them the other way round
            assert (await client.ask(Turn({}, stream), given, tools=[WEATHER]))["status"] == "completed"
        return seen

    with Provider() as provider:
        seen = asyncio.run(whole(provider))
    assert provider.refusals == []
    assert len(set(seen)) == len(seen) == 3


def test_model_is_told_that_a_tool_is_not_there() -> None:
    with Provider() as provider:
        (response,) = asyncio.run(asked(provider, [Turn({"Entry": ["unknown", "text"]})]))
    assert response["status"] == "completed"
    (output,) = [item for item in provider.bodies[1]["input"] if item["type"] == "function_call_output"]
    assert "not found" in output["output"]


@APIS
@LIVE
@pytest.mark.parametrize("given", ["", " ", [{"role": "user", "content": ""}], []], ids=str)
def test_provider_is_never_sent_an_empty_list(
    api: str, stream: bool, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever code asks an agent of its own: the rules of the provider refuse a call without items."""

    @function_tool
    async def judge() -> str:
        """Ask another agent nothing at all."""
        return str(
            (await Runner.run(SdkAgent(name="Judge", instructions="You are Judge.", model=MODEL), given)).final_output
        )

    def judged(model: str) -> Agency:
        return Agency(Agent(name="Entry", instructions="You are Entry.", model=model, tools=[judge]))

    monkeypatch.setattr("tests.library.history.test_replay.swarm", judged)

    async def whole(provider: Provider) -> dict[str, Any]:
        async with served(provider, THREADS[0], api, [MODEL]) as client:
            provider.script = {"Entry": ["judge", "text"]}
            return await client.ask(Turn(provider.script, stream))

    with Provider() as provider:
        response = asyncio.run(whole(provider))
    assert (response["status"], provider.refusals, len(provider.bodies)) == ("completed", [], 3)
