"""Agents that send messages side by side, offline: what each model was asked, and when it may answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from agency_swarm import Agent

from agency_lambda.framework.models import Models
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.offline.turn import read_turn, text_of
from agency_lambda.store import open_store
from tests.library.features.waiting import Stored, StoredRun
from tests.library.models.agencies import settings

Script = Callable[[Any], Any]


class Asked(NamedTuple):
    """One model call. texts: of the messages in its input, without calls and outputs."""

    agent: str
    instructions: str
    texts: tuple[str, ...]


async def _at_once(asked: Asked) -> None:
    pass


@dataclass
class Office:
    """answer: awaited before each answer."""

    answer: Callable[[Asked], Awaitable[None]] = _at_once
    asked: list[Asked] = field(default_factory=list)

    def agent(self, name: str, script: Script | None = None, **fields: Any) -> Agent:
        model = OfficeModel(name, script or (lambda turn: f"re {turn.message}"))
        model.office = self
        return Agent(**{"name": name, "instructions": f"I am {name}.", "model": model, **fields})

    def texts(self, agent: str) -> list[tuple[str, ...]]:
        return [asked.texts for asked in self.asked if asked.agent == agent]


class OfficeModel(OfflineModel):
    office: Office

    async def get_response(self, instructions: Any, items: Any, *args: Any, **named: Any) -> Any:
        await self._note(instructions, items)
        return await super().get_response(instructions, items, *args, **named)

    async def stream_response(self, instructions: Any, items: Any, *args: Any, **named: Any) -> Any:
        await self._note(instructions, items)
        async for event in super().stream_response(instructions, items, *args, **named):
            yield event

    def _plan(self, items: Any, *request: Any) -> Any:
        turn = read_turn(items, {})
        assert self.script
        return self.script(turn), turn

    async def _note(self, instructions: str | None, items: Any) -> None:
        texts = tuple(text_of(item["content"]) for item in items if "role" in item)
        asked = Asked(self.agent, instructions or "", texts)
        self.office.asked.append(asked)
        await self.office.answer(asked)


def to(recipient: str, message: str, extra: str = "", tool: str = "send_message") -> tuple[str, dict[str, Any]]:
    return tool, {"recipient_agent": recipient, "message": message, "additional_instructions": extra}


def batches(*answers: list[tuple[str, dict[str, Any]]], last: str = "") -> Script:
    """A script: these answers, one after the other, and then a text: the calls' outputs, or `last`."""
    ends = [sum(map(len, answers[:number])) for number in range(len(answers))]

    def script(turn: Any) -> Any:
        if len(turn.calls) in ends:
            return answers[ends.index(len(turn.calls))]
        return last or " | ".join(call.output for call in turn.calls)

    return script


def stored_in(folder: Path, **named: Any) -> Stored:
    """stored(create_agency) -> a run. named: settings."""
    models = Models(settings(key=None, **named))
    return partial(StoredRun, store=open_store(f"sqlite:///{folder}/agency.db"), models=models)


def in_reverse(*last_words: str) -> Callable[[Asked], Awaitable[None]]:
    """Answer those who are asked these words when all of them are, the last one first."""
    all_begun = asyncio.Barrier(len(last_words))
    turns = {word: asyncio.Event() for word in last_words}
    turns[last_words[-1]].set()

    async def answer(asked: Asked) -> None:
        if (word := asked.texts[-1]) not in turns:
            return
        await all_begun.wait()
        await turns[word].wait()
        index = last_words.index(word)
        asyncio.get_running_loop().call_later(0.02, turns[last_words[index - 1]].set)

    return answer
