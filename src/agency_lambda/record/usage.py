"""What runs have used and cost, from the index."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from agency_lambda.record.index_pages import PageQuery, entries
from agency_lambda.runs.run_index import index_partition
from agency_lambda.runs.usage import COUNTS_OF_MODEL, ByModel
from agency_lambda.store import Record, Store

if TYPE_CHECKING:
    from agency_lambda.prices import PriceList

type GroupBy = Literal["day", "model", "agency", "owner"]

_MOST_ENTRIES = 5000  # that one page sums up
_CHUNK = 250  # entries in one read; other requests get a turn after each
_FEW = 10  # entries in one read of an owner, where there are many owners
_SHOWN = ("model_calls", "input_tokens", "output_tokens")
_UNKNOWN = "unknown"  # the model of a run that says none


@dataclass(frozen=True, kw_only=True)
class UsageQuery:
    """since, until: Unix seconds. after: the last entry of the page before, or ""."""

    group_by: GroupBy
    since: int
    until: int
    after: str = ""


class _Group:
    def __init__(self) -> None:
        self.runs = 0
        self.by_model = defaultdict[str, Counter[str]](Counter)

    def add(self, by_model: ByModel) -> None:
        self.runs += 1
        for model, counts in by_model.items():
            self.by_model[model].update({name: counts.get(name, 0) for name in COUNTS_OF_MODEL})


async def sum_usage(store: Store, owners: Sequence[str], query: UsageQuery, prices: "PriceList") -> dict[str, Any]:
    """Return the sums of up to 5,000 runs, oldest first. With `has_more`, add up the pages."""
    groups, last_id = await _read(store, owners, query)
    unpriced = set[str]()
    return {
        "object": "list",
        "data": [{query.group_by: name, **_item(groups[name], prices, unpriced)} for name in sorted(groups)],
        "from": query.since,
        "to": query.until,
        "unpriced_models": sorted(unpriced),
        "last_id": last_id,
        "has_more": last_id is not None,
    }


async def _read(store: Store, owners: Sequence[str], query: UsageQuery) -> tuple[Mapping[str, "_Group"], str | None]:
    groups, last_id = defaultdict[str, _Group](_Group), None
    since, until = query.since, query.until
    page = PageQuery(
        limit=_MOST_ENTRIES, descending=False, after=query.after, created_after=since, created_before=until
    )
    partitions = [index_partition(owner) for owner in owners]
    found = entries(store, partitions, page, at_once=max(_FEW, _CHUNK // max(len(owners), 1)))
    number = 0
    try:
        async for record in found:
            if number == _MOST_ENTRIES:
                return groups, last_id
            number, last_id = number + 1, record.body["id"]
            _add(groups, record, query.group_by)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        return groups, None
    finally:
        await found.aclose()


def _add(groups: defaultdict[str, _Group], record: Record, group_by: GroupBy) -> None:
    entry = record.body
    by_model = entry["by_model"] or _of_whole_run(entry["usage"])
    if group_by == "model":
        for model, counts in by_model.items():
            groups[model].add({model: counts})
    else:
        groups[_name(record, group_by)].add(by_model)


def _name(record: Record, group_by: GroupBy) -> str:
    if group_by == "day":
        return time.strftime("%Y-%m-%d", time.gmtime(record.body["created_at"]))
    if group_by == "owner":
        return record.partition.partition("/")[0]
    return str(record.body["model"]).partition("/")[0]


def _of_whole_run(usage: Mapping[str, Any] | None) -> ByModel:
    # An earlier version's entry does not say which models were called.
    return {_UNKNOWN: usage} if usage and usage["model_calls"] else {}


def _item(group: _Group, prices: "PriceList", unpriced: set[str]) -> dict[str, Any]:
    sums = sum(group.by_model.values(), Counter[str]())
    costs = {model: _microdollars(prices, model, counts) for model, counts in group.by_model.items()}
    unpriced |= {model for model, cost in costs.items() if cost is None}
    known = [cost for cost in costs.values() if cost is not None]
    usd = None if len(known) < len(costs) else sum(known) / 10**6
    return {"runs": group.runs, **{name: sums[name] for name in _SHOWN}, "usd": usd}


def _microdollars(prices: "PriceList", model: str, counts: Counter[str]) -> int | None:
    tokens = {name: counts[name] for name in COUNTS_OF_MODEL if name != "model_calls"}
    if not any(tokens.values()):
        return 0  # calls that failed, of whatever model
    price = prices.price(model)
    if price is None:
        return None
    # `long` is about one call, and these are the sums of many.
    return replace(price, long=None).microdollars(**tokens)
