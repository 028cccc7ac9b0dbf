"""Usage of runs that have no AgencyExecution: cancelled ones, abandoned ones, and child runs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from agency_lambda.protocol.journal_keys import Row, stored_key, stored_range
from agency_lambda.runs.message_rows import all_messages, open_messages
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.usage import COUNTS_OF_MODEL, PaidCalls, counts_of_call, usage_of_counts
from agency_lambda.store import Record, Store


async def load_paid_calls(store: Store, owner: str, run_id: str) -> PaidCalls:
    """Return what all attempts of a run, and the child runs that have answered it, have paid for."""
    partition = response_partition(owner, run_id)
    records = await store.query(partition, **stored_range(Row.MODEL))
    return _with_answers(_sum(record.body for record in records), await all_messages(store, owner, run_id))


async def load_paid_by(
    store: Store, owner: str, journal: str, ended: Iterable[str], working: Iterable[str]
) -> PaidCalls:
    """Return what child runs have paid for so far. ended: rows of their messages. working: ids of other ones."""
    names = {stored_key(row) for row in ended}
    answered = [each for each in await all_messages(store, owner, journal) if each.sort in names] if names else []
    paid = _with_answers(_sum(()), answered)
    for run_id in working:
        paid = paid.plus(*await load_paid_calls(store, owner, run_id))
        inner = [each.body["run"] for each in await open_messages(store, owner, run_id)]
        paid = paid.plus(*await load_paid_by(store, owner, run_id, (), inner))
    return paid


def _with_answers(paid: PaidCalls, messages: Iterable[Record]) -> PaidCalls:
    for body in (record.body for record in messages if record.body.get("usage")):
        paid = paid.plus(body["usage"], body["by_model"])
    return paid


def _sum(rows: Iterable[Mapping[str, Any]]) -> PaidCalls:
    total, by_model = Counter[str](), defaultdict[str, Counter[str]](Counter)
    for row in rows:
        counts = counts_of_call(row["response"].get("usage") or {})
        total.update(counts)
        by_model[row.get("model", "")].update({name: counts[name] for name in COUNTS_OF_MODEL})
    return PaidCalls(usage_of_counts(total), {model: {**counts} for model, counts in by_model.items()})
