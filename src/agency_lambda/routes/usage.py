import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.record.usage import UsageQuery, sum_usage
from agency_lambda.routes.dependencies import Caller, Operator, OwnerFilter
from agency_lambda.routes.paging import key_or_refuse
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.runs.run_index import entry_key
from agency_lambda.settings import get_settings

router = APIRouter(prefix="/v1", route_class=StrictRoute)

_DAY = 24 * 3600
_DEFAULT_DAYS = 30
_Moment = Annotated[str | None, Query(max_length=10, description="Unix seconds, or a date as 2026-11-26, in UTC")]
_GroupBy = Literal["day", "model", "agency"]


async def _period(
    since: Annotated[_Moment, Query(alias="from")] = None,
    until: Annotated[_Moment, Query(alias="to", description="the same; a date is included")] = None,
    after: Annotated[str | None, Query(max_length=bounds.NAME, description="the `last_id` of the page before")] = None,
) -> UsageQuery:
    now = int(time.time())
    to = _seconds(until, "to", days=1) or now + 1
    begin = _seconds(since, "from") if since else to - _DEFAULT_DAYS * _DAY
    if begin >= to:
        raise InvalidRequest("'from' must be before 'to'.", param="from")
    return UsageQuery(group_by="agency", since=max(begin, 0), until=to, after=key_or_refuse(entry_key, after, "after"))


def _seconds(text: str | None, param: str, days: int = 0) -> int:
    """Return Unix seconds; 0 for None. days: added to a date's beginning."""
    if text is None:
        return 0
    if re.fullmatch(r"[0-9]{1,10}", text):
        return int(text)
    try:
        date = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidRequest(f"{text!r} is no date as 2026-11-26, and no Unix seconds.", param=param) from None
    return int(date.timestamp()) + days * _DAY


Period = Annotated[UsageQuery, Depends(_period)]


@router.get("/usage", response_model=None)
async def usage(caller: Caller, period: Period, group_by: _GroupBy = "agency") -> dict[str, Any]:
    """Return what stored runs have used and cost; by default of the last 30 days, by agency.

    `usd` is null where a model has no price, see `unpriced_models`. With `has_more`, add up the pages: the next
    one has the same `from` and `to`, and `after` this one's `last_id`.
    """
    return await _sum(caller, [caller.owner], period, group_by)


@router.get("/admin/usage", response_model=None)
async def usage_of_owners(
    operator: Operator, period: Period, group_by: _GroupBy | Literal["owner"] = "agency", owner: OwnerFilter = None
) -> dict[str, Any]:
    """Return the same of every owner, or of one; it may be by owner."""
    owners = [operator.owner] if operator.owner else await operator.runs.owners.known()
    return await _sum(operator, owners, period, group_by)


async def _sum(
    caller: Caller, owners: list[str], period: UsageQuery, group_by: _GroupBy | Literal["owner"]
) -> dict[str, Any]:
    from agency_lambda.prices import load

    prices = load(get_settings().prices)
    return await sum_usage(caller.runs.store, owners, replace(period, group_by=group_by), prices)
