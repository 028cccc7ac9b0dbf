"""Who works on which unfinished run. A run that is not final has a lease; so none is forgotten.

One attempt at a time: whoever takes a lease writes over the version that was read, and says again and again that it
still works. A lease that nobody has renewed in time belongs to whoever finds it; so does one that ends later than any
can: the clock of whoever wrote it was wrong, and it would hold its run for as long.

They lie in 16 partitions, by the run's id, as one takes no more than 1,000 writes a second on DynamoDB.
"""

import asyncio
import time
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any

from agency_lambda.store import ABSENT, Change, Conflict, Delete, Put, Record, Store

TIME = 20.0  # seconds that a lease holds without being renewed
GRACE = 10.0  # seconds that the queue has to bring a run to somebody, before it is sent for again
LONGEST_PAUSE = 300.0  # seconds between two attempts at most
CLOCKS = 60.0  # seconds that the clocks of two processes may differ by
_PARTITIONS = [f"running#{number:02x}" for number in range(16)]
_OLD_PARTITION = "running"  # of version 0.1, whose runs may still be there; goes with the next release
_REMEMBERED = 14 * 24 * 3600  # seconds that SQS keeps a message at most


@dataclass(frozen=True)
class Lease:
    """Who works on a run.

    holder: which attempt works on it, "" for none, then anybody may take it.
    until: Unix seconds; if nobody has said anything by then, it is looked after.
    attempts: how often it was begun. lost: how many of them died without a word.
    cancelled: somebody wants it to end.
    dead: it was given up; only its message is still on its way to the dead letters.
    """

    id: str
    owner: str
    holder: str
    until: float
    attempts: int
    queued_at: float
    lost: int = 0
    cancelled: bool = False
    dead: bool = False
    version: str = ABSENT
    partition: str = ""

    def __post_init__(self) -> None:
        if not self.partition:
            object.__setattr__(self, "partition", _partition(self.id))

    def put(self, **changed: Any) -> Put:
        """The change that writes it over this version."""
        body = asdict(replace(self, **changed))
        del body["id"], body["version"], body["partition"]
        return Put(self.partition, self.id, body, expected=self.version)

    def end(self, *, dead: bool = False) -> Change:
        """The change by which the run is final."""
        if dead:
            return replace(self.put(dead=True), expires=int(time.time()) + _REMEMBERED)
        return Delete(self.partition, self.id, expected=self.version)

    def written(self, put: Put) -> "Lease":
        """As it is after that change."""
        return replace(self, **put.body, version=put.version)

    @property
    def overdue(self) -> bool:
        """Whether nobody seems to work on it, nor to be about to."""
        now, longest = time.time(), TIME if self.holder else LONGEST_PAUSE + GRACE
        return not self.dead and not now < self.until <= now + longest + CLOCKS


class Leases:
    """The leases of all owners: whoever works on runs, works on everybody's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, run: str) -> Lease | None:
        """The lease of a run; None: it is final, or never was."""
        for partition in (_partition(run), _OLD_PARTITION):
            if record := await self._store.get(partition, run):
                return _read(record)
        return None

    async def all(self) -> list[Lease]:
        """Of every unfinished run, oldest first."""
        found = await asyncio.gather(*(self._store.query(each) for each in (*_PARTITIONS, _OLD_PARTITION)))
        return sorted((_read(record) for records in found for record in records), key=lambda lease: lease.queued_at)

    async def take(self, run: str, holder: str) -> Lease | None:
        """Begin an attempt; None: another one works on it, or it is final."""
        while (lease := await self.find(run)) is not None:
            if lease.dead or (lease.holder and not lease.overdue):
                return None
            lost = lease.lost + bool(lease.holder)
            taken = lease.put(holder=holder, until=time.time() + TIME, attempts=lease.attempts + 1, lost=lost)
            try:
                await self._store.write(taken)
            except Conflict:
                continue
            return lease.written(taken)
        return None

    async def renew(self, lease: Lease, *changes: Change) -> Lease | None:
        """Say that the attempt goes on, and write something more with it; None: it is another's by now, or over."""
        found: Lease | None = lease
        while found is not None and found.holder == lease.holder:
            renewed = found.put(until=time.time() + TIME)
            try:
                await self._store.write(renewed, *changes)
            except Conflict:
                found = await self.find(lease.id)
                continue
            return found.written(renewed)
        return None

    async def requeued(self, lease: Lease) -> bool:
        """Whether it is ours to send for this run, which is overdue: once, not each time that somebody looks."""
        try:
            lost = lease.lost + bool(lease.holder)
            await self._store.write(lease.put(holder="", until=time.time() + GRACE, lost=lost))
        except Conflict:
            return False
        return True

    async def release(self, lease: Lease, *, after: float = 0.0, counts: bool = True) -> None:
        """The attempt ends, and the run goes on in another one, `after` seconds from now (LONGEST_PAUSE at most).

        counts: it was an attempt; not if it only had to stop.
        """
        if (found := await self.find(lease.id)) is not None and found.holder == lease.holder:
            attempts = found.attempts if counts else found.attempts - 1
            await self._change(
                found, holder="", until=time.time() + min(after, LONGEST_PAUSE) + GRACE, attempts=attempts
            )

    async def cancel(self, run: str) -> Lease | None:
        """Want it to end; None: it is final already."""
        lease = await self.find(run)
        return lease and await self._change(lease, cancelled=True)

    async def _change(self, lease: Lease, **changed: Any) -> Lease | None:
        found: Lease | None = lease
        while found is not None:
            put = found.put(**changed)
            try:
                await self._store.write(put)
            except Conflict:
                found = await self.find(lease.id)
                continue
            return found.written(put)
        return None


def _read(record: Record) -> Lease:
    return Lease(id=record.sort, version=record.version, partition=record.partition, **record.body)


def _partition(run: str) -> str:
    """By a checksum: ids need not be spread by any part of theirs."""
    return _PARTITIONS[zlib.crc32(run.encode()) % len(_PARTITIONS)]
