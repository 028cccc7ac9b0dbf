"""Deletes runs."""

from contextlib import suppress

from agency_lambda.history.conversations import Conversations
from agency_lambda.history.turns import delete_partition
from agency_lambda.runs.changes import advance
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import Lease, response_partition
from agency_lambda.runs.run_index import delete_entry
from agency_lambda.runs.stored_runs import load_run, next_run_id
from agency_lambda.runs.transitions import RunEvent, find, lease_state
from agency_lambda.runs.waiting import withdrawals
from agency_lambda.store import Conflict, Store


async def purge(store: Store, owner: str, run_id: str, lease: Lease | None) -> None:
    # The response's own record is the last one, and the entry goes with it.
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
    """Pass on the lock of a run whose records have expired, as nothing has swept for months; False if it is there."""
    if await Leases(store).find(run_id) or await store.get(response_partition(owner, run_id), "response"):
        return False
    conversation = await Conversations(store, owner).load_to_extend(conversation_id, create=True)
    if conversation.active_run_id == run_id:
        with suppress(Conflict):  # somebody else has, or it was appended to
            await store.write(conversation.release(run_id))
    return True
