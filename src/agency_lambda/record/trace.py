"""The tree of what a run's agents did, from its journal."""

from collections.abc import Mapping
from typing import Any

from agency_lambda.errors import NotFound
from agency_lambda.prices import load as load_prices
from agency_lambda.protocol import bounds
from agency_lambda.record import nodes
from agency_lambda.record.run_record import RunRecord, load_record
from agency_lambda.record.tree import TraceOptions, Tree
from agency_lambda.runs.model import StoredResponse
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
    record = await load_record(store, owner, response_id)
    asked, contents = await _first_input(Responses(store, owner), record.stored), {}
    trace = _trace(record, asked, options)
    if options.with_contents and bounds.size(trace) > bounds.ANSWER:
        options, contents = TraceOptions(price=options.price), {"contents": "too_large"}
        trace = _trace(record, asked, options)
    if record.children and not options.with_contents and bounds.size(trace) > bounds.ANSWER:
        record.cut()
        trace = _trace(record, asked, options)
    return trace | contents | _links(record.stored) | ({"child_runs": "too_large"} if record.is_cut else {})


def _links(stored: StoredResponse) -> dict[str, str]:
    links = {"continues": stored.continues and stored.continues.before[-1], "continued_by": stored.continued_by}
    if stored.sending:
        links |= {"sent_by": stored.sending.run, "root_response_id": stored.sending.shown_in}
    return {name: value for name, value in links.items() if value}


async def _first_input(responses: Responses, stored: StoredResponse) -> Any:
    if stored.sending:
        return (nodes.message_arguments(stored.sending.message.arguments) or {}).get("message")
    if stored.continues is None:
        return stored.request.input
    try:
        return (await responses.get(stored.root)).request.input
    except NotFound:  # it was deleted, and with it what the agents did
        return []


def _trace(record: RunRecord, asked: Any, options: TraceOptions) -> dict[str, Any]:
    response, root = record.stored.response, Tree(record, asked, since=record.since, options=options).root()
    is_stale = record.rows.messages and not record.is_over  # what others have done since the run began to wait
    return {
        "object": "trace",
        "response_id": response["id"],
        "model": response["model"],
        "status": response["status"],
        "created_at": response["created_at"],
        "completed_at": response["completed_at"],
        "ended_at": _ended_at(record, root),
        "attempts": record.attempts,
        "waits_for": record.waits_for,
        "usage": nodes.usage(root) if is_stale else response["usage"] or nodes.usage(root),
        "usd": nodes.usd_since(root, record.since) if record.since else root["usd"],
        "root": root,
    }


def _ended_at(record: RunRecord, root: Mapping[str, Any]) -> float | None:
    """Return when the run was over, however it ended; if no entry says that, when the last thing in it was."""
    if not record.is_over or record.ended_at is not None:
        return record.ended_at
    times = (root["ended_at"], record.stored.response["completed_at"])
    return max((time for time in times if time is not None), default=None)
