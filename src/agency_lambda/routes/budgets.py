from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agency_lambda.budgets import Limits
from agency_lambda.budgets.limits import micro
from agency_lambda.routes.dependencies import Operator
from agency_lambda.routes.strict import StrictRoute

router = APIRouter(prefix="/v1/admin/budgets", route_class=StrictRoute)


def _representable(usd: float | None) -> float | None:
    if usd and not micro(usd):
        raise ValueError("The smallest amount is 0.000001 USD.")
    return usd


_Dollars = Annotated[float | None, Field(ge=0, le=1e9), AfterValidator(_representable)]
_Count = Annotated[int | None, Field(ge=0, le=10**15)]


class Budget(BaseModel):
    """The limits of an owner; what is not named has none. Days and months are UTC's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    usd_per_day: _Dollars = None
    usd_per_month: _Dollars = None
    tokens_per_day: _Count = None
    tokens_per_month: _Count = None
    runs_at_once: _Count = None


@router.get("/{owner}", response_model=None)
async def retrieve_budget(owner: str, operator: Operator) -> dict[str, Any]:
    """Return an owner's limits, and what is spent and reserved of them today and in this month."""
    return await operator.runs.budgets.describe(operator.owner)


@router.put("/{owner}", response_model=None)
async def set_budget(owner: str, body: Budget, operator: Operator) -> dict[str, Any]:
    """Set an owner's limits, in place of the settings' default, and open a budget that was closed."""
    budgets, owner = operator.runs.budgets, operator.owner
    return await _changed(operator, budgets.set_limits(owner, Limits.from_dollars(body.model_dump())))


@router.delete("/{owner}", response_model=None)
async def reset_budget(owner: str, operator: Operator) -> dict[str, Any]:
    """Put the settings' default in place of an owner's limits."""
    return await _changed(operator, operator.runs.budgets.reset_limits(operator.owner))


async def _changed(operator: Operator, change: Coroutine[Any, Any, None]) -> dict[str, Any]:
    """Log the limits before and after a change, and return the budget."""
    from agency_lambda import telemetry  # imports Powertools

    before = await operator.runs.budgets.describe(operator.owner)
    await change
    after = await operator.runs.budgets.describe(operator.owner)
    telemetry.log_limits(operator.operator, operator.owner, before["limits"], after["limits"])
    return after
