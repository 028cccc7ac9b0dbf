"""What a cancelled or abandoned run, which has no agents, has paid for."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from agency_lambda.runs.model import response_partition
from agency_lambda.runs.run_index import COUNTS_OF_MODEL
from agency_lambda.runs.run_metrics import usage_of_counts
from agency_lambda.runs.waiting import add_counts
from agency_lambda.store import Store

_TOKENS = ("input_tokens", "output_tokens", "total_tokens")
_DETAILS = {
    "input_tokens_details": ("cached_tokens", "cache_write_tokens"),
    "output_tokens_details": ("reasoning_tokens",),
}


class PaidCalls(NamedTuple):
    usage: dict[str, Any]
    by_model: dict[str, dict[str, int]]


async def load_paid_calls(store: Store, owner: str, run_id: str) -> PaidCalls:
    partition = response_partition(owner, run_id)
    records = await store.query(partition, after="journal/model/", before="journal/model0")
    messages = await store.query(partition, after="journal/message/", before="journal/message0")
    paid = _sum(record.body for record in records)
    for body in (record.body for record in messages if record.body.get("usage")):
        paid = PaidCalls(add_counts(paid.usage, body["usage"], 1), add_counts(paid.by_model, body["by_model"], 1))
    return paid


def _sum(rows: Iterable[Mapping[str, Any]]) -> PaidCalls:
    total, by_model = Counter[str](), defaultdict[str, Counter[str]](Counter)
    for row in rows:
        counts = _counts(row["response"].get("usage") or {})
        total.update(counts)
        by_model[row.get("model", "")].update({name: counts[name] for name in COUNTS_OF_MODEL})
    return PaidCalls(usage_of_counts(total), {model: {**counts} for model, counts in by_model.items()})


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:
    counts = {"model_calls": 1, **{name: usage.get(name) or 0 for name in _TOKENS}}
    for details, names in _DETAILS.items():
        counts |= {name: (usage.get(details) or {}).get(name) or 0 for name in names}
    return counts
