"""Servers that repeat ids of items, or begin a call with an empty text: within a run nothing is forgotten for that."""

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.library.history.provider import Provider
from tests.library.history.test_replay import MODEL, THREADS, Turn, served, swarm
from tests.library.history.test_sorted_failures import worked
from tests.library.history.test_unsaved import remembered
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage

LIVE = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@LIVE
@pytest.mark.parametrize("item_id", ["", "fc_0"])
def test_calls_under_one_item_id_are_all_remembered(stream: bool, item_id: str) -> None:
    """By every agent, within a run and in the next one, with the reasoning that led to them."""

    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], "responses", [MODEL]) as client:
            for _ in range(2):
                provider.script = {
                    "Entry": ["reasoning+tool+same", "tool", "reasoning+send", "send"],
                    "Colleague": ["reasoning+tool", "text", "tool"],
                }
                assert (await client.ask(Turn({}, stream)))["status"] == "completed"

    with Provider() as provider:
        provider.item_id = item_id
        asyncio.run(whole(provider))
    assert provider.refusals == []
    assert (remembered(provider, "Entry"), remembered(provider, "Colleague")) == (6, 4)
    newest = [body for body in provider.bodies if "You are Entry" in body["instructions"]][-1]
    assert [item["type"] for item in newest["input"]].count("reasoning") == 4


@LIVE
def test_item_ids_of_an_earlier_attempt_are_known_to_the_next(stream: bool) -> None:
    async def whole(provider: Provider, folder: str) -> Any:
        service = settings(provider.base_url, store=f"sqlite:///{folder}/agency.db")
        async with on_stage(lambda: swarm(MODEL), service) as runs:
            return await worked(runs, stream)

    with tempfile.TemporaryDirectory() as folder, Provider() as provider:
        provider.item_id = "fc_0"
        provider.script = {"Entry": ["tool", "503", "tool", "text"]}
        attempts, response, _ = asyncio.run(asyncio.wait_for(whole(provider, folder), 30))
    assert (attempts, response["status"]) == (2, "completed")
    assert remembered(provider, "Entry") == 2


class Thinking(Provider):
    """A chat server whose model wants to see, within a turn, what it has thought; its answers hold an empty text."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[list[str | None]] = []

    def answer(self, chat: bool, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        said = [message for message in body["messages"] if message["role"] == "assistant"]
        self.shown.append([message.pop("reasoning_content", None) for message in said])
        status, answer = super().answer(chat, body)
        message = answer["choices"][0]["message"]
        message["reasoning_content"] = f"Thought {len(self.shown)}."
        message["content"] = message["content"] or ""
        return status, answer


@LIVE
def test_chat_model_is_shown_its_reasoning_within_a_turn(stream: bool) -> None:
    async def whole(provider: Provider) -> None:
        async with served(provider, THREADS[0], "chat", ["deepseek-reasoner"]) as client:
            provider.script = {"Entry": ["tool", "text+tool+same", "text"]}
            for _ in range(2):
                assert (await client.ask(Turn({}, stream)))["status"] == "completed"

    with Thinking() as provider:
        asyncio.run(whole(provider))
    assert provider.refusals == []
    assert provider.shown[:3] == [[], ["Thought 1."], ["Thought 1.", "Thought 2."]]
    assert set(provider.shown[3]) == {None}
