"""The counters of a budget: one record for each day and month (UTC), and one for a run with a limit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agency_lambda.store import Add

UNITS = ("usd", "tokens")
RUN_ACCOUNT = "spend"
CLOSED = "closed"  # how many calls have used more than was reserved for them
_ALARM_AT = 0.8
_KEPT = 40 * 24 * 3600  # seconds after its end that a period's record is kept


@dataclass(frozen=True)
class Account:
    """A counter record. `usd` and `tokens` include what is reserved.

    limits: by unit; usd in micro-dollars. opens_at: Unix seconds, when the period ends.
    """

    partition: str
    sort: str
    expires: int
    limits: Mapping[str, int] = field(default_factory=dict)
    period: str = ""
    opens_at: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.partition, self.sort

    def reserve(self, amounts: Mapping[str, int], *, until_alarm: bool = False) -> Add:
        """until_alarm: within the share of the limits that is alarmed."""
        alarmed = until_alarm and self.opens_at is not None
        at_most = {unit: int(limit * _ALARM_AT) if alarmed else limit for unit, limit in self.limits.items()}
        return self._add(amounts, amounts, {**at_most, CLOSED: 0})

    def settle(self, reserved: Mapping[str, int], used: Mapping[str, int]) -> Add:
        """Replace what was reserved by what was used, which closes the account if it is more."""
        difference = {unit: used[unit] - reserved[unit] for unit in reserved}
        overrun = any(amount > 0 for amount in difference.values())
        released = {unit: -amount for unit, amount in reserved.items()}
        return self._add(difference, released, {}, {CLOSED: 1} if overrun else {})

    def _add(
        self,
        amounts: Mapping[str, int],
        reserved: Mapping[str, int],
        at_most: Mapping[str, int],
        more: Mapping[str, int] = {},
    ) -> Add:
        sums = {**amounts, **{f"reserved/{unit}": amount for unit, amount in reserved.items()}, **more}
        return Add(self.partition, self.sort, sums, at_most, self.expires)

    def is_alarming(self, sums: Mapping[str, int]) -> bool:
        return any(sums.get(unit, 0) > limit * _ALARM_AT for unit, limit in self.limits.items())


def spend_partition(owner: str) -> str:
    return f"{owner}/spend"


def day(owner: str, now: float, limits: Mapping[str, int]) -> Account:
    start = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _period(owner, f"day/{start:%Y-%m-%d}", start + timedelta(days=1), limits)


def month(owner: str, now: float, limits: Mapping[str, int]) -> Account:
    start = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return _period(owner, f"month/{start:%Y-%m}", (start + timedelta(days=32)).replace(day=1), limits)


def _period(owner: str, sort: str, end: datetime, limits: Mapping[str, int]) -> Account:
    opens_at = end.timestamp()
    return Account(spend_partition(owner), sort, int(opens_at) + _KEPT, limits, sort.partition("/")[0], opens_at)


def run(partition: str, expires: int, limits: Mapping[str, int]) -> Account:
    return Account(partition, RUN_ACCOUNT, expires, limits, "run")
