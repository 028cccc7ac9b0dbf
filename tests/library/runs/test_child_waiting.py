"""Runs that wait for other agents, and beside them for persons; leases that are lost meanwhile."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, function_tool

from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.message_rows import COUNTER, open_messages
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.repository import RunRepository
from agency_lambda.store import Delete
from tests.library.features.messages import Office, batches, to
from tests.library.runs.swarm import OWNER, Gate, awaited, chain, desk, swarm, until, words


@function_tool(needs_approval=True)
async def pay() -> str:
    """Pays."""
    return "paid"


def paying(office: Office) -> Any:
    """Boss pays, and asks Clerk."""

    def create() -> Agency:
        boss = office.agent("Boss", batches([("pay", {}), to("Clerk", "a")]), tools=[pay])
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    return create


def asking(office: Office) -> Any:
    """Clerk pays, two messages below Boss."""
    return chain(office, "Boss", "Aide", "Clerk", script=batches([("pay", {})]), tools=[pay])


@awaited
async def test_background_run_asks_a_person_while_other_agents_work(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, paying(office)) as at:
        run_id = await at.begin()
        approval = await at.asked()
        assert approval.run == run_id
        lease = await at.waits(run_id)
        assert lease.waits_for_child_runs
        await at.approve(approval)

        async def is_paid() -> bool:
            return bool(await at.rows(run_id, "tool"))

        await until(is_paid)
        lease = await at.waits(run_id)
        assert (lease.waits_for_child_runs, await at.pending()) == (True, [])
        gate.opened.set()
        assert words(await at.final(run_id)) == "paid | re a"
        await at.nothing_is_left()


@awaited
async def test_foreground_run_asks_its_client_when_other_agents_have_answered(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, paying(office)) as at:
        asking = asyncio.create_task(at.ask())
        await gate.reached.wait()
        (lease,) = await until(at.runs.leases.waiting)
        assert (lease.waits_for_child_runs, await at.pending()) == (True, [])
        gate.opened.set()
        response = await asking
        assert (response["id"], response["status"]) == (lease.id, "completed")
        assert response["output"][-1]["type"] == "mcp_approval_request"
        (approval,) = await at.pending()
        await at.approve(approval)
        last = await at.final(approval.run)
        assert words(last) == "paid | re a"
        assert response["usage"]["model_calls"] + last["usage"]["model_calls"] == 3
        assert len(office.texts("Clerk")) == 1
        await at.nothing_is_left()


@awaited
async def test_person_is_asked_within_nested_messages_and_all_of_their_senders_wait(tmp_path: Path) -> None:
    async with swarm(tmp_path, asking(Office())) as at:
        run_id = await at.begin()
        approval = await at.asked()
        (aide,) = await at.children(run_id)
        assert await at.children(aide) == [approval.run]
        for each in (run_id, aide):
            assert (await at.waits(each)).waits_for_child_runs
        assert (await at.waits(approval.run)).waits_for_person
        await at.approve(approval)
        assert words(await at.final(run_id)) == "paid"
        await at.nothing_is_left()


@awaited
async def test_approval_within_nested_messages_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    async with swarm(tmp_path, asking(Office()), approval_days=1) as at:
        run_id = await at.begin()
        approval = await at.asked()
        for each in (run_id, approval.run):
            await at.waits(each)
        monkeypatch.setattr("time.time", lambda: now() + 1.1 * 86_400)
        assert "Nobody answered" in words(await at.final(run_id))
        await at.nothing_is_left()


@awaited
async def test_root_is_cancelled_that_waits_for_agents_who_wait_for_a_person(tmp_path: Path) -> None:
    async with swarm(tmp_path, asking(Office())) as at:
        run_id = await at.begin()
        await at.waits((await at.asked()).run)
        assert (await at.runs.cancel(OWNER, run_id))["status"] == "cancelled"
        await at.nothing_is_left()
        assert await at.pending() == []


@awaited
async def test_answers_that_come_before_a_run_waits_do_not_count_as_attempts_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents_until = RunRepository.agents_until

    async def late(repository: RunRepository) -> float:
        async def answered() -> bool:
            return not await open_messages(repository._store, OWNER, repository.run.id)

        await until(answered)
        return await agents_until(repository)

    async def unheard(leases: Leases, run_id: str) -> None:
        """The child run's process has written its end, and dies."""

    monkeypatch.setattr(RunRepository, "agents_until", late)
    monkeypatch.setattr(Leases, "give_turn", unheard)
    asked = [[to("Clerk", str(number))] for number in range(8)]
    async with swarm(tmp_path, desk(Office(), *asked)) as at:
        assert words(await at.run()) == " | ".join(f"re {number}" for number in range(8))


@awaited
async def test_message_that_two_attempts_send_has_one_run(tmp_path: Path) -> None:
    office = Office(gate := Gate("Boss"))
    async with swarm(tmp_path, desk(office, [to("Clerk", "a"), to("Clerk", "b")]), serves=False) as at:
        run_id = await at.begin()
        slow = asyncio.create_task(worker.work(at.runs, run_id))
        await gate.reached.wait()
        await at.interrupted(run_id)
        office.answer = Office().answer
        await worker.work(at.runs, run_id)
        gate.opened.set()  # before its heartbeat hears of the other one
        await slow
        children = await at.children(run_id)
        counter = await at.store.get(response_partition(OWNER, run_id), COUNTER)
        assert counter
        assert (counter.body["sent"], len(children)) == (2, 2)
        for each in (*children, run_id):
            await worker.work(at.runs, each)
        assert words(await at.final(run_id)) == "re a | re b"
        assert sorted(office.texts("Clerk")) == [("a",), ("b",)]


@awaited
async def test_child_run_does_nothing_that_nobody_waits_for(tmp_path: Path) -> None:
    office = Office()
    async with swarm(tmp_path, chain(office, "Boss", "Clerk"), serves=False) as at:
        run_id = await at.begin()
        await worker.work(at.runs, run_id)
        (child,) = await at.children(run_id)
        (opened,) = await open_messages(at.store, OWNER, run_id)
        await at.store.write(Delete(opened.partition, opened.sort))
        await worker.work(at.runs, child)
        assert (await at.final(child))["error"]["detail_code"] == "not_found"
        assert office.texts("Clerk") == []


@pytest.mark.parametrize("transport", ["memory", "queue"])
@awaited
async def test_run_that_goes_on_at_once_shows_what_its_tools_have_done(tmp_path: Path, transport: str) -> None:
    """The message is answered before the tool ends, so that the run does not begin to wait."""
    office = Office()

    @function_tool
    async def ask_agency() -> str:
        """Asks another agency."""
        await asyncio.sleep(0.5)
        one, two = office.agent("One", batches([to("Two", "b")])), office.agent("Two")
        return str((await Agency(one, communication_flows=[(one, two)]).get_response("go")).final_output)

    def create() -> Agency:
        boss = office.agent("Boss", batches([("ask_agency", {}), to("Clerk", "a")]), tools=[ask_agency])
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    async with swarm(tmp_path, create, agent_messages=transport) as at:
        output = (await at.run())["output"]
        shown = sorted(part["text"] for item in output for part in item.get("summary", ()))
        assert shown == ["Boss asks Clerk", "Boss uses ask_agency", "One uses send_message"]
        assert all(item["status"] == "completed" for item in output)
