"""The same agents give the same answers with either transport: model requests are compared byte for byte."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.errors import StoreUnavailable
from agency_lambda.protocol.messages import Message
from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.runs.child_runs import ChildRuns
from tests.library.features.messages import batches, to
from tests.library.features.teams import TEAMS
from tests.library.features.transports import Provider, Seen, deployed, play
from tests.library.model_server import scripts

_READ = ("type", "role", "name", "arguments", "call_id", "output")
_MADE_UP = ("id", "agent_run_id", "run_trace_id", "timestamp")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as server:
        yield server


@pytest.mark.parametrize("name", [each for each in TEAMS if each != "siblings that call tools"])
def test_transports_ask_and_answer_the_same(provider: Provider, name: str, tmp_path: Path) -> None:
    memory, queue = (play(provider, TEAMS[name], kind, tmp_path / kind) for kind in ("memory", "queue"))
    assert (memory.sent > 0, queue.sent > 0) == (False, True)
    assert_same(memory, queue)


@pytest.mark.parametrize("name", ["parallel, and a second batch", "three levels with tools", "guardrails"])
def test_transports_ask_the_same_of_chat_completions(provider: Provider, name: str, tmp_path: Path) -> None:
    kinds = "memory", "queue"
    memory, queue = (play(provider, TEAMS[name], kind, tmp_path / kind, MODEL_API="chat") for kind in kinds)
    assert_same(memory, queue)


@pytest.mark.parametrize("name", ["siblings that call tools", "five steps"])
def test_transports_ask_the_same_of_servers_that_repeat_ids(
    provider: Provider, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "is_careless", True)
    memory, queue = (play(provider, TEAMS[name], kind, tmp_path / kind) for kind in ("memory", "queue"))
    # Which of the repeated ids is replaced depends on who was faster, also in one process.
    assert sorted(map(_numbered, memory.requests)) == sorted(map(_numbered, queue.requests))
    assert (memory.text, sorted(memory.ledger)) == (queue.text, sorted(queue.ledger))
    for each in (memory, queue):
        ids = [item["call_id"] for item in each.history if item.get("type") == "function_call"]
        assert len(ids) == len({*ids})


def test_runs_that_are_not_stored_send_their_messages_in_memory(provider: Provider, tmp_path: Path) -> None:
    team = replace(TEAMS["three levels with tools"], is_stored=False)
    memory, queue = (play(provider, team, kind, tmp_path / kind) for kind in ("memory", "queue"))
    assert_same(memory, queue)


def test_transport_may_change_between_turns(provider: Provider, tmp_path: Path) -> None:
    name = "a client's tool, and three turns"
    memory, *mixed = (
        play(provider, TEAMS[name], kinds, tmp_path / str(number))
        for number, kinds in enumerate(
            [["memory"] * 3, ["queue", "memory", "queue"], ["memory", "queue", "memory"]],
        )
    )
    for each in mixed:
        assert each.sent > 0
        assert_same(memory, each)


def test_transport_may_change_while_a_run_waits(provider: Provider, tmp_path: Path) -> None:
    team, seen = TEAMS["two senders of one recipient"], Seen()
    memory = play(provider, team, "memory", tmp_path / "memory")
    provider.begin(team)
    begun, waited = dict[str, Any](), list[str]()
    for kind in ("queue", "memory") * 4:
        with deployed(provider, team, tmp_path / "changing", seen, AGENT_MESSAGES=kind) as service:
            begun = begun or service.post("/v1/responses", {"model": "team", "input": "go", "background": True})[1]
            runs = get_run_service()
            leases = service.handler.run(runs.leases.all())
            service.handler.run(asyncio.wait_for(_work(runs, [lease.id for lease in leases] or [begun["id"]]), 20))
            seen.responses = [service.get(f"/v1/responses/{begun['id']}")[1]]
            waited += [lease.id for lease in leases if lease.id != begun["id"]]
        if seen.responses[0]["status"] == "completed":
            break
    assert len(waited) > 1, "nothing was sent to other runs"
    assert (seen.responses[0]["status"], seen.text) == ("completed", memory.text)
    assert sorted(request.raw for request in provider.requests) == sorted(memory.requests)


async def _work(runs: Any, run_ids: list[str]) -> None:
    for run_id in run_ids:
        await worker.work(runs, run_id)


def test_messages_of_a_later_attempt_get_what_tools_had_shared_in_an_earlier_one(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends, send = list[int](), ChildRuns.send

    async def fail_once(self: ChildRuns, message: Message, *before: Any) -> Any:
        sends.append(message.number)
        if sends == [0, 1]:
            raise StoreUnavailable("away")
        return await send(self, message, *before)

    monkeypatch.setattr(ChildRuns, "send", fail_once)
    ask = batches([("remember", {"name": "boss", "value": "0"})], [to("Aide", "a"), to("Aide", "b")])
    team, seen = replace(TEAMS["user context"], scripts={"Boss": ask, "Aide": batches([("recall", {})])}), Seen()
    provider.begin(team)
    with deployed(provider, team, tmp_path, seen, AGENT_MESSAGES="queue") as service:
        fields = {"input": "go", "background": True, "conversation": service.post("/v1/conversations", {})[1]["id"]}
        begun, runs = service.post("/v1/responses", {"model": "team", **fields})[1], get_run_service()
        service.handler.run(_work(runs, [begun["id"]]))
        while leases := service.handler.run(runs.leases.all()):
            service.handler.run(runs.store.write(*(lease.put(until=1.0) for lease in leases if lease.holder)))
            service.handler.run(_work(runs, [lease.id for lease in leases]))
        assert service.get(f"/v1/responses/{begun['id']}")[1]["status"] == "completed"
    assert sends[:3] == [0, 1, 1]
    assert [("boss" in str(entry)) for entry in seen.ledger] == [True, True]


def test_framework_alone_asks_the_same(provider: Provider, tmp_path: Path) -> None:
    names = ("five steps", "one message at a time")
    queued = [play(provider, TEAMS[name], "queue", tmp_path / name) for name in names]
    five, one = (TEAMS[name] for name in names)
    assert one.answer
    in_five = [f"I am {name}." for name in five.scripts]
    five_steps, answer_one = scripts(five.scripts), one.answer
    any_team = lambda asked: (five_steps if asked.instructions in in_five else answer_one)(asked)  # noqa: E731
    provider.begin(replace(one, answer=any_team))
    environment = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-test"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.library.features.bare", *names],
        env={**os.environ, **environment, "OPENAI_AGENTS_DISABLE_TRACING": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[1::2] == [seen.text for seen in queued], done.stderr
    bare = [request.raw for request in provider.requests]
    assert sorted(map(_as_read, bare)) == sorted(_as_read(each) for seen in queued for each in seen.requests)


def assert_same(one: Seen, other: Seen) -> None:
    assert [*map(_end, one.responses)] == [*map(_end, other.responses)]
    assert sorted(one.requests) == sorted(other.requests)
    assert sorted(map(str, one.ledger)) == sorted(map(str, other.ledger))
    assert [_tree(response["output"]) for response in one.responses] == [
        _tree(response["output"]) for response in other.responses
    ]
    assert _plain_history(one.history) == _plain_history(other.history)
    assert _tree(one.items) == _tree(other.items)
    assert one.usage == other.usage


def _numbered(request: bytes) -> str:
    """Replace ids of calls by their numbers in a request, which must have each once."""
    items = json.loads(request)["input"]
    ids = [item["call_id"] for item in items if item.get("type") == "function_call"]
    assert len(ids) == len({*ids}), ids
    assert len(items) == len({item.get("id", number) for number, item in enumerate(items)})
    for number, call_id in enumerate(ids):
        for item in items:
            if item.get("call_id") == call_id:
                item["call_id"] = number
    return json.dumps(items)


def _as_read(request: bytes) -> str:
    """What a model reads. The service leaves out ids and states of items, and chooses the model."""
    body = json.loads(request)
    ids = [item.get("call_id") for item in body["input"]]
    numbered = [{**item, "call_id": ids.index(item.get("call_id"))} for item in body["input"]]
    items = [{name: item.get(name) for name in _READ} | {"content": _texts(item)} for item in numbered]
    return json.dumps([body.get("instructions"), body.get("tools"), items])


def _texts(item: dict[str, Any]) -> list[str]:
    content = item.get("content") or []
    return [content] if isinstance(content, str) else [part["text"] for part in content]


def _end(response: dict[str, Any]) -> Any:
    usage = _without(response["usage"] or {}, "replayed_calls")  # each attempt of a run that has waited replays some
    return [*(response.get(name) for name in ("status", "error", "incomplete_details")), usage]


def _tree(items: list[dict[str, Any]], parent: Any = None) -> list[Any]:
    """The items below one, without their ids, which name nothing outside of a response."""
    found = [item for item in items if item.get("parent") == parent]
    return sorted(json.dumps([_without(item, "id", "parent"), _tree(items, item["id"])]) for item in found)


def _without(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in names}


def _plain_history(items: list[dict[str, Any]]) -> list[Any]:
    return [_without(item, *_MADE_UP) for item in items]
