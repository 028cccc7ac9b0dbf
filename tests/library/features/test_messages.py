"""Messages of one model answer are a batch: side by side, each with the memory before it, joined in their order."""

import asyncio
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, function_tool

from agency_lambda.framework.memory import Memory
from agency_lambda.framework.models import Models
from agency_lambda.protocol.messages import Message
from agency_lambda.validators import Transport
from tests.library.features.messages import Asked, Office, batches, in_reverse, stored_in, to
from tests.library.features.rows import holds
from tests.library.features.waiting import Stored, awaited
from tests.library.models.agencies import settings
from tests.library.runs.stage import play, said

ABC = [to("Clerk", "a"), to("Clerk", "b"), to("Clerk", "c")]
JOINED = ("a", "re a", "b", "re b", "c", "re c")


def by_queue(sender: str, recipient: str) -> Transport:
    return "queue"


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return stored_in(tmp_path)


def words(run: Any) -> str:
    return said([item for item in run.output if item["type"] == "message"][-1])


@holds("send_message")
@awaited
async def test_batch_is_side_by_side_and_joined_in_the_order_of_its_calls(stored: Stored) -> None:
    office = Office(in_reverse("a", "b", "c"))

    def create() -> Agency:
        boss = office.agent("Boss", batches(ABC, [to("Clerk", "d")]))
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    run = stored(create)
    result = await run.attempt()
    assert words(run) == "re a | re b | re c | re d"
    assert sorted(office.texts("Clerk")[:3]) == [("a",), ("b",), ("c",)]
    assert office.texts("Clerk")[3] == (*JOINED, "d")
    pair = [item for item in result.history if "Boss" in (item["callerAgent"],)]
    texts = [item["content"] if item["role"] == "user" else said(item) for item in pair]
    assert texts == [*JOINED, "d", "re d"]
    office.answer = Office().answer
    await run.attempt()  # from the journal
    assert len(office.asked) == 7


@awaited
async def test_batches_within_messages_of_a_batch_do_not_see_one_another(stored: Stored) -> None:
    office = Office()

    def aide(turn: Any) -> Any:
        asked = [to("Clerk", f"{turn.message}1"), to("Clerk", f"{turn.message}2")]
        return batches(asked, [to("Clerk", f"{turn.message}3")])(turn)

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Aide", "a"), to("Aide", "b")], [to("Aide", "c")]))
        helper = office.agent("Aide", aide)
        return Agency(boss, communication_flows=[boss > helper > office.agent("Clerk")])

    await stored(create).attempt()
    texts = {asked[-1]: asked for asked in office.texts("Clerk")}
    for first in "ab":
        assert texts[f"{first}3"] == (f"{first}1", f"re {first}1", f"{first}2", f"re {first}2", f"{first}3")
    before = [f"{words}{first}{number}" for first in "ab" for number in (1, 2, 3) for words in ("", "re ")]
    assert texts["c1"] == (*before, "c1")


@awaited
async def test_each_message_has_its_own_instructions_and_leaves_the_agents(stored: Stored) -> None:
    office, agents = Office(in_reverse("a", "b")), []

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Clerk", "a", "For a."), to("Clerk", "b", "For b.")], ABC[2:]))
        agents.append(office.agent("Clerk"))
        return Agency(boss, communication_flows=[(boss, agents[0])], shared_instructions="Be kind.")

    await stored(create).attempt()
    told = {asked.texts[-1]: asked.instructions for asked in office.asked if asked.agent == "Clerk"}
    begin = "Be kind.\n\nI am Clerk."
    assert told == {"a": f"{begin}\n\n---\n\nFor a.", "b": f"{begin}\n\n---\n\nFor b.", "c": begin}
    assert agents[0].instructions == "I am Clerk."


@awaited
async def test_an_agent_that_is_asked_back_has_the_same_instructions(stored: Stored) -> None:
    office = Office()

    def create() -> Agency:
        boss, clerk = (
            office.agent("Boss", batches([to("Clerk", "?", "Hurry.")])),
            office.agent("Clerk", batches([to("Aide", "!")])),
        )
        aide = office.agent("Aide", batches([to("Boss", "b"), to("Clerk", "a")]))
        flows = [boss > clerk, clerk > aide, aide > clerk, aide > boss]
        return Agency(boss, communication_flows=flows, shared_instructions="Be kind.")

    await stored(create).attempt()
    told = {(asked.agent, asked.texts[-1][:1]): asked.instructions for asked in office.asked}
    assert {name: told[name] for name in [("Boss", "b"), ("Clerk", "a"), ("Clerk", "?")]} == {
        ("Boss", "b"): "Be kind.\n\nI am Boss.",
        ("Clerk", "a"): "Be kind.\n\nI am Clerk.",
        ("Clerk", "?"): "Be kind.\n\nI am Clerk.\n\n---\n\nHurry.",
    }


