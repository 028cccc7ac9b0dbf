"""The tree of what a run's agents did, from its journal."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from agency_lambda.errors import NotFound
from agency_lambda.prices import load as load_prices
from agency_lambda.protocol import bounds
from agency_lambda.protocol.ids import created_microseconds
from agency_lambda.protocol.response_object import FINAL, ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.record import nodes
from agency_lambda.record.open_approvals import open_approvals
from agency_lambda.record.rows import JournalRows
from agency_lambda.record.tree import TraceOptions, Tree
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import StoredResponse, response_partition
from agency_lambda.runs.run_index import entry_key, index_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.settings import Settings
from agency_lambda.store import Store


def trace_options(settings: Settings, *, with_contents: bool = False) -> TraceOptions:
    prices = load_prices(settings.prices)

    def price(model: str, usage: Mapping[str, Any]) -> int | None:
        found, details = prices.price(model), usage.get("input_tokens_details") or {}
        counts = [*(usage.get(name) for name in ("input_tokens", "output_tokens"))]
        counts += [details.get(name) for name in ("cached_tokens", "cache_write_tokens")]
        return None if found is None else found.microdollars(*(count or 0 for count in counts))

    return TraceOptions(price=price, with_contents=with_contents)


async def load_trace(store: Store, owner: str, response_id: str, options: TraceOptions) -> dict[str, Any]:
    """Return the trace, of an unfinished run as far as it has come.

    Raises:
        NotFound: the owner has no such response.
    """
    responses = Responses(store, owner)
    stored = await responses.get(response_id)
    records = await store.query(response_partition(owner, stored.root), after="journal/", before="journal0")
    rows = JournalRows(records, _made_at(stored.continued_by, math.inf))
    for key, row in await open_approvals(store, owner, stored, rows):
        rows.add_approval(key, row)
    since = _made_at(response_id if stored.continues else None, 0.0)
    attempts = max(rows.attempts(since), await _counted_attempts(store, owner, stored.response))
    tree = partial(Tree, rows, stored.response, attempts=attempts, since=since)
    trace = _trace(tree(await _first_input(responses, stored), options=options), stored.response)
    if options.with_contents and bounds.size(trace) > bounds.ANSWER:
        trace = _trace(tree([], options=TraceOptions(price=options.price)), stored.response)
        trace["contents"] = "too_large"
    chain = {"continues": stored.continues and stored.continues.before[-1], "continued_by": stored.continued_by}
    return trace | {"attempts": attempts} | {name: value for name, value in chain.items() if value}


async def _first_input(responses: Responses, stored: StoredResponse) -> list[Item]:
    if stored.continues is None:
        return stored.request.input
    try:
        return (await responses.get(stored.root)).request.input
    except NotFound:  # it was deleted, and with it what the agents did
        return []


def _made_at(response_id: str | None, otherwise: float) -> float:
    """Return when a continuation began, in Unix seconds: what is older in its journal is of the responses before it."""
    made = response_id and created_microseconds(response_id)
    return made / 10**6 if made else otherwise


async def _counted_attempts(store: Store, owner: str, response: ResponseObject) -> int:
    # Rows tell of one that handed over, which is not counted, and not of one that found every answer in the journal.
    if response["status"] not in FINAL:
        lease = await Leases(store).find(response["id"])
        return lease.attempts if lease else 0
    key = entry_key(response["id"])
    entry = await store.get(index_partition(owner), key) if key else None
    has_replayed = (response["usage"] or {}).get("replayed_calls")
    return max(entry.body["attempts"] or 0 if entry else 0, 2 if has_replayed else 1)


def _trace(tree: Tree, response: ResponseObject) -> dict[str, Any]:
    root = tree.root()
    return {
        "object": "trace",
        "response_id": response["id"],
        "model": response["model"],
        "status": response["status"],
        "created_at": response["created_at"],
        "completed_at": response["completed_at"],
        "attempts": 0,
        "usage": response["usage"] or nodes.usage(root),
        "usd": tree.own_usd if tree.is_continuation else root["usd"],
        "root": root,
    }
