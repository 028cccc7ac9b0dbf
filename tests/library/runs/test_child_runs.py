"""Child runs whose root is cancelled, deleted, followed, asked again, or continued."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, function_tool

from agency_lambda.errors import ConversationBusy, InvalidRequest, NotFound
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs import heartbeat
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.attempt_stream import AttemptStream
from agency_lambda.runs.idempotency_keys import IdempotentRequest
from agency_lambda.runs.model import response_partition
from agency_lambda.testing.replay import replayed
from tests.library.features.messages import Office, batches, to
from tests.library.runs.swarm import OWNER, Gate, Swarm, awaited, chain, desk, swarm, until, words

CANCELLED = "Error: Failed to get response from agent 'Clerk'. Reason: it was cancelled."


@pytest.fixture(autouse=True)
def _cancellations_are_noticed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "RENEW", 0.1)


async def begun(at: Swarm, gate: Gate, **fields: Any) -> str:
    """Return the id of a run that waits, as its agent is at the gate."""
    run_id = await at.begin(**fields)
    await gate.reached.wait()
    await at.waits(run_id)
    return run_id


@awaited
async def test_cancelled_root_ends_all_that_works_for_it(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Aide", "Clerk")) as at:
        run_id = await begun(at, gate)
        await at.waits((await at.children(run_id))[0])
        assert (await at.runs.cancel(OWNER, run_id))["status"] == "cancelled"
        await at.nothing_is_left()
        assert await at.statuses(run_id) == ["cancelled"] * 3


@awaited
async def test_cancelled_root_counts_what_all_of_its_swarm_has_paid_for(tmp_path: Path) -> None:
    """Clerk has answered, Aide has asked Temp, who is at work."""
    office = Office(gate := Gate("Temp"))

    def create() -> Agency:
        boss, clerk = office.agent("Boss", batches([to("Clerk", "a"), to("Aide", "b")])), office.agent("Clerk")
        aide, temp = office.agent("Aide", batches([to("Temp", "c")])), office.agent("Temp")
        return Agency(boss, communication_flows=[(boss, clerk), (boss, aide), (aide, temp)])

    async with swarm(tmp_path, create) as at:
        run_id = await begun(at, gate)

        async def clerk_has_answered() -> bool:
            return any("output" in row for row in (await at.rows(run_id)).values())

        await until(clerk_has_answered)
        response = await at.runs.cancel(OWNER, run_id)
        rows = [record.body for each in await family(at, run_id) for record in await model_rows(at, each)]
        assert response["usage"]["model_calls"] == len(rows) + 1 == 4  # and the one that Temp was at
        assert response["usage"]["total_tokens"] == sum(row["response"]["usage"]["total_tokens"] for row in rows) > 0
        await at.nothing_is_left()


async def family(at: Swarm, run_id: str) -> list[str]:
    return [run_id, *[one for child in await at.children(run_id) for one in await family(at, child)]]


async def model_rows(at: Swarm, run_id: str) -> list[Any]:
    return await at.store.query(response_partition(OWNER, run_id), after="journal/model/", before="journal/model0")


@awaited
async def test_root_cancelled_at_work_ends_its_child_runs(tmp_path: Path) -> None:
    office, working = Office(gate := Gate("Clerk")), asyncio.Event()

    @function_tool
    async def work() -> str:
        """Works."""
        working.set()
        await asyncio.Event().wait()
        return ""

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Clerk", "a"), ("work", {})]), tools=[work])
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    async with swarm(tmp_path, create) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        await working.wait()
        assert (await at.runs.cancel(OWNER, run_id))["status"] == "cancelled"
        await at.nothing_is_left()
        assert await at.statuses(run_id) == ["cancelled"] * 2


@awaited
async def test_sender_goes_on_without_a_child_run_that_a_client_cancels_or_deletes(tmp_path: Path) -> None:
    office = Office(Gate("Clerk"))
    async with swarm(tmp_path, desk(office, [to("Clerk", "a"), to("Clerk", "b")])) as at:
        run_id = await at.begin()
        await at.waits(run_id)
        first, second = await at.children(run_id)
        assert (await at.runs.cancel(OWNER, first))["status"] == "cancelled"
        await at.runs.delete(OWNER, second)
        assert words(await at.final(run_id)) == f"{CANCELLED} | {CANCELLED}"
        with pytest.raises(NotFound):
            await at.responses.get(second)
        await at.nothing_is_left()


@awaited
async def test_cancelling_all_runs_returns_those_that_a_client_has_asked_for(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, desk(office, [to("Clerk", text) for text in "abc"])) as at:
        run_id = await begun(at, gate)
        other = await at.begin("other")
        responses, has_more = await at.runs.cancel_all(OWNER)
        assert sorted(each["id"] for each in responses) == sorted([run_id, other])
        assert ({each["status"] for each in responses}, has_more) == ({"cancelled"}, False)
        await at.nothing_is_left()
        assert await at.statuses(run_id) == ["cancelled"] * 4


@awaited
async def test_deleted_root_takes_its_child_runs_with_it(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Aide", "Clerk")) as at:
        waiting = await begun(at, gate)
        runs = await family(at, waiting)
        await at.runs.delete(OWNER, waiting)
        gate.opened.set()
        ended = await at.begin()
        await at.final(ended)
        runs += await family(at, ended)
        await at.runs.delete(OWNER, ended)
        await at.nothing_is_left()
        assert len(runs) == 6
        left = [record.sort for run_id in runs for record in await at.store.query(response_partition(OWNER, run_id))]
        assert left == []


@awaited
async def test_conversation_is_busy_while_its_run_waits_for_agents_and_goes_on_afterwards(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk")) as at:
        first = await begun(at, gate, conversation=await at.conversation())
        for more in ({}, {"cancel_waiting": True}):
            with pytest.raises(ConversationBusy):
                await at.ask("again", conversation="conv", **more)
        with pytest.raises(InvalidRequest, match="in_progress"):
            await at.ask("again", previous_response_id=first)
        second = await at.begin("again", conversation="conv", cancel_waiting=True)
        await at.waits(second)
        gate.opened.set()
        assert words(await at.final(first)) == "re go"
        assert (await at.final(second))["status"] == "completed"
        assert office.texts("Boss")[-1] == ("go", "re go", "again")
        assert (await at.responses.get((await at.children(first))[0])).cursor is None
        await at.nothing_is_left()


@awaited
async def test_run_whose_conversation_is_deleted_ends_with_its_child_runs(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk")) as at:
        run_id = await begun(at, gate, conversation=await at.conversation())
        await at.runs.delete_conversation(OWNER, "conv")
        await at.nothing_is_left()
        assert await at.statuses(run_id) == ["cancelled"] * 2


@awaited
async def test_run_is_continued_with_what_its_agents_have_said_by_the_queue(tmp_path: Path) -> None:
    office = Office()
    async with swarm(tmp_path, desk(office, [to("Clerk", "a")], [to("Clerk", "b")])) as at:
        first = await at.ask()
        assert office.texts("Clerk") == [("a",), ("a", "re a", "b")]
        await at.ask("again", previous_response_id=first["id"])
        assert office.texts("Clerk")[-1] == ("a", "re a", "b", "re b", "a", "re a", "b")
        assert office.texts("Boss")[-1] == ("go", "re a | re b", "again")


@awaited
async def test_client_that_repeats_its_request_waits_for_the_same_answer(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk")) as at:
        body = CreateResponse.model_validate({"model": "desk", "input": "go"})
        made = await at.runs.create(body, OWNER, IdempotentRequest("key", "/v1/responses", b"{}"))
        assert isinstance(made, Attempt)
        first = asyncio.create_task(at.runs.answer(made))
        await gate.reached.wait()
        await at.waits(made.response["id"])
        again = await at.runs.create(body, OWNER, IdempotentRequest("key", "/v1/responses", b"{}"))
        assert not isinstance(again, Attempt)
        second = asyncio.create_task(at.runs.wait_until_final(OWNER, again))
        await asyncio.sleep(0.1)
        assert not first.done()
        assert not second.done()
        gate.opened.set()
        assert await first == await second
        assert words(await first) == "re go"


@awaited
async def test_run_goes_on_whose_client_has_left_or_whose_time_has_ended(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk"), answer_seconds=0.6) as at:
        leaving = asyncio.create_task(at.ask())
        await gate.reached.wait()
        (lease,) = await until(at.runs.leases.waiting)
        leaving.cancel()
        late = await at.ask()
        assert late["status"] == "in_progress"
        gate.opened.set()
        for run_id in (lease.id, late["id"]):
            assert words(await at.final(run_id)) == "re go"
        await at.nothing_is_left()


@awaited
@pytest.mark.parametrize("background", [True, False])
async def test_stream_of_a_root_can_be_followed_from_any_event_on(tmp_path: Path, background: bool) -> None:
    office = Office(gate := Gate("Clerk"))
    asked = [to("Aide", "a"), to("Clerk", "b")], [to("Aide", "c")]

    def create() -> Agency:
        boss, clerk = office.agent("Boss", batches(*asked)), office.agent("Clerk")
        aide = office.agent("Aide", batches([to("Clerk", "d")]))
        return Agency(boss, communication_flows=[(boss, clerk), (boss, aide), (aide, clerk)])

    async with swarm(tmp_path, create) as at:
        body = {"model": "desk", "input": "go", "stream": True, "background": background}
        made = await at.runs.create(CreateResponse.model_validate(body), OWNER)
        run_id = made.response["id"]
        stream = AttemptStream(made, at.runs.execute(made)) if isinstance(made, Attempt) else None
        whole = asyncio.create_task(listed(stream.events() if stream else at.responses.events(run_id)))
        await gate.reached.wait()
        await at.waits(run_id)
        middle = asyncio.create_task(listed(at.responses.events(run_id, 3)))
        gate.opened.set()
        events = await whole
        assert [event["sequence_number"] for event in events] == [*range(len(events))]
        response = await at.final(run_id)
        assert events[-1]["response"] == response
        assert replayed(events) == response["output"]
        stored = await at.responses.stored_events(run_id)
        assert stored == events
        assert await middle == events[4:]
        assert await listed(at.responses.events(run_id, len(events) - 3)) == events[-2:]
        shown = [item for item in response["output"] if "tool" in item]
        assert len(shown) == 5
        assert len({item["id"] for item in shown}) == 5


async def listed(events: Any) -> list[Any]:
    return [event async for event in events]


@awaited
async def test_run_is_executed_whose_client_leaves_before_it_reads_anything(tmp_path: Path) -> None:
    async with swarm(tmp_path, desk(Office(), [to("Clerk", "a")]), agent_messages="memory") as at:
        body = CreateResponse.model_validate({"model": "desk", "input": "go", "stream": True})
        made = await at.runs.create(body, OWNER)
        assert isinstance(made, Attempt)
        await AttemptStream(made, at.runs.execute(made)).leave()
        assert (await at.final(made.response["id"]))["status"] == "completed"
