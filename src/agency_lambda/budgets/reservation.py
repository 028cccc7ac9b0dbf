"""The worst case of a model call, counted in its budgets until what it has used is known."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agency_lambda import telemetry
from agency_lambda.budgets.accounts import UNITS, Account
from agency_lambda.store import Add, Store, StoreUnavailable

if TYPE_CHECKING:
    from agency_lambda.prices import Price

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reservation:
    """Amounts that are counted in accounts before a model call. price: None if only tokens count."""

    store: Store
    accounts: tuple[Account, ...]
    amounts: Mapping[str, int]
    price: "Price | None" = None

    def settle(self, usage: Any) -> list[Add]:
        """Return the changes to write with an answer."""
        used = self._used(usage)
        if any(used[unit] > self.amounts[unit] for unit in self.amounts):
            logger.error("a model call used %s, and %s was reserved: its budget is closed", used, dict(self.amounts))
            telemetry.log_budget("BudgetOverruns")
        return [account.settle(self.amounts, used) for account in self.accounts]

    async def write_settled(self, usage: Any) -> None:
        with suppress(StoreUnavailable):  # what was reserved counts as spent
            await self.store.write(*self.settle(usage))

    async def release(self) -> None:
        """Give back what is reserved for a call that nobody bills."""
        with suppress(StoreUnavailable):  # it counts until the end of the period
            await self.store.write(*self.released())

    def released(self) -> list[Add]:
        """Return the changes that give it back."""
        return released(self.as_body())

    def _used(self, usage: Any) -> dict[str, int]:
        if usage is None or not usage.total_tokens:  # the server reports none: it may have been all
            return dict(self.amounts)
        usd = self.price.of_usage(usage) if self.price else 0
        return {"usd": usd, "tokens": usage.input_tokens + usage.output_tokens}

    def as_body(self) -> dict[str, Any]:
        rows = [[account.partition, account.sort, account.expires] for account in self.accounts]
        return {"rows": rows, "amounts": dict(self.amounts)}

    @classmethod
    def from_body(cls, store: Store, body: Mapping[str, Any]) -> "Reservation":
        return cls(store, tuple(Account(*row) for row in body["rows"]), body["amounts"])


def released(body: Mapping[str, Any]) -> list[Add]:
    """Return the changes that give back a reservation. body: its `as_body`."""
    return [Account(*row).settle(body["amounts"], dict.fromkeys(UNITS, 0)) for row in body["rows"]]
