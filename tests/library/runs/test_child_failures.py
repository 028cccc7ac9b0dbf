"""Child runs that fail, and what their senders and their owner's budget have of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency
from agents import ModelSettings

from agency_lambda.budgets.accounts import RUN_ACCOUNT, spend_partition
from agency_lambda.budgets.running import RUNNING
from agency_lambda.errors import TooManyRuns
from agency_lambda.framework.models import ModelUnavailable
from agency_lambda.runs import heartbeat, outcome
from agency_lambda.runs.model import response_partition
from tests.library.features.messages import Asked, Office, batches, to
from tests.library.runs.swarm import OWNER, Gate, awaited, chain, desk, swarm, words


@pytest.fixture(autouse=True)
def _lost_leases_are_noticed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "RENEW", 0.1)


FAILED = "Error: Failed to get response from agent 'Clerk'. Reason: "


@awaited
async def test_owners_runs_at_once_are_those_that_its_clients_have_asked_for(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    asked = [to("Clerk", text) for text in "abc"]
    async with swarm(tmp_path, desk(office, asked), budget_runs_at_once=1) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        await at.waits(run_id)
        with pytest.raises(TooManyRuns):
            await at.begin("another")
        gate.opened.set()
        assert words(await at.final(run_id)) == "re a | re b | re c"
        await at.run(text="another")
        count = await at.store.get(spend_partition(OWNER), RUNNING)
        assert count
        assert count.body["runs"] == 0


def frugal(office: Office, *answers: Any) -> Any:
    """Boss and Clerk, who may say little in one answer, so that little is reserved for it."""
    few = {"model_settings": ModelSettings(max_tokens=100)}

    def create() -> Agency:
        boss = office.agent("Boss", batches(*answers), **few)
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk", **few))])

    return create


@awaited
async def test_swarm_spends_from_its_roots_budget_until_that_is_exhausted(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))  # its calls are reserved side by side
    asked = [to("Clerk", text) for text in "abcdef"]
    async with swarm(tmp_path, frugal(office, asked), max_tokens_per_run=2500) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        await at.waits(run_id)
        await asyncio.sleep(0.5)
        gate.opened.set()
        response = await at.final(run_id)
        assert response["incomplete_details"] == {"reason": "max_output_tokens", "detail": "budget_exceeded"}
        rows = (await at.rows(run_id)).values()
        assert any(row["incomplete"] == response["incomplete_details"] for row in rows)  # which ends the sender's, too
        assert 0 < sum(row["output"].startswith("re ") for row in rows) < 6
        assert [asked.agent for asked in office.asked].count("Boss") == 1
        spent = await at.store.get(response_partition(OWNER, run_id), RUN_ACCOUNT)
        assert spent
        assert spent.body["tokens"] == response["usage"]["total_tokens"] > 0
        assert spent.body["reserved/tokens"] == 0
        for child in await at.children(run_id):
            assert await at.store.get(response_partition(OWNER, child), RUN_ACCOUNT) is None


class Failing:
    """Clerk's model fails so often."""

    def __init__(self, times: int, *, transient: bool) -> None:
        self.times, self.transient, self.calls = times, transient, 0

    async def __call__(self, asked: Asked) -> None:
        if asked.agent == "Clerk":
            self.calls += 1
            if self.calls <= self.times:
                raise ModelUnavailable(transient=self.transient)


@pytest.mark.parametrize(("times", "transient"), [(2, True), (99, True), (99, False)])
@awaited
async def test_model_failure_of_a_child_run_is_tried_again_and_told_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, transient: bool
) -> None:
    monkeypatch.setattr(outcome, "BACKOFF", 0.02)
    office = Office(failing := Failing(times, transient=transient))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk")) as at:
        run_id = await at.begin()
        response = await at.final(run_id)
        text = "Runner execution failed for agent Clerk (cause: ModelUnavailable)"
        assert words(response) == ("re go" if times == 2 else FAILED + text)
        assert failing.calls == (3 if times == 2 else outcome.MOST_ATTEMPTS if transient else 1)
        (child,) = await at.children(run_id)
        failed = (await at.final(child))["error"]
        assert (failed and failed["detail_code"]) == (None if times == 2 else "upstream_failed"), failed
        await at.nothing_is_left()


@pytest.mark.parametrize("change", ["flow", "agent", "agency"])
@awaited
async def test_deployment_that_removes_an_agent_or_a_flow_ends_the_messages_for_it(tmp_path: Path, change: str) -> None:
    """The message is queued before, and taken up afterwards."""
    office, deployed = Office(gate := Gate("Clerk")), list[str]()

    def create() -> Agency:
        if deployed == ["agency"]:
            raise RuntimeError("It cannot be built any more.")
        boss = office.agent("Boss", batches([to("Clerk", "a")]))
        aide, clerk = office.agent("Aide"), office.agent("Clerk")
        flows = {"flow": [(boss, aide), (aide, clerk)], "agent": [(boss, aide)]}
        return Agency(boss, communication_flows=flows[deployed[0]] if deployed else [(boss, aide), (boss, clerk)])

    async with swarm(tmp_path, create) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        await at.waits(run_id)
        deployed.append(change)
        (child,) = await at.children(run_id)
        await at.interrupted(child)
        gate.opened.set()
        response, ended = await at.final(run_id), await at.final(child)
        assert ended["error"]["detail_code"] == "agency_misconfigured"
        if change == "agency":
            assert response["error"] == ended["error"]
        else:
            assert ended["error"]["message"] == "Boss cannot send messages to Clerk any more."
            assert words(response) == FAILED + ended["error"]["message"]
        assert response["usage"]["model_calls"] == await at.paid(run_id) + await at.paid(child)
        await at.nothing_is_left()


@awaited
async def test_deployment_that_changes_what_a_sender_can_do_makes_it_ask_nothing_again(tmp_path: Path) -> None:
    office, deployed = Office(gate := Gate("Clerk")), list[str]()

    def create() -> Agency:
        boss, clerk, aide = (
            office.agent("Boss", batches([to("Clerk", "a")])),
            office.agent("Clerk"),
            office.agent("Aide"),
        )
        return Agency(boss, communication_flows=[(boss, clerk), *([(boss, aide)] if deployed else [])])

    async with swarm(tmp_path, create) as at:
        run_id = await at.begin()
        await gate.reached.wait()
        await at.waits(run_id)
        deployed.append("another colleague")
        gate.opened.set()
        assert words(await at.final(run_id)) == "re a"
        assert len(await at.children(run_id)) == 1
        assert [asked.agent for asked in office.asked] == ["Boss", "Clerk", "Boss"]


@awaited
async def test_child_run_that_is_interrupted_too_often_is_given_up_and_its_sender_goes_on(tmp_path: Path) -> None:
    office = Office(gate := Gate("Clerk"))
    async with swarm(tmp_path, chain(office, "Boss", "Clerk")) as at:
        run_id = await at.begin()
        for _ in range(outcome.MOST_ATTEMPTS):
            await gate.reached.wait()
            gate.reached.clear()
            (child,) = await at.children(run_id)
            await at.interrupted(child)
        assert words(await at.final(run_id)) == FAILED + "The run was interrupted too often, and is given up."
        assert (await at.final(child))["status"] == "failed"