@awaited
async def test_tools_with_one_call_at_a_time_wait_for_those_of_other_messages(stored: Stored) -> None:
    office, looked = Office(), asyncio.Event()
    active, most = 0, 0

    @function_tool
    async def work() -> str:
        """Works."""
        nonlocal active, most
        active += 1
        most = max(most, active)
        await looked.wait()
        await asyncio.sleep(0.01)
        active -= 1
        return "worked"

    @function_tool
    async def look() -> str:
        """Looks, while another message's tool works."""
        looked.set()
        return "looked"

    work.one_call_at_a_time = True

    def clerk(turn: Any) -> Any:
        calls = {"a": [("work", {})], "b": [("work", {})], "c": [("look", {})]}
        return batches(calls[turn.message])(turn)

    def create() -> Agency:
        boss = office.agent("Boss", batches(ABC))
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk", clerk, tools=[work, look]))])

    run = stored(create)
    await run.attempt()
    assert (most, words(run)) == (1, "worked | worked | looked")


@pytest.mark.parametrize("stream", [True, False])
def test_activities_of_a_batch_are_under_their_own_messages(stream: bool) -> None:
    office = Office(in_reverse("a1", "b1"))

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Aide", "a"), to("Aide", "b")]))
        aide = office.agent("Aide", lambda turn: batches([to("Clerk", f"{turn.message}1")])(turn))
        return Agency(boss, communication_flows=[boss > aide > office.agent("Clerk")])

    shown = play(create, stream=stream)
    assert shown.words == ["re a1 | re b1"]
    items = [item for item in shown.items if "tool" in item]
    outer = [item["id"] for item in items if item["agent"] == "Boss"]
    assert sorted(item["parent"] for item in items if item["agent"] == "Aide") == sorted(outer)
    assert [item["parent"] for item in items if item["agent"] == "Boss"] == [None, None]
    assert {item["status"] for item in items} == {"completed"}
    assert shown.response["usage"]["model_calls"] == len(office.asked) == 8


@awaited
async def test_a_circle_is_named(stored: Stored) -> None:
    office = Office()

    def asking(recipient: str) -> Any:
        return batches([to(recipient, "?")])

    def create() -> Agency:
        boss, aide = office.agent("Boss", asking("Aide")), office.agent("Aide", asking("Clerk"))
        clerk = office.agent("Clerk", asking("Aide"))
        return Agency(boss, communication_flows=[boss > aide, aide > clerk, clerk > aide])

    run = stored(create)
    await run.attempt()
    assert words(run).endswith("These agents wait for each other: Aide -> Clerk -> Aide -> Clerk.")
    assert [asked.agent for asked in office.asked] == ["Boss", "Aide", "Clerk", "Aide", "Aide", "Clerk", "Aide", "Boss"]


@awaited
async def test_at_most_as_many_as_set_are_worked_on_side_by_side_in_order(tmp_path: Path) -> None:
    active, most, begun = 0, 0, []

    async def answer(asked: Asked) -> None:
        nonlocal active, most
        if asked.agent == "Clerk":
            begun.append(asked.texts[-1])
            active += 1
            most = max(most, active)
            await asyncio.sleep(0.01)
            active -= 1

    office = Office(answer)

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Clerk", str(number)) for number in range(9)]))
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    run = stored_in(tmp_path, messages_at_once=2)(create)
    await run.attempt()
    assert (most, begun) == (2, [str(number) for number in range(9)])


@awaited
async def test_recipients_that_ask_each_other_do_not_wait_for_a_slot_for_ever(tmp_path: Path) -> None:
    office = Office()

    def create() -> Agency:
        both = [to("One", "a"), to("Two", "a"), to("One", "b"), to("Two", "b")]
        boss = office.agent("Boss", batches(both))
        one, two = (
            office.agent(name, batches([to(other, "?")], last="ok")) for name, other in [("One", "Two"), ("Two", "One")]
        )
        return Agency(boss, communication_flows=[boss > one, boss > two, one > two, two > one])

    run = stored_in(tmp_path, messages_at_once=1)(create)
    await run.attempt()
    assert words(run) == "ok | ok | ok | ok"


@awaited
async def test_a_message_behind_a_hundred_of_one_answer_is_not_sent(stored: Stored) -> None:
    office = Office()

    def create() -> Agency:
        calls = [to("Clerk", str(number)) for number in range(102)]
        boss = office.agent("Boss", batches([*calls[:50], to("Other", "x"), *calls[50:]]))
        return Agency(boss, communication_flows=[boss > office.agent("Clerk"), boss > office.agent("Other")])

    run = stored(create, models=Models(settings(key=None, max_model_calls=200)))
    await run.attempt()
    assert len(office.texts("Clerk")) == 100
    outputs = words(run).split(" | ")
    assert outputs[50] == "re x"
    fault = "Error: The message was not sent: one answer may send 100 messages to 'Clerk'."
    assert outputs[99:] == ["re 98", "re 99", fault, fault]


