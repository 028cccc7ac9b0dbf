"""The number of runs that an owner has at once."""

import math
import time
from dataclasses import dataclass

from agency_lambda.budgets.accounts import spend_partition
from agency_lambda.errors import TooManyRuns
from agency_lambda.store import ABSENT, Add, Conflict, Delete, LimitReached, Put, Store

RUNNING = "running"
_UNSTORED, _BEHIND_UNSTORED = "unstored/", "unstored0"
_LONGEST = 900.0  # seconds after which a run that is not stored, and is still counted, has died


def begun_again(owner: str) -> Add:
    """Return the change by which a run counts that has waited: there is no limit, as a person has decided it."""
    return Add(spend_partition(owner), RUNNING, {"runs": 1})


def ended(owner: str) -> Add:
    """Return the change by which a run counts no longer."""
    return Add(spend_partition(owner), RUNNING, {"runs": -1})


async def forget_unstored(store: Store, owner: str, until: float = math.inf) -> int:
    """Count runs no longer that are not stored and were to end before. Return how many these are."""
    marks = await store.query(spend_partition(owner), after=_UNSTORED, before=_BEHIND_UNSTORED)
    dead = [mark for mark in marks if mark.body["until"] < until]
    for mark in dead:
        try:
            await store.write(ended(owner), Delete(mark.partition, mark.sort, expected=mark.version))
        except Conflict:  # another request has, or it has ended
            continue
    return len(dead)


@dataclass(frozen=True)
class RunCount:
    """The count of an owner's unfinished runs. most: its limit."""

    store: Store
    owner: str
    most: int

    def begun(self) -> Add:
        """Return the change that counts a new run. It fails with LimitReached."""
        return Add(spend_partition(self.owner), RUNNING, {"runs": 1}, {"runs": self.most})

    async def begin_unstored(self, run_id: str) -> None:
        """Count a run that is not stored. Raises TooManyRuns."""
        while True:
            try:
                await self.store.write(self.begun(), self._mark(run_id))
                return
            except LimitReached:
                await self.make_room()

    async def end_unstored(self, run_id: str) -> None:
        mark = self._mark(run_id)
        try:
            await self.store.write(ended(self.owner), Delete(mark.partition, mark.sort, expected=mark.version))
        except Conflict:  # it was taken for dead
            return

    async def make_room(self) -> None:
        """Stop counting runs that have died. Raises TooManyRuns if there are none."""
        if not await forget_unstored(self.store, self.owner, until=time.time()):
            raise TooManyRuns(f"This owner may have {self.most} runs at once, and has as many.")

    def _mark(self, run_id: str) -> Put:
        body = {"until": time.time() + _LONGEST}
        partition = spend_partition(self.owner)
        return Put(partition, f"{_UNSTORED}{run_id}", body, expected=ABSENT, version=run_id)
