"""Whatever models have answered, in whichever agent: every later turn is accepted by a strict provider.

Also when it has forgotten every id that it gave, and when another model answers.
"""

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from agency_swarm import Agency, Agent, Handoff, function_tool
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agency_lambda.errors import ServiceError
from agency_lambda.framework.models import provider as asking
from agency_lambda.history.conversations import Conversations
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.attempt_stream import AttemptStream
from agency_lambda.runs.service import RunService
from tests.library.history.provider import Provider
from tests.library.models.agencies import settings as service_settings
from tests.library.runs.stage import on_stage

MODEL = "gpt-5"
THREADS = ("conversation", "previous_response_id", "thread_id")
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}

# What every agent may answer. "!": the provider has broken it off.
ANYWHERE = [
    *("text", "reasoning+text", "reasoning+reasoning+text", "text+text", "reasoning+text+text"),
    *("tool", "reasoning+tool", "tool+tool", "tool+same", "reasoning+tool+same", "text+tool", "tool+text+tool"),
    *("unknown", "reasoning+unknown", "malformed", "tool+unknown", "refusal", "reasoning+refusal"),
    *("reasoning", "blank", "empty", "reasoning+empty", "reasoning+blank", "search+text", "reasoning+search"),
    *("reasoning+search+reasoning+tool", "tool+search+tool", "nothing!cut", "nothing!filtered"),
    *("reasoning!cut", "reasoning!filtered", "half!cut", "reasoning+half!filtered", "malformed!cut"),
    *("tool+malformed!cut", "half+malformed!cut", "reasoning+tool!cut", "400", "503"),
]
ENTRY = [*ANYWHERE, "send", "reasoning+send", "send+tool", "send+same", "text+send", "handoff", "reasoning+handoff"]


added = threading.Event()


@function_tool
async def add(a: int, b: int) -> str:
    """Adds."""
    added.set()
    return str(a + b)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is refused on purpose is logged with its traceback, thousands of times."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def swarm(model: str) -> Agency:
    entry, colleague, partner = (
        Agent(name=name, instructions=f"You are {name}.", model=model, tools=[add])
        for name in ("Entry", "Colleague", "Partner")
    )
    return Agency(entry, communication_flows=[entry > colleague, (entry, partner, Handoff)])


class Turn(NamedTuple):
    """One turn: what the models answer, by agent, and whether the client streams it."""

    script: dict[str, list[str]]
    stream: bool = False


PLAIN = Turn({})


class Service:
    """A client that goes on with one thread."""

    def __init__(self, runs: RunService, thread: str) -> None:
        self._runs, self._thread = runs, thread
        self._fields: dict[str, Any] = {}
        self.store: bool | None = None

    async def begin(self) -> None:
        if self._thread == "conversation":
            conversation = await Conversations(self._runs.store, "owner").create({}, [], [])
            self._fields = {"conversation": conversation.id}

    async def ask(self, turn: Turn = PLAIN, given: Any = "Go on.", **fields: Any) -> dict[str, Any]:
        asked = {"model": "desk", "input": given, "stream": turn.stream, **self._fields, **fields}
        name = "desk/thread" if self._thread == "thread_id" else None
        run = await self._runs.create(CreateResponse.model_validate(asked), "owner", None, name)
        assert isinstance(run, Attempt)
        if turn.stream:
            stream = AttemptStream(run, run.execute())
            async for _ in stream.events():
                pass
            await stream.leave()
        else:
            try:
                await run.execute()
            except ServiceError:
                assert run.response["status"] == "failed"
        goes_on = run.response["status"] in ("completed", "incomplete")
        if self._thread == "previous_response_id" and goes_on:
            self._fields = {"previous_response_id": run.response["id"]}
        return run.response


@asynccontextmanager
async def served(provider: Provider, thread: str, api: str, model: list[str]) -> AsyncIterator[Service]:
    asking._encrypts.clear()
    asking._unreadable.clear()
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/agency.db"
        service = service_settings(provider.base_url, model_api=api, max_model_calls=12, store=store)
        async with on_stage(lambda: swarm(model[0]), service) as runs:
            client = Service(runs, thread)
            await client.begin()
            yield client


def play(turns: list[Turn], thread: str, api: str, encrypts: bool = True) -> list[dict[str, Any]]:
    """The turns, then plain ones: at once, when every id is forgotten, and of another model."""

    async def whole(provider: Provider) -> list[dict[str, Any]]:
        provider.encrypts = encrypts
        model, responses = [MODEL], []
        async with served(provider, thread, api, model) as client:
            for turn in turns:
                provider.script = {agent: list(kinds) for agent, kinds in turn.script.items()}
                responses.append(await client.ask(turn))
            provider.script = {}
            later = [await client.ask()]
            provider.forget()
            later += [await client.ask(), await client.ask(Turn({"Entry": ["send"]}, stream=True))]
            model[0] = "gpt-5.1"
            later += [await client.ask(Turn({"Entry": ["reasoning+send"]}))]
            assert [response["status"] for response in later] == ["completed"] * 4
        return responses

    with Provider() as provider:
        responses = asyncio.run(asyncio.wait_for(whole(provider), 60))
    expected = ["Encrypted content is not supported"] if not encrypts else []
    odd = [said for said in provider.refusals if not any(said.startswith(each) for each in expected)]
    assert odd == []
    failed = [kind for turn in turns for kinds in turn.script.values() for kind in kinds if kind.isdigit()]
    assert len(provider.refusals) <= (2 + len(failed)) * len(expected)  # once of each model, and where it failed then
    return responses


@st.composite
def histories(draw: st.DrawFn) -> list[Turn]:
    answers = {
        name: st.lists(st.sampled_from(kinds), max_size=3)
        for name, kinds in (*(("Entry", ENTRY), ("Colleague", ANYWHERE), ("Partner", ANYWHERE)),)
    }
    turns = draw(st.lists(st.fixed_dictionaries(answers), min_size=1, max_size=3))
    return [Turn(script, draw(st.booleans())) for script in turns]


@pytest.mark.parametrize("api", ["responses", "chat"])
@settings(
    max_examples=25,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(turns=histories(), thread=st.sampled_from(THREADS), encrypts=st.booleans())
def test_every_later_turn_is_accepted(api: str, turns: list[Turn], thread: str, encrypts: bool) -> None:
    play(turns, thread, api, encrypts or api == "chat")
