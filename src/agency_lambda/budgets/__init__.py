"""Budgets: what an owner may spend, and how many runs it may have at once."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agency_lambda.budgets import accounts
from agency_lambda.budgets.accounts import CLOSED
from agency_lambda.budgets.limits import Limits, default_limits, dollars, micro
from agency_lambda.budgets.running import RUNNING, RunCount
from agency_lambda.settings import Settings
from agency_lambda.store import Add, Put, Store

if TYPE_CHECKING:
    from agency_lambda.budgets.spending import Spending

__all__ = ["Budgets", "Limits"]

_FRESH = 10.0  # seconds that a process uses the limits that it has read
_MOST_OWNERS = 10_000  # whose limits a process remembers
_ROW = "limits"
_RUN_KEPT = 30 * 24 * 3600  # seconds that the account of a run is kept


class Budgets:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings, self._default = store, settings, default_limits(settings)
        self._limits: dict[str, tuple[float, Limits]] = {}  # owner -> when they were read, and what they were
        if settings.prices:
            from agency_lambda.prices import load

            load(settings.prices)  # raises ConfigurationError

    async def limits(self, owner: str) -> Limits:
        read_at, limits = self._limits.get(owner, (0.0, self._default))
        if not 0 <= time.time() - read_at < _FRESH:
            limits = await self._read(owner) or self._default
            if len(self._limits) >= _MOST_OWNERS:
                self._limits.clear()
            self._limits[owner] = time.time(), limits
        return limits

    async def set_limits(self, owner: str, limits: Limits) -> None:
        """Store the limits, and open a budget that was closed."""
        await self._store.write(Put(accounts.spend_partition(owner), _ROW, limits.as_body()))
        self._limits.pop(owner, None)
        for sort, sums in (await self._sums(owner, time.time())).items():
            if closed := sums.get(CLOSED, 0):
                expires = accounts.month(owner, time.time(), {}).expires
                await self._store.write(Add(accounts.spend_partition(owner), sort, {CLOSED: -closed}, expires=expires))

    async def spending(
        self, owner: str, run_partition: str = "", max_usd: float | None = None, max_tokens: int | None = None
    ) -> "Spending | None":
        """Return None if nothing limits a run. max_usd, max_tokens: its own limits."""
        limits = await self.limits(owner)
        of_run = {"usd": micro(max_usd), "tokens": max_tokens}
        of_run_limits = {unit: limit for unit, limit in of_run.items() if limit is not None}
        if not of_run_limits and not limits.bound_calls:
            return None
        from agency_lambda.budgets.spending import Spending
        from agency_lambda.prices import load

        expires = int(time.time()) + _RUN_KEPT
        account = accounts.run(run_partition, expires, of_run_limits) if of_run_limits else None
        return Spending(self._store, owner, limits, load(self._settings.prices), account)

    async def run_count(self, owner: str) -> RunCount | None:
        most = (await self.limits(owner)).runs_at_once
        return None if most is None else RunCount(self._store, owner, most)

    async def describe(self, owner: str) -> dict[str, Any]:
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
        "closed": bool(sums.get(CLOSED)),
    }
