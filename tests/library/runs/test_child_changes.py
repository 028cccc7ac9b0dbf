"""Runs whose transport changes, whose requests are decided meanwhile, and whose continuation is deleted."""

from pathlib import Path
from typing import Any

from agency_swarm import Agency, function_tool

from agency_lambda.errors import NotFound
from tests.library.features.messages import Office, batches, to
from tests.library.runs.swarm import OWNER, awaited, swarm, until


def office_that_pays(office: Office, made: list[str], *, boss_pays: bool) -> Any:
    @function_tool(needs_approval=True)
    async def pay() -> str:
        """Pays."""
        made.append("paid")
        return "paid"

    @function_tool
    async def write() -> str:
        """Writes."""
        made.append("written")
        return "written"

    def create() -> Agency:
        calls = [to("Clerk", "a"), *([("pay", {})] if boss_pays else [])]
        boss = office.agent("Boss", batches(calls), tools=[pay])
        clerk = office.agent("Clerk", batches([("write", {})], [("pay", {})]), tools=[write, pay])
        return Agency(boss, communication_flows=[(boss, clerk)])

    return create


@awaited
async def test_message_that_has_begun_in_memory_stays_there_when_a_deployment_changes_the_transport(
    tmp_path: Path,
) -> None:
    office, made = Office(), list[str]()
    create = office_that_pays(office, made, boss_pays=False)
    async with swarm(tmp_path, create, agent_messages="memory") as at:
        run_id = await at.begin()
        approval = await at.asked()
    async with swarm(tmp_path, create, agent_messages="queue") as at:
        await at.approve(approval)
        assert (await at.final(run_id))["status"] == "completed"
        assert (made, await at.children(run_id)) == (["written", "paid"], [])
        assert [asked.agent for asked in office.asked] == ["Boss", "Clerk", "Clerk", "Clerk", "Boss"]


@awaited
async def test_response_that_ends_by_asking_has_only_open_requests(tmp_path: Path) -> None:
    office, made = Office(), list[str]()
    async with swarm(tmp_path, office_that_pays(office, made, boss_pays=True)) as at:
        response = await at.ask()
        of_clerk = await at.asked()
        await at.approve(of_clerk)
        response = await at.final(response["id"])
        of_boss = await at.asked()
        requests = [item["id"] for item in response["output"] if item["type"] == "mcp_approval_request"]
        assert (response["status"], requests) == ("completed", [of_boss.id])


@awaited
async def test_deleting_a_response_that_goes_on_deletes_its_child_runs(tmp_path: Path) -> None:
    office, made = Office(), list[str]()

    def create() -> Agency:
        @function_tool(needs_approval=True)
        async def pay() -> str:
            """Pays."""
            made.append("paid")
            return "paid"

        boss = office.agent("Boss", batches([("pay", {})], [to("Clerk", "a")]), tools=[pay])
        return Agency(boss, communication_flows=[(boss, office.agent("Clerk"))])

    async with swarm(tmp_path, create) as at:
        first = await at.ask()
        approval = await at.asked()
        await at.approve(approval)
        second = (await at.responses.get(first["id"])).continued_by
        assert second
        assert (await at.final(second))["status"] == "completed"
        (child,) = await at.children(first["id"])
        await at.runs.delete(OWNER, second)

        async def is_gone() -> bool:
            try:
                await at.responses.get(child)
            except NotFound:
                return True
            return False

        await until(is_gone)
        assert (await at.responses.get(first["id"])).response["status"] == "completed"
