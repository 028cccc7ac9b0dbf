"""Small agencies on a stage: one request, run as the service runs it, and everything that a client is told of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from unittest.mock import patch

from agency_swarm import Agency
from agents import Model, ModelResponse, Usage
from openai.types.responses import (
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseStreamEvent,
)

from agency_lambda import catalogue
from agency_lambda.framework.models.events import response, stream_events
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.attempt_stream import AttemptStream
from agency_lambda.runs.service import RunService
from agency_lambda.settings import Settings
from agency_lambda.testing.replay import replayed
from tests.library.models.agencies import settings

Item = dict[str, Any]


class Told(NamedTuple):
    """What a client is told: the events (none where it did not ask for them), and the response in the end."""

    events: list[dict[str, Any]]
    response: dict[str, Any]

    @property
    def items(self) -> list[Item]:
        """The items of the response; where there are events, they tell the same."""
        if self.events:
            assert replayed(self.events) == self.response["output"]
        output: list[Item] = self.response["output"]
        return output

    @property
    def words(self) -> list[str]:
        """The messages to the user."""
        return [said(item) for item in self.items if item["type"] == "message"]

    @property
    def activities(self) -> list[str]:
        """What the agents did, in the order in which they began."""
        return [said(item) for item in self.items if "tool" in item]

    def __contains__(self, text: str) -> bool:
        return text in json.dumps([self.events, self.response], ensure_ascii=False)


def said(item: Item) -> str:
    parts = item.get("content") or item.get("summary") or []
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


@asynccontextmanager
async def on_stage(create_agency: Callable[[], Agency], service: Settings | None = None) -> AsyncIterator[RunService]:
    """A service with one agency, "desk"; offline if not told otherwise."""
    runs = RunService(service or settings(key=None))
    try:
        with patch.object(catalogue, "factories", lambda: {"desk": create_agency}):
            yield runs
    finally:
        await asyncio.sleep(0.01)  # what a run has cancelled may be about to connect
        await runs.aclose()


async def begin(runs: RunService, **fields: Any) -> Attempt:
    """A run that is streamed and not stored, if not told otherwise."""
    asked = {"model": "desk", "input": "Order paper", "stream": True, "store": False, **fields}
    run = await runs.create(CreateResponse.model_validate(asked), "owner")
    assert isinstance(run, Attempt)
    return run


async def told(run: Attempt) -> Told:
    """The run to its end, good or bad."""
    if run.log.records_events:
        stream = AttemptStream(run, run.execute())
        events = [event async for event in stream.events()]
        await stream.leave()
        return Told(events, run.response)
    with suppress(Exception):  # the response says it
        await run.execute()
    return Told([], run.response)


def play(create_agency: Callable[[], Agency], service: Settings | None = None, **fields: Any) -> Told:
    """One request, from its beginning to its end."""

    async def whole() -> Told:
        async with on_stage(create_agency, service) as runs:
            return await told(await begin(runs, **fields))

    return asyncio.run(asyncio.wait_for(whole(), 30))


class Plays(Model):
    """Answers with these items, one list a call, the last for ever; streams them like OpenAI does."""

    model = "plays"

    def __init__(self, *answers: list[ResponseOutputItem]) -> None:
        self._answers = [*answers]

    def _next(self) -> Any:
        output = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return response(self.model, output, 40, 40)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        usage = Usage(requests=1, input_tokens=11, output_tokens=11, total_tokens=22)
        return ModelResponse(output=self._next().output, usage=usage, response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[ResponseStreamEvent]:
        answer = self._next()
        created, begun, *rest = stream_events(answer)
        for event in [created, begun, *_others(answer.output), *rest]:
            await asyncio.sleep(0)
            yield event


def _others(output: list[ResponseOutputItem]) -> Iterator[ResponseStreamEvent]:
    """The items that the offline model never makes."""
    for index, item in enumerate(output):
        if item.type not in ("message", "function_call", "reasoning"):
            where: dict[str, Any] = {"item": item, "output_index": index, "sequence_number": 0}
            yield ResponseOutputItemAddedEvent(type="response.output_item.added", **where)
            yield ResponseOutputItemDoneEvent(type="response.output_item.done", **where)
