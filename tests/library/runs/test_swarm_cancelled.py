"""Swarms that are cancelled or deleted at any moment: all of their runs end, and nothing of a deleted one stays."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent

from agency_lambda.framework import open_calls
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs import cancellation, heartbeat, worker
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store.sqlite import SQLiteStore
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage

STRIDE = int(os.environ.get("AGENCY_TEST_STRIDE", "40"))  # store calls between two moments that are tried
RUNS = 7  # the root, and two batches of two of its colleagues, of whom two ask another one, each

End = Callable[[RunService, str], Awaitable[Any]]


class Moment:
    """Calls the store as often as `number` says, and then ends the run beside what works on it."""

    def __init__(self, number: int, end: End) -> None:
        self._left, self._end, self.asked = number, end, 0
        self.run = ""
        self.ending: asyncio.Task[Any] | None = None
        self.runs: RunService

    def passed(self) -> None:
        self._left -= bool(self.run)
        if self.run and self._left <= 0 and self.ending is None:
            self.ending = asyncio.ensure_future(self._end(self.runs, self.run))

    def agency(self) -> Agency:
        def agent(name: str, script: Callable[[Any], Any]) -> Agent:
            def counted(turn: Any) -> Any:
                self.asked += 1
                return script(turn)

            return Agent(name=name, instructions=f"You are {name}.", model=OfflineModel(name, counted))

        def send(to: str, text: str) -> Any:
            return "send_message", {"recipient_agent": to, "message": text, "additional_instructions": ""}

        def boss(turn: Any) -> Any:
            known = len(turn.calls)
            return [send("Helper", f"{known}/{n}") for n in range(2)] if known < 4 else "All is done."

        def helper(turn: Any) -> Any:
            return "done" if turn.calls or turn.message.endswith("/1") else [send("Deep", turn.message)]

        boss_, helper_, deep = agent("Boss", boss), agent("Helper", helper), agent("Deep", lambda turn: "deep")
        return Agency(boss_, communication_flows=[boss_ > helper_, helper_ > deep])


async def play(moment: Moment, folder: Path) -> dict[str, Any] | None:
    """Return the root's response, None if it is deleted, when all runs have ended and nobody works."""
    stored = settings(key=None, store=f"sqlite:///{folder}/agency.db", agent_messages="queue", queue="local")
    async with on_stage(moment.agency, stored) as runs:
        moment.runs, working = runs, asyncio.create_task(worker.serve(runs, runs.queue, _not_exported))  # type: ignore[arg-type]
        asked = CreateResponse.model_validate({"model": "desk", "input": "hello", "background": True, "stream": True})
        moment.run = (await runs.create(asked, "owner")).response["id"]
        response = None
        with suppress(Exception):
            response = (await Responses(runs.store, "owner").final(moment.run, 20)).response
        if moment.ending:
            await moment.ending
        async with asyncio.timeout(20):
            while left := [*await runs.leases.all(), *await runs.leases.waiting()]:
                assert {each.owner for each in left} == {"owner"}
                await asyncio.sleep(0.02)
        await worker.sweep(runs)
        before = moment.asked
        await asyncio.sleep(0.1)
        assert moment.asked == before
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return response


async def _not_exported(*_: Any) -> None: ...


def rows(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(folder / "agency.db") as opened:
        found: list[tuple[str, str]] = opened.execute("SELECT partition, sort FROM record").fetchall()
    opened.close()
    return found


def needed_by_unfinished_runs(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    begins = ("running#", "waiting#", "waiting/due", "messages/ended")
    return [each for each in found if each[0].startswith(begins) or each[1].startswith("message/")]


async def cancel(runs: RunService, run: str) -> None:
    await runs.cancel("owner", run)


async def delete(runs: RunService, run: str) -> None:
    await runs.delete("owner", run)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(heartbeat, "FLUSH", 0.02)
    monkeypatch.setattr(heartbeat, "RENEW", 0.05)
    monkeypatch.setattr(worker, "_REAP", 0.1)
    monkeypatch.setattr(open_calls, "_PAUSE", 0.01)
    monkeypatch.setattr(cancellation, "_POLL_INTERVAL", 0.1)
    return monkeypatch


@pytest.mark.parametrize("end", [cancel, delete])
def test_swarm_that_is_ended_at_any_moment_leaves_nothing_that_goes_on(
    tmp_path: Path, quick: pytest.MonkeyPatch, end: End
) -> None:
    moments = 0
    for number in range(1, 10_000, STRIDE):
        moment, folder = Moment(number, end), tmp_path / str(number)
        folder.mkdir()
        with quick.context() as counting:
            for name in ("write", "get", "query"):
                counting.setattr(SQLiteStore, name, _counted(getattr(SQLiteStore, name), moment))
            response = asyncio.run(asyncio.wait_for(play(moment, folder), 60))
        found = rows(folder)
        assert needed_by_unfinished_runs(found) == [], number
        if moment.ending is None:
            assert response
            assert response["status"] == "completed"
            assert len([each for each in found if each[1] == "response"]) == RUNS
            break
        moments += 1
        if end is delete:
            kept = "owner/log/"  # the turn of a run that was faster
            assert [each for each in found if each[0].startswith("owner/") and kept not in each[0]] == [], number
        else:
            assert response
            assert response["status"] in ("cancelled", "completed"), number
    assert moments >= 5


def _counted(method: Callable[..., Awaitable[Any]], moment: Moment) -> Callable[..., Awaitable[Any]]:
    async def counted(store: SQLiteStore, *args: Any, **named: Any) -> Any:
        moment.passed()
        return await method(store, *args, **named)

    return counted
