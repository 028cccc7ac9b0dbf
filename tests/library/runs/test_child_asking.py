"""Clients of a run whose child runs wait for persons: they wait as long as anybody can go on without one."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency

from agency_lambda.approvals.model import pending_partition
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.stream import resumable_events
from agency_lambda.runs import following
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.attempt_stream import AttemptStream
from tests.library.features.messages import Office, batches, to
from tests.library.runs.swarm import OWNER, Gate, awaited, desk, swarm, until, words
from tests.library.runs.test_child_waiting import asking, pay

LONG = 60.0  # seconds, which no test takes


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_NEEDS_PERSON_POLL", 0.5)


def paying_beside(office: Office) -> Any:
    """Boss asks Chief, who asks Clerk, who pays, and Aide, at once."""

    def create() -> Agency:
        boss = office.agent("Boss", batches([to("Chief", "go")]))
        chief = office.agent("Chief", batches([to("Clerk", "a"), to("Aide", "b")]))
        clerk = office.agent("Clerk", batches([("pay", {})]), tools=[pay])
        return Agency(boss, communication_flows=[(boss, chief), (chief, clerk), (chief, office.agent("Aide"))])

    return create


def asked_in(response: dict[str, Any]) -> list[str]:
    return [item["id"] for item in response["output"] if item["type"] == "mcp_approval_request"]


@awaited
async def test_client_in_the_foreground_is_answered_when_only_persons_go_on(tmp_path: Path) -> None:
    async with swarm(tmp_path, asking(Office()), answer_seconds=LONG) as at:
        response = await asyncio.wait_for(at.ask(), LONG / 4)
        (approval,) = await at.pending()
        assert (response["status"], asked_in(response)) == ("in_progress", [approval.id])
        assert response["output"][-1]["name"] == "pay"
        await at.approve(approval)
        final = await at.final(response["id"])
        assert (words(final), asked_in(final)) == ("paid", [approval.id])
        await at.nothing_is_left()


@awaited
async def test_client_in_the_foreground_waits_while_a_sibling_is_at_work(tmp_path: Path) -> None:
    office = Office(gate := Gate("Aide"))
    async with swarm(tmp_path, paying_beside(office), answer_seconds=LONG) as at:
        client = asyncio.create_task(at.ask())
        await gate.reached.wait()
        approval = await at.asked()
        assert (await at.waits(approval.run)).waits_for_person
        await asyncio.sleep(1)
        assert not client.done()
        gate.opened.set()
        response = await asyncio.wait_for(client, LONG / 4)
        assert (response["status"], asked_in(response)) == ("in_progress", [approval.id])


@awaited
async def test_client_in_the_foreground_gets_the_answer_of_a_person_who_is_faster_than_a_sibling(
    tmp_path: Path,
) -> None:
    office = Office(gate := Gate("Aide"))
    async with swarm(tmp_path, paying_beside(office), answer_seconds=LONG) as at:
        client = asyncio.create_task(at.ask())
        await gate.reached.wait()
        await at.approve(await at.asked())
        gate.opened.set()
        assert words(await asyncio.wait_for(client, LONG / 4)) == "paid | re b"


@awaited
async def test_client_that_follows_a_child_is_answered_as_its_root_s(tmp_path: Path) -> None:
    async with swarm(tmp_path, asking(Office())) as at:
        run_id = await at.begin()
        await at.waits((await at.asked()).run)
        (aide,) = await at.children(run_id)
        begun = time.monotonic()
        assert (await at.responses.final(aide, LONG)).response["status"] == "in_progress"
        assert time.monotonic() - begun < LONG / 4


@awaited
async def test_stream_ends_with_its_url_when_only_persons_go_on(tmp_path: Path) -> None:
    async with swarm(tmp_path, asking(Office())) as at:
        body = CreateResponse.model_validate({"model": "desk", "input": "go", "stream": True})
        attempt = await at.runs.create(body, OWNER)
        assert isinstance(attempt, Attempt)
        stream = AttemptStream(attempt, at.runs.execute(attempt))
        sent = resumable_events(stream.events(), attempt.response, "", last_stored=stream.last_stored)
        async with asyncio.timeout(LONG / 4):
            before = [event async for event in sent]
        await stream.leave()
        *shown, last = before
        (approval,) = await at.pending()
        assert approval.id in [event["item"]["id"] for event in shown if "item" in event]
        number = shown[-1]["sequence_number"]
        assert last["resume"].endswith(f"?stream=true&starting_after={number}")
        await at.approve(approval)
        rest = [event async for event in at.responses.events(attempt.response["id"], number)]
        assert [each["sequence_number"] for each in [*shown, *rest]] == [*range(number + 1 + len(rest))]
        assert rest[-1]["type"] == "response.completed"


@awaited
async def test_stream_shows_a_request_that_is_added_after_its_run_has_begun_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = Attempt.show

    async def late(attempt: Attempt) -> None:
        await asyncio.sleep(0.2)
        await show(attempt)

    monkeypatch.setattr(Attempt, "show", late)
    async with swarm(tmp_path, asking(Office())) as at:
        run_id = await at.begin(stream=True)
        events = [event async for event in at.responses.events(run_id)]
        (approval,) = await at.pending()
        assert approval.id in [event["item"]["id"] for event in events if "item" in event]


@awaited
async def test_client_that_waits_looks_seldom_for_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_NEEDS_PERSON_POLL", LONG)
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, desk(office, [to("Clerk", "a")])) as at:
        run_id, read, query = await at.begin(), list[str](), at.store.query
        await gate.reached.wait()
        await at.waits(run_id)

        async def counted(partition: str, **limits: Any) -> Any:
            read.append(partition)
            return await query(partition, **limits)

        monkeypatch.setattr(at.store, "query", counted)
        assert (await at.responses.final(run_id, 1.0)).response["status"] == "in_progress"
        assert read.count(pending_partition(OWNER)) == 1
        gate.opened.set()
        assert words(await at.final(run_id)) == "re a"


@awaited
async def test_request_is_shown_once_that_the_root_s_stream_has_shown(tmp_path: Path) -> None:
    office = Office()

    def create() -> Agency:
        boss = office.agent("Boss", batches([("pay", {}), to("Clerk", "a")]), tools=[pay])
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk", batches([("pay", {})]), tools=[pay]))])

    async with swarm(tmp_path, create) as at:
        run_id = await at.begin(stream=True)

        async def both() -> bool:
            return len(await at.pending()) == 2

        await until(both)
        asked = {each.run == run_id: each for each in await at.pending()}
        await at.waits(run_id)
        await at.waits(asked[False].run)
        await at.approve(asked[True])

        async def is_paid() -> bool:
            return bool(await at.rows(run_id, "tool"))

        await until(is_paid)
        await at.waits(run_id)
        stored = await at.responses.get(run_id)
        assert asked_in(stored.response) == [asked[True].id, asked[False].id]
        assert asked_in(await at.runs.shown(OWNER, stored)) == asked_in(stored.response)
