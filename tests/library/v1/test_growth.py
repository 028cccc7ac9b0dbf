"""What a turn writes does not grow with its conversation; many writers at once lose nothing. On both stores."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.history.conversations import Conversation, Conversations
from agency_lambda.history.turns import Turn
from agency_lambda.store import Change, Conflict, Put, Store, open_store
from tests.library.conftest import PYTHONPATH, Service

ROOT = Path(__file__).parents[3]


class Weighed:
    """A store that weighs what is written, as JSON."""

    def __init__(self, store: Store) -> None:
        self.store, self.bytes = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def write(self, *changes: Change) -> None:
        import json

        self.bytes += sum(len(json.dumps(change.body)) for change in changes if isinstance(change, Put))
        await self.store.write(*changes)


def test_a_turn_writes_as_much_at_turn_5_as_at_turn_500(service: Service) -> None:
    from agency_lambda.run_service import get_run_service

    store = get_run_service().store = Weighed(get_run_service().store)  # type: ignore[assignment]
    _, conversation = service.post("/v1/conversations", {})
    written = []
    fields = {"model": "letters/Registrar", "conversation": conversation["id"]}

    async def skip_to_turn_500() -> None:
        conversations = Conversations(store, "local")  # type: ignore[arg-type]
        said = [{"type": "message", "role": "user", "content": "word " * 20, "callerAgent": None}]
        items = [{**said[0], "id": "msg_1", "content": [{"type": "input_text", "text": "word " * 20}]}]
        for _ in range(480):
            await conversations.append(conversation["id"], Turn(items, said))

    for turn in range(1, 11):
        store.bytes = 0  # type: ignore[attr-defined]
        service.respond(f"Show task {turn:03d}.", **fields)
        written.append(store.bytes)  # type: ignore[attr-defined]
        if turn == 7:
            asyncio.run(skip_to_turn_500())
    assert max(written[4:]) < 1.1 * written[4], written


WRITER = """
import asyncio, sys
from agency_lambda.errors import ConversationBusy
from agency_lambda.history.conversations import Conversations, conversation_busy
from agency_lambda.history.turns import Turn
from agency_lambda.store import Conflict, open_store

async def write(url, conversation, name):
    store = open_store(url)
    conversations = Conversations(store, "ann")
    done = 0
    while done < 12:
        run = f"resp_{name}{done}"
        try:
            free = await conversations.load_to_extend(conversation)
            if free.active_run_id is not None:
                raise conversation_busy()
            await store.write(free.acquire(run))
            held = await conversations.get(conversation)
            assert held.active_run_id == run
            said = {"type": "message", "id": run, "n": held.turns}
            await store.write(*held.append_turn(Turn([said, said], [said, said])))
            done += 1
        except (ConversationBusy, Conflict):
            await asyncio.sleep(0.002)
    await store.aclose()

asyncio.run(write(*sys.argv[1:]))
"""


def test_writers_in_several_processes_lose_and_mix_nothing(url: str) -> None:
    async def new() -> str:
        store = open_store(url)
        try:
            return (await Conversations(store, "ann").create({}, [], [])).id
        finally:
            await store.aclose()

    async def read(conversation: str) -> list[Any]:
        store = open_store(url)
        try:
            conversations = Conversations(store, "ann")
            return await conversations.items(await conversations.get(conversation))
        finally:
            await store.aclose()

    conversation = asyncio.run(new())
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, conversation, name], env=environment) for name in "abc"
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    items = asyncio.run(read(conversation))
    assert len(items) == 3 * 12 * 2
    assert [item["n"] for item in items[::2]] == list(range(36))
    assert items[::2] == items[1::2]
    assert len({item["id"] for item in items}) == 36


def test_a_conversation_that_was_lost_is_not_written_to(url: str) -> None:
    async def use() -> None:
        store = open_store(url)
        conversations = Conversations(store, "ann")
        made = await conversations.create({}, [], [])
        await store.write((await conversations.load_to_extend(made.id)).acquire("resp_a"))
        lost = await conversations.get(made.id)
        await store.write(lost.release("resp_a"))  # it was given up by somebody else
        await store.write((await conversations.load_to_extend(made.id)).acquire("resp_b"))
        with pytest.raises(Conflict):
            await store.write(*lost.append_turn(Turn([{"id": "msg_1"}], [{"id": "msg_1"}])))
        after = await conversations.get(made.id)
        assert (after.active_run_id, await conversations.items(after)) == ("resp_b", [])
        await store.aclose()

    asyncio.run(use())


def test_who_waits_for_a_conversation_has_it_in_turn(url: str) -> None:
    async def use() -> None:
        store = open_store(url)
        conversations = Conversations(store, "ann")
        made = (await conversations.create({}, [], [])).id
        for run in "abcd":
            await store.write((await conversations.load_to_extend(made)).acquire(run))
        head = await conversations.get(made)
        assert (head.active_run_id, head.waiting_run_ids) == ("a", ["b", "c", "d"])
        await store.write(head.release("c"))  # out of line
        await store.write(*(await conversations.get(made)).append_turn(Turn([{"id": "msg_1"}], [{"id": "msg_1"}])))
        head = await conversations.get(made)
        assert (head.active_run_id, head.waiting_run_ids, head.turns) == ("b", ["d"], 1)
        for left in "bd":
            await store.write((await conversations.get(made)).release(left))
        head = await conversations.get(made)
        assert (head.active_run_id, head.waiting_run_ids, head.turns) == (None, [], 1)
        await store.aclose()

    asyncio.run(use())


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_the_whole_service_runs_on_either_store(start: Any, url: str, size: int) -> None:
    service = start(STORE=url)
    first = service.respond("x" * size, model="letters/Registrar", stream=True)[-1]["response"]
    assert service.get(f"/v1/responses/{first['id']}") == (200, first)
    second = service.respond("and now?", previous_response_id=first["id"])
    assert second["usage"]["input_tokens"] > size / 4
    _, listed = service.get(f"/v1/responses/{first['id']}/input_items")
    assert len(listed["data"][0]["content"][0]["text"]) == size
    assert service.delete(f"/v1/responses/{first['id']}")[0] == 200


def test_lock_of_a_conversation_is_stored_under_the_names_that_deployments_have() -> None:
    conversation = Conversation("conv_1", "log", 0, {}, 0)
    conversation = conversation.written(conversation.acquire("a"))
    put = conversation.acquire("b")
    assert (put.body["run"], put.body["waiting"]) == ("a", ["b"])
    assert conversation.written(put).waiting_run_ids == ["b"]
