"""Deletes runs."""

from contextlib import suppress
from typing import TYPE_CHECKING

from agency_lambda.errors import NotFound
from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import delete_partition
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.runs.changes import advance
from agency_lambda.runs.child_runs import delete_child_runs
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import Lease, response_partition
from agency_lambda.runs.run_index import delete_entry
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import load_run, next_run_id
from agency_lambda.runs.transitions import RunEvent, find, lease_state
from agency_lambda.runs.waiting import withdrawals
from agency_lambda.store import Conflict, Store

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService


async def delete_response(runs: "RunService", owner: str, response_id: str) -> None:
    """Cancel a run and delete its response. The history keeps its turn."""
    responses = Responses(runs.store, owner)
    stored = await responses.get(response_id)
    if stored.response["status"] not in FINAL:
        await runs.cancel(owner, response_id)
        stored = await responses.get(response_id)  # it may have asked before it was cancelled
    if stored.continued_by:
        await _delete_continuation(runs, owner, stored.continued_by)
    await delete_child_runs(runs, owner, response_id, stored.root)
    if next_run_id := await delete_run(runs.store, owner, response_id):
        await runs.give_turn(owner, next_run_id)
    if stored.sending:
        await runs.wake_sender(owner, response_id, stored.sending)


async def _delete_continuation(runs: "RunService", owner: str, response_id: str) -> None:
    # It cannot go on without the journal of the response that is deleted.
    with suppress(NotFound):
        stored = await Responses(runs.store, owner).get(response_id)
        if stored.response["status"] not in FINAL:
            await delete_response(runs, owner, response_id)
        elif stored.continued_by:
            await _delete_continuation(runs, owner, stored.continued_by)


async def delete_conversation(runs: "RunService", owner: str, conversation_id: str) -> None:
    """Delete a conversation. A run of it that waits is cancelled, those behind it fail."""
    conversations = Conversations(runs.store, owner)
    conversation = await conversations.get(conversation_id)
    await conversations.delete(conversation_id)
    active = await runs.leases.find(conversation.active_run_id) if conversation.active_run_id else None
    if active and active.is_waiting:
        await runs.cancel(owner, active.id)
    for run_id in conversation.waiting_run_ids:
        await runs.give_turn(owner, run_id)


async def purge(store: Store, owner: str, run_id: str, lease: Lease | None) -> None:
    """Remove the records of a run: the lease last, so that an interrupted deletion is repeated."""
    # The response's own record is the last of its partition, and the entry goes with it.
    await delete_partition(store, response_partition(owner, run_id), *delete_entry(owner, run_id))
    if lease:
        await Leases(store).purged(lease)


async def delete_run(store: Store, owner: str, run_id: str) -> str | None:
    """Delete a run but not its turn. Returns the id of the run that gets its conversation's lock, if any."""
    while True:
        run = await load_run(store, owner, run_id, await Leases(store).find(run_id))
        if find(lease_state(run.lease), RunEvent.DELETE, run.lease).status == "purged":
            await purge(store, owner, run_id, run.lease)
            return None
        after, changes = advance(run, RunEvent.DELETE)
        changes += await withdrawals(store, run)
        try:
            await store.write(*changes)
        except Conflict:
            continue
        await purge(store, owner, run_id, after.lease)
        return next_run_id(run, after)


async def release_expired(store: Store, owner: str, conversation_id: str, run_id: str) -> bool:
    """Release a conversation's lock that a run holds whose records have expired. Returns False if the run exists.

    That happens only where nothing has swept for as long as records are kept.
    """
    if await Leases(store).find(run_id) or await store.get(response_partition(owner, run_id), "response"):
        return False
    conversation = await Conversations(store, owner).load_to_extend(conversation_id, create=True)
    if conversation.active_run_id == run_id:
        with suppress(Conflict):  # somebody else has, or it was appended to
            await store.write(conversation.release(run_id))
    return True
