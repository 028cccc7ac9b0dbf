"""Whether a new run may begin: one more at once, and the budget covers its first model call."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agency_lambda.budgets import Budgets
from agency_lambda.budgets.running import RUNNING, RunCount
from agency_lambda.errors import BudgetExceeded, ServiceError, StoreUnavailable, TooManyRuns, UnboundedCost
from agency_lambda.runs.model import Run
from agency_lambda.runs.stored_runs import save_new
from agency_lambda.store import Change, LimitReached, Store

if TYPE_CHECKING:
    from agency_lambda.budgets.reservation import Reservation
    from agency_lambda.budgets.spending import Advance, Spending
    from agency_lambda.framework.execution import AgencyExecution

NOT_ADMITTED = (BudgetExceeded, TooManyRuns, UnboundedCost)


@dataclass(frozen=True)
class Admission:
    """What an attempt releases at its end of what was counted for its run when it was admitted."""

    run_id: str
    spending: "Advance | None" = None
    count: RunCount | None = None  # of a run that is not stored
    reserved: "Reservation | None" = None  # of a queued run, until its first attempt begins
    counts_again: bool = False  # among its owner's runs, after it has waited

    def take_over(self) -> None:
        """Take over what the run's record holds no longer."""
        if self.spending and self.reserved:
            self.spending.advance = self.reserved

    async def close(self) -> None:
        """Release what a finished attempt has not used."""
        if self.spending:
            with suppress(StoreUnavailable):  # then it counts until the end of the period
                await self.spending.release_advance()
        if self.count:
            with suppress(StoreUnavailable):  # then it counts until its mark is old
                await self.count.end_unstored(self.run_id)


async def admit(
    store: Store, budgets: Budgets, run: Run, execution: "AgencyExecution | None", changes: list[Change]
) -> tuple[Run, Admission]:
    """Store a new run, if it is one to be stored, with more changes.

    Raises:
        BudgetExceeded, TooManyRuns, UnboundedCost: nothing is stored.
        StoreUnavailable, OutcomeUncertain: see `save_new`.
    """
    count = await budgets.run_count(run.owner)
    spending = execution.spending if execution else None
    spending = spending if spending and spending.is_limited else None
    worst = execution.first_call() if execution and spending else None
    if run.stored.response["store"]:
        run = await _save(store, run, count, spending, worst, changes)
        if spending and not run.stored.response["background"]:
            spending.advance = worst
        return run, Admission(run.id, spending)
    if count:
        await count.begin_unstored(run.id)
    admission = Admission(run.id, spending, count)
    try:
        if spending:
            spending.advance = await spending.reserve(worst)
    except ServiceError:
        await admission.close()
        raise
    return run, admission


async def _save(
    store: Store, run: Run, count: RunCount | None, spending: "Spending | None", worst: Any, changes: list[Change]
) -> Run:
    body = {"counted": True} if count else {}
    if spending and run.stored.response["background"]:  # a worker takes it over
        body |= {"reserved": worst.as_body()}
    run = replace(run, stored=replace(run.stored, budget=body or None))
    while True:
        reserving = spending.changes(worst) if spending else []
        try:
            saved = await save_new(store, run, [*changes, *reserving, *([count.begun()] if count else [])])
        except LimitReached as reached:
            if count and reached.add.sort == RUNNING:
                await count.make_room()
            elif spending:
                await spending.on_limit(reached, worst)
            continue
        if spending:
            await spending.alarm()
        return saved


async def readmit(store: Store, budgets: Budgets, run: Run, execution: "AgencyExecution | None") -> Admission:
    """Return the admission of a run that goes on: it is not checked again. execution: None if the run only ends."""
    spending, budget = execution.spending if execution else None, run.stored.budget or {}
    if (body := budget.get("reserved")) is None:
        has_waited = run.lease is not None and run.lease.attempts_before_wait > 0
        may_count = has_waited and execution is not None and not run.stored.sending and "counted" not in budget
        counts = may_count and await budgets.run_count(run.owner) is not None
        return Admission(run.id, spending, counts_again=counts)
    from agency_lambda.budgets.reservation import Reservation
    from agency_lambda.budgets.spending import Advance

    return Admission(run.id, spending or Advance(store), reserved=Reservation.from_body(store, body))
