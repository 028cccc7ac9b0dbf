"""Runs whose attempts end in the middle of a tool, in this process; the next one takes up the run."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from agency_swarm import Agency

from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.service import RunService
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage


class Attempts:
    """One run of the agency "desk", which is offline and calls every tool once."""

    def __init__(self, runs: RunService, ends: "Ends", run_id: str) -> None:
        self._runs, self._ends, self.run_id = runs, ends, run_id

    async def attempt(self) -> str:
        """Make an attempt, which ends where `Ends` says. Returns the status of the run."""
        begun = await self._runs.resume(self.run_id)
        assert begun is not None
        work, ends = asyncio.ensure_future(self._runs.execute(begun)), asyncio.ensure_future(self._ends.reached.wait())
        await asyncio.wait({work, ends}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        ends.cancel()
        if self._ends.reached.is_set():
            self._ends.reached.clear()
            begun.stop("handed over")
        return str((await asyncio.wait_for(work, 20))["status"])

    async def rows(self) -> dict[str, Any]:
        """Return the rows of the journal."""
        rows = await self._runs.store.query(f"owner/response/{self.run_id}", after="journal/", before="journal0")
        return {row.sort.removeprefix("journal/"): row.body for row in rows}

    async def kinds(self) -> list[str]:
        return sorted(key.split("/")[0] for key in await self.rows() if key != "asked")

    async def answer(self) -> str:
        record = await self._runs.store.get(f"owner/response/{self.run_id}", "response")
        assert record
        return str(record.body["response"]["output"][-1]["content"][0]["text"])


class Ends:
    """Ends attempts where `here()` is awaited, as often as `times` says."""

    def __init__(self, times: int = 1) -> None:
        self.times, self.reached = times, asyncio.Event()

    async def here(self) -> None:
        if self.times:
            self.times -= 1
            self.reached.set()
            await asyncio.Event().wait()


def play[T](
    folder: Path, ends: Ends, agency: Callable[[], Agency], test: Callable[[Attempts], Coroutine[Any, Any, T]]
) -> T:
    async def whole() -> T:
        kept = settings(key=None, store=f"sqlite:///{folder}/agency.db")
        async with on_stage(agency, kept) as runs:
            asked = CreateResponse.model_validate({"model": "desk", "input": "hello", "background": True})
            made = await runs.create(asked, "owner")
            return await test(Attempts(runs, ends, made.response["id"]))

    return asyncio.run(asyncio.wait_for(whole(), 60))
