"""What one run may spend. Each model call's worst case is reserved before it is made."""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agency_lambda import telemetry
from agency_lambda.budgets import accounts
from agency_lambda.budgets.accounts import CLOSED, Account
from agency_lambda.budgets.limits import Limits
from agency_lambda.budgets.reservation import Reservation
from agency_lambda.errors import BudgetExceeded, UnboundedCost
from agency_lambda.store import ABSENT, Add, Conflict, LimitReached, Put, Store, StoreUnavailable

if TYPE_CHECKING:
    from agency_lambda.prices import PriceList

logger = logging.getLogger(__name__)
_SOON = 30.0  # seconds after which to try again, where reserved amounts are in the way


class Advance:
    """What was reserved with a run for its first call: `advance`, until that call takes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.advance: Reservation | None = None

    async def release_advance(self) -> None:
        """Give back what the first call has not taken."""
        advance, self.advance = self.advance, None
        if advance:
            await self._store.write(*advance.released())


class Spending(Advance):
    """Reserves what each model call of a run may cost. run_account: of a run with limits of its own."""

    def __init__(
        self,
        store: Store,
        owner: str,
        limits: Callable[[str], Awaitable[Limits]],
        prices: Callable[[], "PriceList"],
        run_account: Account | None = None,
    ) -> None:
        super().__init__(store)
        self._owner, self._read_limits, self._prices, self._run_account = owner, limits, prices, run_account
        self._limits: Limits | None = None  # as last read
        self._alarmed: set[tuple[str, str]] = set()  # accounts that pass the share that is alarmed

    @property
    def is_limited(self) -> bool:
        """Return whether anything limits a call, by the limits of the last `update`."""
        return self._run_account is not None or bool(self._limits and self._limits.bound_calls)

    async def update(self) -> bool:
        """Read the owner's limits, which may change while a run goes on. Return `is_limited`."""
        try:
            limits = await self._read_limits(self._owner)
        except StoreUnavailable:
            if self._limits is None:
                raise
            return self.is_limited  # those of before hold
        if limits != self._limits:
            self._limits, self._alarmed = limits, set()
        return self.is_limited

    @property
    def output_tokens(self) -> int:
        return self._prices().output_tokens

    def worst(self, model: str, input_tokens: int, output_tokens: int, unbounded: Iterable[str] = ()) -> Reservation:
        """Return what a call costs at most, without reserving it.

        unbounded: what has no bound in the call, such as "image" or "web_search".

        Raises:
            UnboundedCost: nothing says what it may cost.
        """
        usd = 0
        for kind in unbounded:
            if (reservation := self._prices().reservations.get(kind)) is None:
                raise UnboundedCost(f"This owner has a budget, and nothing bounds what {kind!r} may cost.")
            input_tokens += reservation.tokens
            usd += math.ceil(reservation.usd * 1_000_000)
        found = tuple(self._accounts())
        price = self._prices().price(model)
        if price is None and any("usd" in account.limits for account in found):
            raise UnboundedCost(f"This owner has a budget in USD, and the model {model!r} has no price.")
        usd += price.most(input_tokens, output_tokens) if price else 0
        return Reservation(self._store, found, {"usd": usd, "tokens": input_tokens + output_tokens}, price)

    async def reserve(self, worst: Reservation) -> Reservation:
        """Reserve by one write. Raises BudgetExceeded."""
        advance = self.advance
        if advance and all(worst.amounts[unit] <= amount for unit, amount in advance.amounts.items()):
            self.advance = None
            return Reservation(self._store, advance.accounts, advance.amounts, worst.price)
        if advance:
            await self.release_advance()
        while True:
            try:
                await self._store.write(*self.changes(worst))
            except LimitReached as reached:
                await self.on_limit(reached, worst)
                continue
            await self.alarm()
            return worst

    def changes(self, worst: Reservation) -> list[Add]:
        """Return the changes that reserve an amount. They fail with LimitReached: see `on_limit`."""
        return [
            account.reserve(worst.amounts, until_alarm=account.key not in self._alarmed) for account in worst.accounts
        ]

    async def on_limit(self, reached: LimitReached, worst: Reservation) -> None:
        """Return if the write may be repeated, as it only passed the alarm's share. Raises BudgetExceeded."""
        account = next(each for each in worst.accounts if each.key == (reached.add.partition, reached.add.sort))
        if account.key not in self._alarmed and account.opens_at is not None and reached.name != CLOSED:
            self._alarmed.add(account.key)
            return
        record = await self._store.get(*account.key)
        sums: Mapping[str, int] = record.body if record else {}
        if account.opens_at is not None and account.is_alarming(sums):
            await _alarm(self._store, self._owner, account)
        raise _refusal(account, reached.name, sums, worst.amounts)

    async def alarm(self) -> None:
        """Raise due alarms, once in each period."""
        for account in self._accounts():
            if account.key in self._alarmed and account.opens_at is not None:
                await _alarm(self._store, self._owner, account)

    def _accounts(self) -> Sequence[Account]:
        now, found = time.time(), list[Account]()
        if self._limits and self._limits.bound_calls:
            found += [accounts.day(self._owner, now, self._limits.of("day"))]
            found += [accounts.month(self._owner, now, self._limits.of("month"))]
        return [*found, self._run_account] if self._run_account else found


async def _alarm(store: Store, owner: str, account: Account) -> None:
    mark = Put(account.partition, f"alarm/{account.sort}", None, account.expires, expected=ABSENT)
    try:
        await store.write(mark)
    except Conflict:  # it was raised before
        return
    logger.warning("the budget of %s for %s is used by more than four fifths", owner, account.sort)
    telemetry.log_budget("BudgetAlarms", budget=account.sort)


def _refusal(account: Account, name: str, sums: Mapping[str, int], amounts: Mapping[str, int]) -> BudgetExceeded:
    if account.opens_at is None:
        return BudgetExceeded("The next model call may cost more than is left of the budget of this run.")
    opens = datetime.fromtimestamp(account.opens_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    spent = sums.get(name, 0) - sums.get(f"reserved/{name}", 0)
    waits = name != CLOSED and spent + amounts[name] <= account.limits.get(name, 0)
    if name == CLOSED:
        text = f"The budget of this {account.period} is closed, as a call has used more than was reserved. It opens at"
    elif waits:
        text = (
            f"What is left of the budget of this {account.period} is reserved by other calls. It opens at the latest at"
        )
    else:
        text = f"The next model call may cost more than is left of the budget of this {account.period}. It opens at"
    refusal = BudgetExceeded(f"{text} {opens}.")
    refusal.retry_after = _SOON if waits else max(account.opens_at - time.time(), 1.0)
    return refusal