@pytest.mark.parametrize("swallows", [False, True])
@awaited
async def test_a_message_that_is_not_answered_in_time_fails_and_is_not_sent_again(
    tmp_path: Path, swallows: bool
) -> None:
    office, is_slow = Office(), True

    async def instructions(context: Any, agent: Any) -> str:
        if is_slow and context.context.thread_manager.get_all_messages()[-1]["content"] == "b":
            with suppress(asyncio.CancelledError) if swallows else nullcontext():
                await asyncio.sleep(99)
            await asyncio.sleep(99)
        return "I am Clerk."

    def create() -> Agency:
        boss = office.agent("Boss", batches(ABC, [to("Clerk", "d")]))
        clerk = office.agent("Clerk")
        clerk.instructions = instructions
        return Agency(boss, communication_flows=[(boss, clerk)])

    run = stored_in(tmp_path, message_seconds=0.3)(create)
    await run.attempt()
    text = "Error: Failed to get response from agent 'Clerk'. Reason: it did not answer within 0.3 seconds."
    assert words(run) == f"re a | {text} | re c | re d"
    assert office.texts("Clerk")[-1] == ("a", "re a", "c", "re c", "d")
    asked, is_slow = len(office.asked), False
    await run.attempt()
    assert (len(office.asked), words(run)) == (asked, f"re a | {text} | re c | re d")


@awaited
async def test_what_the_journal_has_of_a_message_is_remembered_and_not_sent(stored: Stored) -> None:
    async def send(message: Message, memory: Any, shared: Any) -> Any:
        return await run.add_row(f"message/{message.key}", {"output": "known", "memory": [item("posted")]})

    office = Office()

    def create() -> Agency:
        boss = office.agent("Boss", lambda turn: turn.calls[0].output if turn.calls else [to("Clerk", "a")])
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    run = stored(create)
    run.transport = by_queue
    asks_nobody, run.send = run.send, send
    assert "posted" in str((await run.attempt()).history)
    run.send = asks_nobody
    assert "posted" in str((await run.attempt()).history)
    assert (words(run), office.texts("Clerk")) == ("known", [])


@awaited
async def test_a_message_that_another_run_works_on_is_not_sent_again_where_the_transport_has_changed(
    stored: Stored,
) -> None:
    async def send(message: Message, memory: Any, shared: Any) -> Any:
        return await run.add_row(f"message/{message.key}", {"run": "resp_2"})

    office = Office()

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Clerk", "a")]))
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    run = stored(create)
    run.transport = by_queue
    asks_nobody, run.send = run.send, send
    assert (await run.attempt()).waits_for_agents
    run.transport, run.send = None, asks_nobody
    assert (await run.attempt()).waits_for_agents
    assert office.texts("Clerk") == []


PAIR = ("Boss", "Clerk")


def item(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text, "agent": "Clerk", "callerAgent": "Boss"}


def test_memory_of_a_batch_begins_before_it_whenever_a_call_of_it_does() -> None:
    saved: list[int] = []
    memory = Memory(save_threads_callback=lambda items: saved.append(len(items)))
    memory.add_message(item("before"))
    memory.restore("one", 3, PAIR, [item("3")])
    second, first = memory.fork("one", 2, PAIR), memory.fork("one", 1, PAIR)
    for fork, text in ((second, "2"), (first, "1")):
        assert fork.get_conversation_history(*reversed(PAIR)) == [item("before")]
        fork.add_message(item(text))
        assert fork.added == [item(text)]
        fork.join()
    joined = [item(text) for text in ("before", "1", "2", "3")]
    assert memory.get_all_messages() == memory.get_conversation_history(*reversed(PAIR)) == joined
    assert saved == [1]
    assert memory.fork("two", 0, PAIR).get_all_messages() == joined
    assert saved == [1, 4]


def test_memory_keeps_what_is_joined_late() -> None:
    memory = Memory()
    late, later = memory.fork("one", 0, PAIR), memory.fork("one", 1, PAIR)
    memory.add_message(item("own"))
    late.add_message(item("late"))
    late.join()
    assert memory.get_all_messages() == [item("own"), item("late")]
    memory.fork("two", 0, PAIR).join()
    later.add_message(item("later"))
    later.join()
    assert memory.get_all_messages() == [item("own"), item("late"), item("later")]
