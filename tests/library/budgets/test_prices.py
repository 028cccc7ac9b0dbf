"""What calls cost."""

import json
import re
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import agency_swarm
import pytest

import agencies
from agency_lambda.prices import Price, load
from agency_lambda.settings import ConfigurationError

PRICES = load()
PER_MILLION = {"input": "input", "output": "output"}
PER_MILLION |= {"cached_input": "cache_read_input", "cache_write": "cache_creation_input"}


def test_a_cost_is_rounded_up_to_a_microdollar() -> None:
    price = Price(input=Decimal(2), cached_input=Decimal("0.2"), cache_write=Decimal("2.5"), output=Decimal("0.3"))
    assert price.microdollars(1, 0) == 2
    assert price.microdollars(0, 1) == 1
    assert price.microdollars(10, 4, 5, 2) == 14  # 3 * 2 + 5 * 0.2 + 2 * 2.5 + 4 * 0.3 = 13.2
    assert price.most(10, 4) == 27  # 10 * 2.5 + 4 * 0.3 = 26.2
    assert Price(input=Decimal(2), output=Decimal(3)).microdollars(10, 0, 5, 2) == 20


def test_a_long_input_costs_more() -> None:
    price = Price(input=Decimal(1), output=Decimal(4), long=100)
    assert price.microdollars(100, 10) == 140
    assert price.microdollars(101, 10) == 202 + 60
    assert price.most(101, 10) == 262


@pytest.mark.parametrize(
    ("model", "known_as"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("anthropic/claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("openai/gpt-4o-latest", "gpt-4o"),
        ("gpt-5-ultra", None),
        ("gpt-5-2025", None),
        ("gpt", None),
        ("", None),
    ],
)
def test_a_model_is_known_by_its_name_with_or_without_a_date(model: str, known_as: str | None) -> None:
    assert PRICES.price(model) == (PRICES.models[known_as] if known_as else None)


def test_an_answers_usage_has_a_price() -> None:
    details = SimpleNamespace(cached_tokens=1000)
    usage = SimpleNamespace(input_tokens=3000, output_tokens=100, input_tokens_details=details)
    price = PRICES.price("gpt-5")
    assert price
    assert price.of_usage(usage) == 2000 * 1.25 + 1000 * 0.125 + 1000
    assert PRICES.price("mystery") is None


def test_prices_are_those_that_the_framework_was_released_with() -> None:
    table = json.loads((Path(agency_swarm.__file__).parent / "data/model_prices_and_context_window.json").read_text())
    for name, price in PRICES.models.items():
        if name == "offline":
            continue
        listed = table.get(name) or table[f"gemini/{name}"]
        for ours, theirs in PER_MILLION.items():
            expected = listed.get(f"{theirs}_token_cost" if "cache" in theirs else f"{theirs}_cost_per_token")
            assert getattr(price, ours) == (expected and round(Decimal(expected * 1_000_000), 6)), (name, ours)
        above = [re.fullmatch(r"output_cost_per_token_above_(\d+)k_tokens", each) for each in listed]
        assert [int(match[1]) * 1000 for match in above if match] == ([price.long] if price.long else []), name


def test_a_file_beside_the_agencies_replaces_and_adds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(agencies.__spec__, "origin", str(tmp_path / "agencies.py"))
    (tmp_path / "own.toml").write_text(
        "date = 2027-01-01\n[models]\nmine = { input = 1, output = 2.5 }\n'gpt-5' = { input = 9, output = 9 }\n"
        "[reservations]\nweb_search = { usd = 0.1 }\n"
    )
    own = load("own.toml")
    assert own.date == "2027-01-01"
    assert own.models["mine"] == Price(input=Decimal(1), output=Decimal("2.5"))
    assert own.models["gpt-5"].cached_input is None
    assert own.models["o3"] == PRICES.models["o3"]
    assert own.reservations.keys() == {"image", "web_search"}


WRONG = [None, "no toml", "[models]\nx = { input = 1 }", "[models]\nx = 1"]
WRONG += ["[models]\nx = { input = -1, output = 1 }"]


@pytest.mark.parametrize("text", WRONG)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "own.toml"
    if text:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"PRICES .*own\.toml"):
        load(str(path))
