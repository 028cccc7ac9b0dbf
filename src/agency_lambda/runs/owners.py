"""The owners who have stored runs."""

import asyncio
import time
from itertools import batched

from agency_lambda.history.turns import is_valid_id
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import RETENTION, response_partition
from agency_lambda.store import Put, Store

OWNERS = "owners"
_DAY = 24 * 3600
_RENEW = 3600.0  # seconds until a process writes an owner again
_REMEMBERED = 10_000  # owners
_AT_ONCE = 16  # owners that are asked at the same time


class Owners:
    def __init__(self, store: Store, approval_days: int = 30) -> None:
        """approval_days: that a run of an owner who has no others may wait."""
        self._store, self._lifetime = store, RETENTION + max(approval_days, 30) * _DAY
        self._written_at: dict[str, float] = {}

    def put_if_new(self, owner: str) -> list[Put]:
        """Return the change that makes an owner known; [] if it was written lately."""
        if not self._is_due(owner):
            return []
        return [Put(OWNERS, owner, {}, int(time.time()) + self._lifetime)]

    def mark_written(self, owner: str) -> None:
        if len(self._written_at) > _REMEMBERED:
            self._written_at.clear()
        if self._is_due(owner):
            self._written_at[owner] = time.time()

    def _is_due(self, owner: str) -> bool:
        return time.time() - self._written_at.get(owner, 0.0) > _RENEW

    async def known(self) -> list[str]:
        stored = {record.sort for record in await self._store.query(OWNERS)}
        # The store's file may have been replaced since.
        return sorted(stored.union(owner for owner in self._written_at if not self._is_due(owner)))

    async def find(self, response_id: str) -> str | None:
        if not is_valid_id(response_id):
            return None
        if (lease := await Leases(self._store).find(response_id)) is not None:
            return lease.owner
        for owners in batched(await self.known(), _AT_ONCE, strict=False):
            records = await asyncio.gather(
                *(self._store.get(response_partition(each, response_id), "response") for each in owners)
            )
            for owner, record in zip(owners, records, strict=True):
                if record and record.body:
                    return owner
        return None
