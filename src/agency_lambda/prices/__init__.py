"""Prices of models, from prices.toml and a file of the adopter's. Sums are whole micro-dollars."""

import importlib.util
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from agency_lambda.settings import ConfigurationError

_OURS = Path(__file__).with_name("prices.toml")
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_LONG_INPUT, _LONG_OUTPUT = Decimal(2), Decimal("1.5")


@dataclass(frozen=True, kw_only=True)
class Price:
    """USD per million tokens. long: input tokens above which a call costs more."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    long: int | None = None

    def microdollars(
        self, input_tokens: int, output_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0
    ) -> int:
        """cached_tokens, cache_write_tokens: included in input_tokens."""
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        plain = max(input_tokens - cached_tokens - cache_write_tokens, 0)
        read = plain * self.input + cached_tokens * cached + cache_write_tokens * write
        return self._sum(input_tokens, read, output_tokens * self.output)

    def of_usage(self, usage: Any) -> int:
        """Return the micro-dollars of a call by the usage of its answer."""
        cached, written = (
            getattr(usage.input_tokens_details, name, None) or 0 for name in ("cached_tokens", "cache_write_tokens")
        )
        return self.microdollars(usage.input_tokens, usage.output_tokens, cached, written)

    def most(self, input_tokens: int, output_tokens: int) -> int:
        dearest = max(self.input, self.cached_input or self.input, self.cache_write or self.input)
        return self._sum(input_tokens, input_tokens * dearest, output_tokens * self.output)

    def _sum(self, input_tokens: int, read: Decimal, written: Decimal) -> int:
        if self.long is not None and input_tokens > self.long:
            read, written = read * _LONG_INPUT, written * _LONG_OUTPUT
        return math.ceil(read + written)


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """The assumed worst case of something without a bound. usd: beside its input tokens."""

    tokens: int = 0
    usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class PriceList:
    date: str
    output_tokens: int  # the limit of a call whose agent names none, for an owner with a budget
    models: dict[str, Price] = field(repr=False)
    reservations: dict[str, Reservation]

    def price(self, model: str) -> Price | None:
        """Ignore a vendor's prefix and a date in the name."""
        names = [model, model.rpartition("/")[2]]
        found = (self.models.get(each) for name in names for each in (name, _DATE.sub("", name)))
        return next((price for price in found if price), None)


@cache
def load(path: str | None = None) -> PriceList:
    """path: relative to agencies.py. Raises ConfigurationError for an invalid file."""
    tables = _read(_OURS)
    if path:
        own = _read(_beside_agencies(path))
        kinds = {name: tables[name] | own.pop(name, {}) for name in ("models", "reservations")}
        tables |= own | kinds
    try:
        return PriceList(
            str(tables["date"]),
            int(tables["output_tokens"]),
            {name: Price(**_decimals(prices)) for name, prices in tables["models"].items()},
            {name: Reservation(**_decimals(each)) for name, each in tables["reservations"].items()},
        )
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ConfigurationError(f"PRICES {path}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # only where prices are needed

    try:
        with path.open("rb") as file:
            return tomllib.load(file, parse_float=Decimal)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"PRICES {path}: {error}") from error


def _beside_agencies(path: str) -> Path:
    spec = importlib.util.find_spec("agencies")
    return Path(spec.origin).parent / path if spec and spec.origin else Path(path)


def _decimals(table: dict[str, Any]) -> dict[str, Any]:
    prices = {name: Decimal(value) for name, value in table.items() if name not in ("long", "tokens")}
    if any(price < 0 or not price.is_finite() for price in prices.values()):
        raise ValueError(f"{table} has a price below zero")
    return table | prices
