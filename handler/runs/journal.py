"""What a stored run has been answered: written before it is used, so that a run that is taken up again pays for no
model call twice and repeats no tool call that has finished.

An answer is found again by who asked and what: the agent, the sha256 of the items and tools that its model was given,
and the how-manieth time that is. Instructions are no part of it: they may hold the time of day.

A call that was asked and has no answer is asked again: whether the provider has worked on it (and bills it) nobody
can know from here. `unanswered` counts them.
"""

import asyncio
import hashlib
import json
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

from agents import ModelResponse
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from handler.errors import StoreUnavailable
from handler.models import Answered, Question
from handler.records.responses import Responses, expiry
from handler.store import ABSENT, Conflict, Put, Store

logger = logging.getLogger(__name__)
_RESPONSE = TypeAdapter(ModelResponse)


class Unwritten(BaseException):
    """What was answered could not be kept, so it cannot be used. No Exception: the framework makes texts of those."""


@dataclass(frozen=True)
class Entry:
    """An answer that the run has. ids: under which its items were, or are to be, told."""

    answered: Answered
    ids: dict[int, str]


class Journal:
    """The journal of one run. store: None for a run that is not kept; then it remembers nothing."""

    def __init__(self, store: Store | None, responses: Responses, response_id: str) -> None:
        self._store, self._partition = store, responses.partition(response_id)
        self._kept: dict[str, Any] = {}
        self._versions: dict[str, str] = {}
        self._seen: Counter[str] = Counter()
        self._marks: dict[str, asyncio.Task[None]] = {}
        self.hits = self.unanswered = 0

    async def load(self) -> None:
        """What an interrupted run has left."""
        if self._store:
            records = await self._store.query(self._partition, after="journal/", before="journal0")
            for record in records:
                key = record.sort.removeprefix("journal/")
                self._kept[key], self._versions[key] = record.body, record.version

    @property
    def ids(self) -> set[str]:
        """Of every item that an answer in here is told by."""
        return {item_id for body in self._kept.values() for item_id in body.get("ids", {}).values()}

    def key(self, agent: str, question: Question) -> str:
        """Under which the answer to this question is kept."""
        tools = [(tool.name, getattr(tool, "params_json_schema", None)) for tool in question.tools]
        asked = json.dumps([agent, question.items, tools], sort_keys=True, default=to_jsonable_python)
        digest = hashlib.sha256(asked.encode()).hexdigest()
        self._seen[digest] += 1
        return f"model/{digest}/{self._seen[digest]:04d}"

    def find(self, key: str) -> Entry | None:
        """The answer, if the run has it; else it is noted that it is asked for now."""
        body = self._kept.get(key)
        if body and "response" in body:
            self.hits += 1
            return _entry(body)
        self.unanswered += body is not None
        if self._store:  # beside the call itself, which takes longer
            self._marks[key] = asyncio.create_task(self._mark(key))
        return None

    async def keep(self, key: str, answered: Answered, ids: dict[int, str]) -> Entry:
        """The answer is the run's when this returns; or the one that another attempt has kept meanwhile is."""
        if key in self._marks:
            await asyncio.wait({self._marks.pop(key)})  # or it would be written over the answer
        response = _RESPONSE.dump_python(answered.response, mode="json", exclude_unset=True)
        body = {"response": response, "complete": answered.complete, "ids": ids}
        kept = await self._write(key, body)
        return Entry(answered, ids) if kept is body else _entry(kept)

    def tool(self, call: str) -> tuple[bool, Any]:
        """(whether this call has finished before, what it returned)."""
        body = self._kept.get(f"tool/{call}")
        self.hits += body is not None
        return body is not None, body and body["output"]

    async def keep_tool(self, call: str, output: Any) -> Any:
        """A tool has finished; returns its output, or the one that another attempt has kept meanwhile."""
        body = {"output": output}
        kept = await self._write(f"tool/{call}", body)
        return output if kept is body else kept["output"]

    async def _mark(self, key: str) -> None:
        try:
            await self._write(key, {"asked": True})
        except Unwritten:
            logger.exception("it could not be noted that a model was asked")

    async def _write(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Returns what is kept then: an answer that is there is never written over."""
        try:
            return body if self._store is None else await self._settle(self._store, key, body)
        except StoreUnavailable as error:
            raise Unwritten from error

    async def _settle(self, store: Store, key: str, body: dict[str, Any]) -> dict[str, Any]:
        sort = f"journal/{key}"
        while True:
            put = Put(self._partition, sort, body, expiry(), expected=self._versions.get(key, ABSENT))
            try:
                await store.write(put)
            except Conflict:  # an attempt that has lost its lease, and does not know yet, or ours that has
                there = await store.get(self._partition, sort)
                if there and "asked" not in there.body:
                    return dict(there.body)
                self._versions[key] = there.version if there else ABSENT
                continue
            self._versions[key] = put.version
            return body


def _entry(body: dict[str, Any]) -> Entry:
    ids = {int(number): item_id for number, item_id in body["ids"].items()}
    return Entry(Answered(_RESPONSE.validate_python(body["response"]), body["complete"]), ids)
