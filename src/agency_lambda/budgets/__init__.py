"""Budgets: what an owner may spend, and how many runs it may have at once."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agency_lambda.budgets import accounts
from agency_lambda.budgets.accounts import CLOSED
from agency_lambda.budgets.limits import Limits, default_limits, dollars, micro
from agency_lambda.budgets.running import RUNNING, RunCount, forget_unstored
from agency_lambda.owner_cache import OwnerCache
from agency_lambda.settings import Settings
from agency_lambda.store import ABSENT, Add, Conflict, Delete, Put, Store

if TYPE_CHECKING:
    from agency_lambda.budgets.spending import Spending
    from agency_lambda.prices import PriceList

__all__ = ["Budgets", "Limits"]

_ROW = "limits"
_RUN_KEPT = 30 * 24 * 3600  # seconds that the account of a run is kept


class Budgets:
    """The limits of owners, and what they have spent."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings, self._default = store, settings, default_limits(settings)
        self._limits = OwnerCache[Limits]()
        if settings.prices:
            self.prices()  # raises ConfigurationError

    def prices(self) -> "PriceList":
        from agency_lambda.prices import load

        return load(self._settings.prices)

    async def limits(self, owner: str) -> Limits:
        """Return an owner's own limits or the settings' default; at most some seconds old."""
        return self._limits.fresh(owner) or self._limits.keep(owner, await self._read(owner) or self._default)

    async def set_limits(self, owner: str, limits: Limits) -> None:
        """Store the limits, open a budget that was closed, and count unstored runs that have begun no longer."""
        partition = accounts.spend_partition(owner)
        while True:
            before = await self._store.get(partition, _ROW)
            put = Put(partition, _ROW, limits.as_body(), expected=before.version if before else ABSENT)
            try:
                await self._store.write(put, *await self._opened(owner))
                break
            except Conflict:  # another request has set them, and opened it
                continue
        self._limits.forget(owner)
        await forget_unstored(self._store, owner)

    async def _opened(self, owner: str) -> list[Add]:
        now, partition = time.time(), accounts.spend_partition(owner)
        closed = {sort: sums.get(CLOSED, 0) for sort, sums in (await self._sums(owner, now)).items()}
        expires = accounts.month(owner, now, {}).expires
        return [Add(partition, sort, {CLOSED: -times}, expires=expires) for sort, times in closed.items() if times]

    async def reset_limits(self, owner: str) -> None:
        """Put the settings' default back."""
        await self._store.write(Delete(accounts.spend_partition(owner), _ROW))
        self._limits.forget(owner)

    async def spending(
        self, owner: str, run_partition: str = "", max_usd: float | None = None, max_tokens: int | None = None
    ) -> "Spending":
        """Return what reserves the calls of a run. max_usd, max_tokens: the run's own limits.

        run_partition: where the run's account is, if it has limits of its own.
        """
        of_run = {"usd": micro(max_usd), "tokens": max_tokens}
        of_run_limits = {unit: limit for unit, limit in of_run.items() if limit is not None}
        from agency_lambda.budgets.spending import Spending

        expires = int(time.time()) + _RUN_KEPT
        account = accounts.run(run_partition, expires, of_run_limits) if of_run_limits else None
        spending = Spending(self._store, owner, self.limits, self.prices, account)
        await spending.update()
        return spending

    async def run_count(self, owner: str) -> RunCount | None:
        """Return the count of an owner's runs; None if they are not limited."""
        most = (await self.limits(owner)).runs_at_once
        return None if most is None else RunCount(self._store, owner, most)

    async def describe(self, owner: str) -> dict[str, Any]:
        """Return an owner's limits and what is spent, in dollars."""
        own, now = await self._read(owner), time.time()
        limits, sums = own or self._default, await self._sums(owner, now)
        day, month = (each(owner, now, {}).sort for each in (accounts.day, accounts.month))
        return {
            "object": "budget",
            "owner": owner,
            "is_default": own is None,
            "limits": limits.in_dollars(),
            "day": _spent(sums.get(day, {})),
            "month": _spent(sums.get(month, {})),
            "runs": sums.get(RUNNING, {}).get("runs", 0),
        }

    async def _read(self, owner: str) -> Limits | None:
        record = await self._store.get(accounts.spend_partition(owner), _ROW)
        return Limits(**record.body) if record else None

    async def _sums(self, owner: str, now: float) -> dict[str, Mapping[str, int]]:
        sorts = [each(owner, now, {}).sort for each in (accounts.day, accounts.month)]
        found = [await self._store.get(accounts.spend_partition(owner), sort) for sort in (*sorts, RUNNING)]
        return {record.sort: record.body for record in found if record}


def _spent(sums: Mapping[str, int]) -> dict[str, Any]:
    reserved = {unit: sums.get(f"reserved/{unit}", 0) for unit in accounts.UNITS}
    spent = {unit: sums.get(unit, 0) - reserved[unit] for unit in accounts.UNITS}
    return {
        "spent": {"usd": dollars(spent["usd"]), "tokens": spent["tokens"]},
        "reserved": {"usd": dollars(reserved["usd"]), "tokens": reserved["tokens"]},
        "closed": sums.get(CLOSED, 0) > 0,
    }
