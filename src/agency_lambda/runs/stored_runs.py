"""Stored runs: their first write, and how they are read."""

import asyncio
import uuid

from agency_lambda.errors import StoreUnavailable
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import HistoryCursor
from agency_lambda.runs.changes import EventData, advance
from agency_lambda.runs.message_rows import find_open
from agency_lambda.runs.model import Lease, Run
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.time_left import limited_to_invocation
from agency_lambda.runs.transitions import RunEvent
from agency_lambda.store import Change, Conflict, NotWritten, Store

_CREATE_TIMEOUT = 10.0  # seconds for the first write of a run
_VOID_TIMEOUT = 3.0  # seconds for the write that voids a first write which failed


class OutcomeUncertain(Exception):
    """The store is away, and another attempt may go on."""


class LeaseLost(OutcomeUncertain):
    """Another attempt has the lease, or the run was deleted."""


async def load_run(store: Store, owner: str, run_id: str, lease: Lease | None) -> Run:
    """Read a run with its conversation. lease: as the caller has read or taken it. Raises NotFound."""
    stored = await Responses(store, owner).get(run_id)
    cursor, conversation = HistoryCursor.from_json(stored.request.start), None
    if conversation_id := stored.request.conversation_id:
        conversation = await Conversations(store, owner).load_to_extend(conversation_id, create=True)
        cursor = conversation.end
        if run_id not in (conversation.active_run_id, *conversation.waiting_run_ids):
            conversation = None  # it was deleted
    open_message = await find_open(store, owner, stored.sending) if stored.sending else None
    return Run(owner, stored, cursor, lease, conversation, open_message)


async def save_new(store: Store, run: Run, more: list[Change]) -> Run:
    """Store a new run with more changes.

    Raises:
        StoreUnavailable: it is not stored, and never will be.
        OutcomeUncertain: it may be stored.
    """
    is_queued = run.stored.response["background"]
    event, holder = (RunEvent.ENQUEUE, "") if is_queued else (RunEvent.CREATE, uuid.uuid4().hex)
    after, changes = advance(run, event, EventData(holder=holder))
    try:
        async with asyncio.timeout(limited_to_invocation(_CREATE_TIMEOUT)):
            await store.write(*changes, *more)
    except NotWritten:
        raise
    except (StoreUnavailable, TimeoutError) as failure:
        await _void(store, run, failure)
    return after


async def _void(store: Store, run: Run, failure: Exception) -> None:
    # The failed write may still arrive: it conflicts with a void response then.
    try:
        async with asyncio.timeout(limited_to_invocation(_VOID_TIMEOUT)):
            await store.write(Responses(store, run.owner).void(run.id))
    except Conflict:  # with our own response, which is there
        return
    except (StoreUnavailable, TimeoutError):
        raise OutcomeUncertain from failure
    raise StoreUnavailable("The store could not be written. Nothing has begun.") from failure


def next_run_id(before: Run, after: Run) -> str | None:
    """Return the run that a write has given the conversation's lock which this run had; None if there is none."""
    had_lock = before.conversation is not None and before.conversation.active_run_id == before.id
    return after.conversation.active_run_id if had_lock and after.conversation else None
