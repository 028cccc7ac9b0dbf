"""One team of agents at a provider on loopback, with each transport of messages: everything that can be seen of it."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from agency_swarm import Agency

from agency_lambda.auth.localhost import LOCAL
from agency_lambda.framework.offline_model import output_items
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import load_turns
from agency_lambda.offline import Script
from agency_lambda.offline.generic import MARK
from agency_lambda.record.export import export_run
from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.runs.message_rows import COUNTER
from agency_lambda.runs.model import response_partition
from agency_lambda.testing.service import Service, default_settings, read_events, services
from tests.library.model_server import Failure, Items, ModelRequest, ModelServer, scripts

Ledger = list[Any]
"""What tools were called with."""
Fields = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]
_ITEM_IDS = ("id", "parent")
_OF_ONE_RUN = ("agent_run_id", "run_trace_id", "timestamp")  # what the framework makes up


@dataclass(frozen=True, kw_only=True)
class Team:
    """create: gets the ledger. turns: the fields of each request; a function gets the response before.

    answer: in place of `scripts`, of any model request. settings: of the service. queued: flows, "Sender>Recipient".
    """

    create: Callable[[Ledger], Agency]
    scripts: Mapping[str, Script] = field(default_factory=dict)
    turns: Sequence[Fields] = ({"input": "go"},)
    answer: Callable[[ModelRequest], Any] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    is_stored: bool = True


@dataclass
class Seen:
    """requests: bodies, as bytes, in order. history: what the agents remember. sent: child runs."""

    requests: list[bytes] = field(default_factory=list)
    ledger: Ledger = field(default_factory=list)
    responses: list[dict[str, Any]] = field(default_factory=list)
    history: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    usage: Any = None
    sent: int = 0

    @property
    def text(self) -> str:
        return text_of(self.responses[-1])


def text_of(response: Mapping[str, Any]) -> str:
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part.get("text", "") for item in messages for part in item["content"])


class Provider(ModelServer):
    """A server whose ids depend on what it is asked, and on how often it was asked the same.

    is_careless: the calls of every answer are `call_0`, `call_1` and so on.
    """

    def __init__(self) -> None:
        self.is_careless = False
        super().__init__(self._items)

    def begin(self, team: Team) -> None:
        self._plan, self._asked = team.answer or scripts(team.scripts), Counter[str]()
        self.requests = []

    def _items(self, request: ModelRequest) -> Any:
        plan = self._plan(request)
        if isinstance(plan, Failure):
            return plan
        digest = hashlib.sha256(request.raw).hexdigest()[:24]
        self._asked[digest] += 1
        name = f"{digest}{self._asked[digest]:02d}"
        plan = plan.removeprefix(f"{MARK} ") if isinstance(plan, str) else plan
        items = plan.items if isinstance(plan, Items) else output_items(plan)
        for number, item in enumerate(items):
            item.id = f"{item.id.partition('_')[0]}_{name}{number:02d}"
            if item.type == "function_call":
                item.call_id = f"call_{number}" if self.is_careless else f"call_{name}{number:02d}"
        return Items(items)


def play(provider: Provider, team: Team, transport: str | Sequence[str], folder: Path, **settings: str) -> Seen:
    """Make the team's requests. transport: AGENT_MESSAGES; of each turn, if they are several."""
    transports = [transport] * len(team.turns) if isinstance(transport, str) else transport
    seen, conversation = Seen(), None
    provider.begin(team)
    for fields, kind in zip(team.turns, transports, strict=True):
        with deployed(provider, team, folder, seen, AGENT_MESSAGES=kind, **settings) as service:
            made = fields(seen.responses[-1]) if callable(fields) else fields
            conversation = service.handler.run(_turn(service, team, made, conversation, seen))
    seen.requests = [request.raw for request in provider.requests]
    return seen


@contextmanager
def deployed(provider: Provider, team: Team, folder: Path, seen: Seen, **settings: str) -> Iterator[Service]:
    """The service with a team."""
    given = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.base_url, "MODEL": "gpt-test"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agencies.AGENCIES", {"team": lambda: team.create(seen.ledger)})
        patch.setattr("agency_lambda.framework.open_calls._PAUSE", 0.02)
        patch.setattr("agency_lambda.runs.following._POLL", 0.02)
        with default_settings(patch, folder), services(patch) as start:
            yield start(**given, **team.settings, **settings)


async def _turn(service: Service, team: Team, fields: Any, conversation: str | None, seen: Seen) -> str | None:
    runs = get_run_service()
    transport = httpx.ASGITransport(service.handler.asgi)
    working = asyncio.create_task(worker.serve(runs, runs.queue, export_run))  # type: ignore[arg-type]
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
            if team.is_stored and conversation is None:
                made = await client.post("/v1/conversations", json={})
                assert made.status_code == 200, made.text
                conversation = made.json()["id"]
            request = {"model": "team", **fields, **({"conversation": conversation} if conversation else {})}
            request |= {} if team.is_stored else {"store": False}
            seen.responses.append(_read(request, await client.post("/v1/responses", json=request)))
            await _look(client, conversation, seen)
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return conversation


async def _look(client: httpx.AsyncClient, conversation: str | None, seen: Seen) -> None:
    store = get_run_service().store
    if not conversation:
        return
    seen.items = (await client.get(f"/v1/conversations/{conversation}/items?limit=100&order=asc")).json()["data"]
    seen.usage = (await client.get("/v1/usage?group_by=model")).json()["data"]
    kept = await Conversations(store, LOCAL).get(conversation)
    seen.history = [item for turn in await load_turns(store, kept.end) for item in turn.history]
    counter = await store.get(response_partition(LOCAL, seen.responses[-1]["id"]), COUNTER)
    seen.sent += counter.body["sent"] if counter else 0


def _read(request: Mapping[str, Any], answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    if not request.get("stream"):
        return dict(answer.json())
    events = read_events(answer.text)
    assert events[-1]["response"]["output"] == _output_of(events)
    return dict(events[-1]["response"])


def _output_of(events: Sequence[Mapping[str, Any]]) -> list[Any]:
    done = [event for event in events if event["type"] == "response.output_item.done"]
    return [event["item"] for event in sorted(done, key=lambda event: event["output_index"])]
