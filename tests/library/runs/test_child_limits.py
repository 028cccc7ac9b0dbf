"""What limits a swarm: the number of its runs, their depth, and the time of each message."""

from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, function_tool

from agency_lambda.approvals.model import pending_partition
from agency_lambda.runs import heartbeat
from agency_lambda.settings import ConfigurationError, get_settings
from agency_lambda.store import Delete
from tests.library.features.messages import Office, batches, to
from tests.library.runs.swarm import OWNER, Gate, awaited, chain, desk, swarm, words

FAILED = "Error: Failed to get response from agent '{}'. Reason: {}"
LATE = FAILED.format("Clerk", "it did not answer within 0.5 seconds.")
LATE_AIDE = FAILED.format("Aide", "it did not answer within 0.5 seconds.")


@pytest.fixture(autouse=True)
def _cancellations_are_noticed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "RENEW", 0.1)


@awaited
async def test_refused_message_stays_refused_when_a_deployment_has_changed_the_limit(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    asked = [to("Clerk", "a"), to("Clerk", "b")], [to("Clerk", "c")]
    async with swarm(tmp_path, desk(office, *asked), max_messages=1) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        await at.waits(run_id)
        object.__setattr__(at.runs.preparation._settings, "max_messages", 2)
        gate.opened.set()
        limit = FAILED.format("Clerk", "A run may send 1 messages.")
        assert sorted(words(await at.final(run_id)).split(" | ")) == [limit, "re a", "re c"]
        await at.nothing_is_left()


@awaited
async def test_number_of_messages_is_counted_over_the_whole_swarm(tmp_path: Path) -> None:
    office = Office()

    def create() -> Agency:
        boss, aide = office.agent("Boss", batches([to("Aide", "1"), to("Aide", "2")])), office.agent("Clerk")
        team = office.agent("Aide", batches([to("Clerk", "a"), to("Clerk", "b")]))
        return Agency(boss, communication_flows=[(boss, team), (team, aide)])

    async with swarm(tmp_path, create, max_messages=5) as at:
        response = await at.run()
        assert words(response).count("A run may send 5 messages.") == 1
        assert words(response).count("re ") == len(office.texts("Clerk")) == 3
        await at.nothing_is_left()


@awaited
async def test_depth_of_messages_is_limited(tmp_path: Path) -> None:
    async with swarm(tmp_path, chain(Office(), "Boss", "Aide", "Clerk", "Temp"), max_message_depth=2) as at:
        reason = "Messages may be 2 deep within each other."
        assert words(await at.run()) == FAILED.format("Temp", reason)
        await at.nothing_is_left()


@awaited
async def test_message_fails_whose_deadline_passes_while_its_agent_works(tmp_path: Path) -> None:
    office = Office(Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk"), message_seconds=0.5) as at:
        run_id = await at.begin()
        assert words(await at.final(run_id)) == LATE
        (child,) = await at.children(run_id)
        assert (await at.final(child))["status"] == "cancelled"
        await at.nothing_is_left()


@awaited
async def test_message_fails_whose_deadline_passes_in_the_queue(tmp_path: Path) -> None:
    office, known = Office(), set[str]()
    async with swarm(tmp_path, chain(office, "Boss", "Clerk"), message_seconds=0.5) as at:

        async def lose(run_ids: Any, *, owner: str) -> None:
            known.update(run_ids)

        at.runs.queue.send_runs = lose  # type: ignore[method-assign]
        run_id = await at.begin()
        assert words(await at.final(run_id)) == LATE
        assert office.texts("Clerk") == []
        assert len(known) == 1
        await at.nothing_is_left()


@awaited
async def test_message_fails_whose_deadline_passes_while_a_person_is_asked(tmp_path: Path) -> None:
    @function_tool(needs_approval=True)
    async def pay() -> str:
        """Pays."""
        raise AssertionError

    clerk = {"script": lambda turn: [("pay", {})], "tools": [pay]}
    async with swarm(tmp_path, chain(Office(), "Boss", "Clerk", **clerk), message_seconds=0.5) as at:
        run_id = await at.begin()
        assert words(await at.final(run_id)) == LATE
        assert await at.store.query(pending_partition("owner")) == []
        await at.nothing_is_left()


@awaited
async def test_message_fails_whose_deadline_passes_while_its_own_messages_are_worked_on(tmp_path: Path) -> None:
    office = Office(Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Aide", "Clerk"), message_seconds=0.5) as at:
        run_id = await at.begin()
        assert words(await at.final(run_id)) in (LATE_AIDE, LATE)
        (aide,) = await at.children(run_id)
        (clerk,) = await at.children(aide)
        assert (await at.final(clerk))["status"] == "cancelled"
        await at.nothing_is_left()


@awaited
async def test_message_within_another_has_no_later_deadline(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Aide", "Clerk"), message_seconds=30) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        (aide,) = await at.children(run_id)
        (clerk,) = await at.children(aide)
        outer, inner = [(await at.responses.get(each)).sending for each in (aide, clerk)]
        assert outer
        assert inner
        assert outer.until - 5 < inner.until <= outer.until + 0.1
        await at.runs.cancel(OWNER, run_id)


@awaited
async def test_clients_output_tokens_are_those_of_the_whole_swarm(tmp_path: Path) -> None:
    office, asked = Office(), [[to("Clerk", text) for text in "abc"]]
    async with swarm(tmp_path, desk(office, *asked)) as at:
        response = await at.run(max_output_tokens=16)  # fewer than the first answer has
        assert response["incomplete_details"]["reason"] == "max_output_tokens"
        assert [each.agent for each in office.asked] == ["Boss"]
        first = response["usage"]["output_tokens"]
        run_id = await at.begin()
        assert (await at.final(run_id))["status"] == "completed"
        answers = sum(row["usage"]["output_tokens"] for row in (await at.rows(run_id)).values())
        office.asked.clear()
        response = await at.run(max_output_tokens=first + answers)
        assert response["incomplete_details"]["reason"] == "max_output_tokens"
        assert sorted(each.agent for each in office.asked) == ["Boss", "Clerk", "Clerk", "Clerk"]


@awaited
async def test_message_fails_in_the_end_whose_run_is_not_there_any_more(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk"), message_seconds=1) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        (child,) = await at.children(run_id)
        await at.waits(run_id)
        lease = await at.lease(child)
        assert lease
        await at.store.write(Delete(lease.partition, child))  # as an earlier version would that ends it
        assert words(await at.final(run_id)) == LATE.replace("0.5", "1")
        await at.nothing_is_left()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("AGENT_MESSAGES", "mail"), ("MESSAGES_AT_ONCE", "0"), ("MAX_MESSAGES", "0"), ("MAX_MESSAGES", "10001")),
        *(("MAX_MESSAGE_DEPTH", "0"), ("MESSAGE_SECONDS", "0"), ("MESSAGE_SECONDS", "1728001")),
    ],
)
def test_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        get_settings.__wrapped__()
