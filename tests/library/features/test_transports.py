"""The same agents give the same answers with either transport: model requests are compared byte for byte."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.library.features.teams import TEAMS
from tests.library.features.transports import Provider, Seen, play

_MADE_UP = ("id", "agent_run_id", "run_trace_id", "timestamp")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as server:
        yield server


@pytest.mark.parametrize("name", TEAMS)
def test_transports_ask_and_answer_the_same(provider: Provider, name: str, tmp_path: Path) -> None:
    memory, queue = (play(provider, TEAMS[name], kind, tmp_path / kind) for kind in ("memory", "queue"))
    assert (memory.sent > 0, queue.sent > 0) == (False, True)
    assert_same(memory, queue)


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
