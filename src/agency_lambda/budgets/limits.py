"""What an owner may spend in a day and a month, and how many runs it may have at once."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from agency_lambda.settings import Settings

_MICRO = 1_000_000  # micro-dollars of a dollar


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one owner. None: no limit. usd: in micro-dollars."""

    usd_per_day: int | None = None
    usd_per_month: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    runs_at_once: int | None = None

    @property
    def bound_calls(self) -> bool:
        """Return whether a model call can reach any of them."""
        return any(limit is not None for name, limit in asdict(self).items() if name != "runs_at_once")

    def of(self, period: str) -> dict[str, int]:
        """Return the limits of a period, by unit. period: "day" or "month"."""
        limits = {unit: getattr(self, f"{unit}_per_{period}") for unit in ("usd", "tokens")}
        return {unit: limit for unit, limit in limits.items() if limit is not None}

    def as_body(self) -> dict[str, int]:
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    @classmethod
    def from_dollars(cls, limits: dict[str, Any]) -> "Limits":
        return cls(**{name: micro(limit) if name.startswith("usd") else limit for name, limit in limits.items()})

    def in_dollars(self) -> dict[str, float | int | None]:
        return {name: dollars(limit) if name.startswith("usd") else limit for name, limit in asdict(self).items()}


def default_limits(settings: Settings) -> Limits:
    return Limits.from_dollars({name: getattr(settings, f"budget_{name}") for name in Limits.__dataclass_fields__})


def micro(usd: float | None) -> int | None:
    """Return dollars as micro-dollars, rounded down."""
    return None if usd is None else int(Decimal(str(usd)) * _MICRO)


def dollars(microdollars: int | None) -> float | None:
    return None if microdollars is None else microdollars / _MICRO
