"""A process reads and converts each turn once, and never gives anybody a history that is not the stored one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from agency_lambda.errors import NotFound
from agency_lambda.history import loading, storable
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.loading import TurnCache, load_history
from agency_lambda.history.turns import HistoryCursor, Span, Turn, load_turns
from agency_lambda.protocol.types import Item
from agency_lambda.store import Record, Store, open_store

Use = Callable[["Watched"], Coroutine[Any, Any, None]]


class Watched:
    """A store that counts the records it returns."""

    def __init__(self, store: Store) -> None:
        self._store, self.read = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def query(self, *args: Any, **named: Any) -> list[Record]:
        records = await self._store.query(*args, **named)
        self.read += len(records)
        return records


@pytest.fixture
def use(url: str) -> Callable[[Use], None]:
    async def opened(test: Use) -> None:
        store = Watched(open_store(url))
        try:
            await test(store)
        finally:
            await store.aclose()

    return lambda test: asyncio.run(opened(test))


def message(text: str, role: str = "user") -> Item:
    return {"type": "message", "role": role, "content": text, "agent": "Clerk", "callerAgent": None, "timestamp": 1}


def turn(text: str) -> Turn:
    answer = message("", "assistant") | {"content": [{"type": "output_text", "text": text, "annotations": []}]}
    return Turn([{"type": "message", "id": f"msg_{text}"}], [message(text), answer])


async def grow(store: Any, cursor: HistoryCursor, turns: int, expires: int | None = None) -> HistoryCursor:
    for number in range(turns):
        await store.write(turn(f"turn {number}").put(cursor, expires))
        cursor = cursor.next
    return cursor


def first(log: str) -> HistoryCursor:
    return HistoryCursor((Span(log, 0),))


def test_turn_100_reads_and_converts_as_much_as_turn_2(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[Item] = []
    original = loading.storable_form
    monkeypatch.setattr(loading, "storable_form", lambda item: converted.append(item) or original(item))

    async def test(store: Watched) -> None:
        cache, cursor, costs = TurnCache(), first("ann/log/a"), []
        for number in range(100):
            store.read = 0
            converted.clear()
            history = await load_history(store, cursor, cache)
            assert len(history) == 2 * number
            costs.append((store.read, len(converted)))
            cursor = await grow(store, cursor, 1)
        assert costs[:2] == [(0, 0), (1, 2)]
        assert set(costs[2:]) == {(2, 2)}

    use(test)


def test_history_is_the_same_as_without_the_cache(use: Any) -> None:
    call = {"type": "function_call", "call_id": "call_0", "name": "look up", "arguments": "{}", "agent": "Clerk"}
    output = {"type": "function_call_output", "call_id": "call_0", "output": "a", "agent": "Clerk"}
    thought = {"type": "reasoning", "encrypted_content": "x", "origin": "o", "summary": [], "agent": "Clerk"}
    awaited = {"type": "function_call", "call_id": "call_1"}
    turns = [
        Turn([], [message("a"), call, output]),  # call ids that a server repeats
        Turn([], [message("b"), thought, call, output]),
        Turn([awaited], [message("c"), call | {"call_id": "call_1"}, call]),  # one that the client answers, one lost
        Turn([], [output | {"call_id": "call_1"}, thought]),
        Turn([], [message(" "), thought, {"type": "web_search_call", "action": {"query": "q"}}]),
    ]

    async def test(store: Watched) -> None:
        cache, cursor = TurnCache(), first("ann/log/a")
        for each in turns:
            await store.write(each.put(cursor, None))
            cursor = cursor.next
            stored = await load_turns(store, cursor)
            known = {item["call_id"] for item in (item for turn in stored for item in turn.items)}
            expected = storable([item for turn in stored for item in turn.history], known)
            assert await load_history(store, cursor, cache) == expected
            assert await load_history(store, cursor, cache) == expected

    use(test)


def test_what_a_run_changes_is_its_own(use: Any) -> None:
    async def test(store: Watched) -> None:
        cache, cursor = TurnCache(), await grow(store, first("ann/log/a"), 2)
        for _ in range(2):  # of which the first has read it
            changed = await load_history(store, cursor, cache)
            changed[1]["content"][0]["text"] = "changed"
            changed[0]["role"] = "system"
        assert await load_history(store, cursor, cache) == await load_history(store, cursor, TurnCache())

    use(test)


def test_conversation_that_is_deleted_and_begun_anew_is_read_again(use: Any) -> None:
    async def test(store: Watched) -> None:
        cache, conversations = TurnCache(), Conversations(store, "ann")

        async def add(text: str) -> HistoryCursor:
            await store.write(*(await conversations.load_to_extend("mine", create=True)).append_turn(turn(text)))
            return (await conversations.get("mine")).end

        for text in "abc":
            cursor = await add(text)
        assert len(await load_history(store, cursor, cache)) == 6
        await conversations.delete("mine")
        with pytest.raises(NotFound):
            await load_history(store, cursor, cache)
        for text in "xyz":
            cursor = await add(text)
        assert [item["content"] for item in (await load_history(store, cursor, cache))[::2]] == ["x", "y", "z"]

    use(test)


def test_turn_that_expires_is_missed(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(store: Watched) -> None:
        cache, now = TurnCache(), time.time()
        cursor = await grow(store, await grow(store, first("ann/log/a"), 2, int(now) + 60), 2, int(now) + 600)
        assert len(await load_history(store, cursor, cache)) == 8
        monkeypatch.setattr(time, "time", lambda: now + 61)
        with pytest.raises(NotFound):
            await load_history(store, cursor, cache)

    use(test)


def test_branches_see_their_own_turns(use: Any) -> None:
    async def test(store: Watched) -> None:
        cache, trunk = TurnCache(), await grow(store, first("ann/log/a"), 5)
        middle = HistoryCursor((Span("ann/log/a", 3),))
        branch = await grow(store, middle.branch("ann/log/b"), 2)
        lengths = [len(await load_history(store, cursor, cache)) for cursor in (trunk, middle, branch)]
        assert lengths == [10, 6, 10]
        for cursor, records in ((middle, 1), (trunk, 1), (branch, 2)):  # none has dropped what another has read
            store.read = 0
            await load_history(store, cursor, cache)
            assert store.read == records

    use(test)


def test_owners_share_nothing(use: Any) -> None:
    async def test(store: Watched) -> None:
        cache = TurnCache()
        for owner in ("ann", "bob"):
            await store.write(turn(owner).put(first(f"{owner}/conversation/mine"), None))
        for owner in ("ann", "bob", "ann"):
            history = await load_history(store, first(f"{owner}/conversation/mine").next, cache)
            assert history[0]["content"] == owner

    use(test)


def test_cache_is_bounded_in_bytes(use: Any) -> None:
    async def test(store: Watched) -> None:
        logs = [await grow(store, first(f"ann/log/{name}"), 3) for name in "abc"]
        sizes = [record.size for record in await store.query("ann/log/a")]
        cache = TurnCache(most=2 * sum(sizes))
        for cursor in (*logs, logs[1]):
            await load_history(store, cursor, cache)
        held = [len(cache.find(cursor.spans[0])) for cursor in logs]
        assert held == [0, 3, 3]
        await load_history(store, logs[0], cache)
        assert [len(cache.find(cursor.spans[0])) for cursor in logs] == [3, 3, 0]
        small = TurnCache(most=sizes[0])
        assert len(await load_history(store, logs[0], small)) == 6
        assert small.find(logs[0].spans[0]) == []

    use(test)
