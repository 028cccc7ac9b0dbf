"""Whatever items of a conversation are deleted, a strict provider accepts every later turn."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agency_lambda.history.conversations import Conversations
from agency_lambda.history.deleting import delete_item, without_item
from agency_lambda.history.loading import TurnCache, load_history
from agency_lambda.history.turns import Turn as StoredTurn
from agency_lambda.history.turns import load_turns
from agency_lambda.store import open_store
from tests.library.history.provider import Provider
from tests.library.history.test_replay import MODEL, WEATHER, Turn, histories, served


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def deleted(client: Any, choose: Any) -> list[str]:
    """Delete what is chosen of all items, one after the other; returns the types of those that are left."""
    store, name = client._runs.store, client._fields["conversation"]
    conversations = Conversations(store, "owner")
    while item := choose(await conversations.items(await conversations.get(name))):
        await delete_item(store, "owner", name, item["id"])
    conversation = await conversations.get(name)
    turns = await load_turns(store, conversation.end)
    assert conversation.items == sum(len(turn.items) for turn in turns)
    assert conversation.parts == sum(turn.parts for turn in turns)
    assert conversation.size == sum(turn.size for turn in turns)
    return [item["type"] for turn in turns for item in turn.items]


@settings(
    max_examples=25,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(turns=histories(), seed=st.randoms(use_true_random=False), part=st.integers(1, 4))
def test_every_later_turn_is_accepted(turns: list[Turn], seed: Any, part: int) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, "conversation", "responses", [MODEL]) as client:
            for turn in turns:
                provider.script = {agent: list(kinds) for agent, kinds in turn.script.items()}
                await client.ask(turn)
                left = [0]

                def choose(items: list[Any], left: list[int] = left) -> Any:
                    left[0] += 1
                    return seed.choice(items) if items and left[0] <= len(items) / part + 1 else None

                await deleted(client, choose)
                provider.script = {}
                assert (await client.ask())["status"] == "completed"
            provider.forget()
            assert (await client.ask())["status"] == "completed"

    with Provider() as provider:
        asyncio.run(asyncio.wait_for(whole(provider), 60))
    assert provider.refusals == []


@pytest.mark.parametrize("kinds", [["send", "text"], ["tool+tool", "text"], ["reasoning+text"], ["search+text"]])
def test_agents_know_nothing_where_all_is_deleted(kinds: list[str]) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, "conversation", "responses", [MODEL]) as client:
            provider.script = {"Entry": list(kinds), "Colleague": ["tool", "text"]}
            await client.ask(given="The word is Nordwind.")
            assert await deleted(client, lambda items: items[0] if items else None) == []
            provider.bodies.clear()
            provider.script = {"Entry": ["send"]}
            await client.ask(given="Which word?")
            assert len(provider.bodies) == 3
            first, colleague = provider.bodies[0]["input"], provider.bodies[1]["input"]
            assert [item.get("content") for item in first] == ["Which word?"]
            assert [item.get("role") for item in colleague] == ["user"]

    with Provider() as provider:
        asyncio.run(asyncio.wait_for(whole(provider), 60))


def test_call_takes_its_output_along_and_an_output_leaves_an_optional_call() -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, "conversation", "responses", [MODEL]) as client:
            output = {"type": "function_call_output", "output": "rain"}
            for kind in ("function_call", "function_call_output"):
                provider.script = {"Entry": ["client"]}
                call = (await client.ask(tools=[WEATHER]))["output"][-1]
                await client.ask(given=[{**output, "call_id": call["call_id"]}])
                await deleted(client, lambda items, kind=kind: next((i for i in items if i["type"] == kind), None))
                await client.ask()
                sent = provider.bodies[-1]["input"]
                assert not [item for item in sent if item.get("call_id")]
            await client.ask(given=[{**output, "call_id": call["call_id"], "output": "sun"}])
            sent = provider.bodies[-1]["input"]
            assert [item["type"] for item in sent if item.get("call_id")] == ["function_call", "function_call_output"]
            assert [item["output"] for item in sent if "output" in item] == ["sun"]

    with Provider() as provider:
        asyncio.run(asyncio.wait_for(whole(provider), 60))
    assert provider.refusals == []


def test_process_that_remembers_the_turns_reads_them_anew(tmp_path: Path) -> None:
    async def inside() -> None:
        store, cache = open_store(f"sqlite:///{tmp_path}/agency.db"), TurnCache()
        conversations = Conversations(store, "owner")
        name = (await conversations.create({}, ITEMS[:3], HISTORY[:2])).id
        for number in range(3):
            history = [message("user", f"turn {number}")]
            await conversations.append(name, StoredTurn([{**ITEMS[0], "id": f"t{number}"}], history))

        async def remembered() -> list[str]:
            end = (await conversations.get(name)).end
            return [item["content"] for item in await load_history(store, end, cache)]

        assert await remembered() == ["hello", "hello", "turn 0", "turn 1", "turn 2"]
        await delete_item(store, "owner", name, "1")
        await delete_item(store, "owner", name, "3")
        assert await remembered() == ["turn 0", "turn 1", "turn 2"]
        assert len(await load_turns(store, (await conversations.get(name)).end)) == 5  # one mark for both
        await delete_item(store, "owner", name, "t2")
        await conversations.append(name, StoredTurn([{**ITEMS[0], "id": "t3"}], [message("user", "turn 3")]))
        assert await remembered() == ["turn 0", "turn 1", "turn 3"]
        await store.aclose()

    asyncio.run(inside())


def message(role: str, text: str, agent: str = "A", caller: str | None = None) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": text, "agent": agent, "callerAgent": caller}


def call(name: str, number: int, agent: str, caller: str | None) -> list[dict[str, Any]]:
    known = {"call_id": f"c{number}", "agent": agent, "callerAgent": caller}
    return [
        {"type": "function_call", "name": name, "arguments": "{}", **known},
        {"type": "function_call_output", "output": "x", **known},
    ]


HISTORY = [
    message("user", "hello"),
    message("user", "hello"),
    *call("send_message", 1, "A", None),
    message("user", "one", "B", "A"),
    *call("add", 2, "B", "A"),
    message("user", "two", "B", "A"),
    *call("add", 3, "B", "A"),
    message("assistant", "done"),
]
ITEMS = [
    {"id": "1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    {"id": "2", "type": "message", "role": "user", "content": [{"type": "input_text", "text": " "}]},
    {"id": "3", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    {"id": "4", "type": "reasoning", "summary": [], "agent": "A", "tool": "send_message", "recipient": "B"},
    {"id": "5", "type": "reasoning", "summary": [], "agent": "B", "tool": "add"},
    {"id": "6", "type": "reasoning", "summary": [], "agent": "B", "tool": "add"},
    {"id": "7", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]},
]


@pytest.mark.parametrize(
    ("place", "gone"),
    [(0, [0]), (1, []), (2, [1]), (3, [2, 3, 4, 5, 6]), (4, [5, 6]), (5, [8, 9]), (6, [10])],
)
def test_memory_loses_what_the_item_stands_for(place: int, gone: list[int]) -> None:
    changed = without_item([StoredTurn(ITEMS, HISTORY)], 0, place)
    assert changed[0].items == [item for number, item in enumerate(ITEMS) if number != place]
    assert changed[0].history == [item for number, item in enumerate(HISTORY) if number not in gone]


def test_memory_of_a_turn_that_replaces_others_loses_it_too() -> None:
    first, second = StoredTurn(ITEMS[:4], HISTORY[:4]), StoredTurn(ITEMS[4:], HISTORY, 1)
    changed = without_item([first, second], 0, 2)
    assert changed.keys() == {0, 1}
    assert (len(changed[0].items), changed[1].items) == (3, second.items)
    assert [len(changed[number].history) for number in (0, 1)] == [3, len(HISTORY) - 1]
