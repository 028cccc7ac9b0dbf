"""The owners who have stored runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
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
    """Knows the owners who have stored runs, for lists and sweeps over all of them."""

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
        """Return the owner of a response. It asks all owners if the run has ended."""
        if not is_valid_id(response_id):
            return None
        if (lease := await Leases(self._store).find(response_id)) is not None:
            return lease.owner

        async def owner_if_stored(owner: str) -> str | None:
            record = await self._store.get(response_partition(owner, response_id), "response")
            return owner if record and record.body else None

        return await self.search(owner_if_stored)

    async def search[T](self, look: Callable[[str], Awaitable[T | None]]) -> T | None:
        """Return what is found first, at any owner."""
        for owners in batched(await self.known(), _AT_ONCE, strict=False):
            for found in await asyncio.gather(*map(look, owners)):
                if found is not None:
                    return found
        return None
