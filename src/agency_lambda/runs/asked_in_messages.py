"""Runs that wait for child runs, some of which wait for an approval."""

import asyncio
from itertools import batched

from agency_lambda.approvals.queries import asked_in_messages
from agency_lambda.protocol.response_object import ResponseObject, fit_output
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.message_rows import open_messages
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.waiting import shown_request
from agency_lambda.store import Store

_AT_ONCE = 16  # leases that are read at the same time


async def waits_for_person(store: Store, run_id: str | None) -> bool:
    """Return whether a run, or one that works on a message for it, waits for a person."""
    lease = await Leases(store).find(run_id) if run_id else None
    if lease is None or not lease.waits_for_child_runs:
        return lease is not None and lease.waits_for_person
    return bool(await asked_in_messages(store, lease.owner, lease.id))


async def needs_person(store: Store, owner: str, stored: StoredResponse) -> bool:
    """Return whether only a person's decision can unblock a run that waits for child runs."""
    root = stored.sending.shown_in if stored.sending else stored.response["id"]
    return bool(await asked_in_messages(store, owner, root)) and not await _goes_on(store, owner, stored.root)


async def _goes_on(store: Store, owner: str, journal: str) -> bool:
    leases, messages = Leases(store), await open_messages(store, owner, journal)
    for some in batched(messages, _AT_ONCE, strict=False):
        for lease in await asyncio.gather(*(leases.find(each.body["run"]) for each in some)):
            if lease is None or not lease.is_waiting:  # it has just ended, or is at work
                return True
            if lease.waits_for_child_runs and await _goes_on(store, owner, lease.id):
                return True
    return not messages  # the last answer queues the run


async def with_requests(store: Store, owner: str, stored: StoredResponse) -> ResponseObject:
    """Return a response; of one that waits for agents with what they ask persons as the last items."""
    response = stored.response
    if not stored.waits_for_child_runs or stored.sending:
        return response
    known = {item["id"] for item in response["output"]}
    asked = [each for each in await asked_in_messages(store, owner, response["id"]) if each.id not in known]
    return {**response, "output": fit_output(response, [*response["output"], *map(shown_request, asked)])}
