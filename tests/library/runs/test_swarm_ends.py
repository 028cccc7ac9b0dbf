"""Runs whose colleagues are runs of their own, answer faster than anybody waits for them, or outlive them."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.child_runs import ChildRuns, MessageLimits
from agency_lambda.runs.message_rows import open_messages
from agency_lambda.runs.preparation import history_of
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import load_run
from agency_lambda.runs.worker import serve, work
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage
from tests.library.runs.test_message_races import message

BATCHES = 8  # more than the attempts that a run may make
LIMITS = MessageLimits(most=10, depth=5, seconds=3600.0)


def agency() -> Agency:
    def boss(turn: Any) -> Any:
        if (number := len(turn.calls)) == BATCHES:
            return "All is done."
        return [("send_message", {"recipient_agent": "Helper", "message": f"{number}", "additional_instructions": ""})]

    def agent(name: str, script: Any) -> Agent:
        return Agent(name=name, instructions=f"You are {name}.", model=OfflineModel(name, script))

    chief, helper = agent("Boss", boss), agent("Helper", lambda turn: "done")
    return Agency(chief, communication_flows=[chief > helper])


def play(folder: Path, test: Callable[[RunService, str], Coroutine[Any, Any, None]]) -> None:
    """Call `test` with the service and a queued run."""

    async def whole() -> None:
        stored = settings(key=None, store=f"sqlite:///{folder}/agency.db", agent_messages="queue", queue="local")
        async with on_stage(agency, stored) as runs:
            asked = CreateResponse.model_validate({"model": "desk", "input": "hello", "background": True})
            await test(runs, (await runs.create(asked, "owner")).response["id"])

    asyncio.run(asyncio.wait_for(whole(), 60))


async def not_exported(*_: Any) -> None: ...


def test_fast_answers_of_many_batches_are_no_failed_attempts(tmp_path: Path) -> None:
    async def test(runs: RunService, run: str) -> None:
        worker = asyncio.create_task(serve(runs, runs.queue, not_exported))  # type: ignore[arg-type]
        final = await Responses(runs.store, "owner").final(run, 40)
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker
        assert (final.response["status"], final.response["error"]) == ("completed", None)
        assert final.response["usage"]["model_calls"] == 2 * BATCHES + 1

    play(tmp_path, test)


@pytest.mark.parametrize("depth", [1, 2])
def test_child_that_was_sent_behind_the_end_of_its_sender_ends_without_a_model_call(tmp_path: Path, depth: int) -> None:
    async def test(runs: RunService, run: str) -> None:
        async def sender_of(run: str) -> ChildRuns:
            sender = await load_run(runs.store, "owner", run, await runs.leases.find(run))
            return ChildRuns(runs, sender, history_of(sender), LIMITS)

        if depth == 2:
            run = (await (await sender_of(run)).send(message(0), [], {}))["run"]
        late = await sender_of(run)
        await runs.cancel("owner", run)
        row = await late.send(message(1), [], {})
        await work(runs, row["run"])
        response = (await Responses(runs.store, "owner").get(row["run"])).response
        assert (response["status"], response["usage"]["model_calls"]) == ("failed", 0)
        assert await open_messages(runs.store, "owner", run) == []

    play(tmp_path, test)
