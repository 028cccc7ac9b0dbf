"""The leases of all unfinished runs."""

import asyncio
import time

from agency_lambda.runs.lease_changes import change_lease
from agency_lambda.runs.model import DUE_PARTITION, LEASE_PARTITIONS, WAITING_PARTITIONS, Lease, lease_partition
from agency_lambda.runs.transitions import NotAllowed, RunEvent, State, find, lease_state
from agency_lambda.store import Conflict, Put, Store

_OLD_PARTITION = "running"  # of version 0.1, whose runs may still be there; goes with the next release


class Leases:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, run_id: str) -> Lease | None:
        running, waiting = lease_partition(run_id), lease_partition(run_id, waiting=True)
        for partition in (running, waiting, running, _OLD_PARTITION):  # it may be woken between the first two reads
            if record := await self._store.get(partition, run_id):
                return Lease.from_record(record)
        return None

    async def all(self) -> list[Lease]:
        """Return those of runs that do not wait."""
        return await self._in(*LEASE_PARTITIONS, _OLD_PARTITION)

    async def waiting(self) -> list[Lease]:
        """Return those of runs that wait: for persons, child runs or their conversation."""
        return await self._in(*WAITING_PARTITIONS)

    async def _in(self, *partitions: str) -> list[Lease]:
        found = await asyncio.gather(*(self._store.query(each) for each in partitions))
        leases = [Lease.from_record(record) for records in found for record in records]
        return sorted(leases, key=lambda lease: lease.queued_at)

    async def take(self, run_id: str, holder: str) -> Lease | None:
        """Begin an attempt. Returns None if another one works on the run."""
        return await self._apply(RunEvent.TAKE, await self.find(run_id), holder=holder)

    async def requeued(self, lease: Lease) -> bool:
        """Free an expired lease. Returns False if another process did."""
        return await self._apply(RunEvent.REQUEUE, lease) is not None

    async def cancel(self, run_id: str) -> Lease | None:
        """Mark that a run is to end. Returns None if it is final."""
        return await self._apply(RunEvent.CANCEL, await self.find(run_id))

    async def wake(self, run_id: str) -> Lease | None:
        """Free a waiting run, or tell its attempt that something was decided. Returns None if it is final."""
        return await self._apply(RunEvent.WAKE, await self.find(run_id))

    async def give_turn(self, run_id: str) -> None:
        """Free a run that waits for its turn or for agents, or keep it from waiting; do nothing to one that is free."""
        lease = await self.find(run_id)
        if lease and (lease.is_waiting or lease.holder):
            await self._apply(RunEvent.WAKE, lease)

    async def due(self) -> list[str]:
        """Return the ids of runs whose waiting has ended, as far as they are still there."""
        records = await self._store.query(DUE_PARTITION, before=f"{int(time.time()) + 1:012d}")
        return [record.sort.partition("/")[2] for record in records]

    async def purged(self, lease: Lease) -> None:
        """Remove the lease of a deleted run, unless somebody else has."""
        row = find(State.DELETED, RunEvent.PURGE, lease)
        try:
            await self._store.write(*change_lease(lease, row.lease))
        except Conflict:
            return

    async def _apply(self, event: RunEvent, lease: Lease | None, holder: str = "") -> Lease | None:
        while lease is not None:
            try:
                changes = change_lease(lease, find(lease_state(lease), event, lease).lease, holder=holder)
                await self._store.write(*changes)
            except NotAllowed:
                return None
            except Conflict:
                lease = await self.find(lease.id)
                continue
            return lease.written(changes[0]) if isinstance(changes[0], Put) else None
        return None
