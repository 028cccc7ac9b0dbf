"""The structure of a body is counted in its bytes, exactly, before it is parsed."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.errors import InvalidJSON, InvalidRequest
from agency_lambda.protocol import bounds
from agency_lambda.protocol.items import parse_items
from tests.library.bounds.bodies import packed

TRICKY = st.text(alphabet='"\\,[{]}: aé∀😀\n', max_size=12)  # ∀ has the byte of a quote in UTF-16
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TRICKY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY, inner, max_size=4),
    max_leaves=20,
)


def values(given: Any) -> int:
    """Commas and opening brackets outside of texts."""
    if not isinstance(given, list | dict):
        return 0
    inner = given.values() if isinstance(given, dict) else given
    return 1 + max(len(given) - 1, 0) + sum(map(values, inner))


def levels(given: Any) -> int:
    if not isinstance(given, list | dict):
        return 0
    return 1 + max(map(levels, given.values() if isinstance(given, dict) else given), default=0)


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_a_body_is_refused_exactly_when_it_is_over_a_bound(value: Any, escaped: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()
    count, depth = values(value), levels(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "DEPTH", max(depth, 1))
        patch.setattr(bounds, "VALUES", count)
        bounds.check_structure(text)
        patch.setattr(bounds, "DEPTH", depth - 1)
        if depth > 1:
            with pytest.raises(InvalidRequest, match="levels"):
                bounds.check_structure(text)
        patch.setattr(bounds, "VALUES", count - 1)
        if count > depth > 1:
            with pytest.raises(InvalidRequest, match="values"):
                bounds.check_structure(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_cannot_hide_structure(encoding: str) -> None:
    """`json.loads` reads them all, and in them other bytes mean what quotes and brackets mean in UTF-8."""
    hidden = json.dumps(["∀", [[]] * 100_000], ensure_ascii=False)
    with pytest.raises(InvalidJSON):
        bounds.check_structure(hidden.encode(encoding))


def test_a_text_may_have_as_many_brackets_as_it_likes() -> None:
    text = json.dumps({"input": '[{,"\\' * 500_000}).encode()
    bounds.check_structure(text)


def test_a_text_within_a_body_may_hold_any_character() -> None:
    bounds.check_structure(b'{"a": "\0"}', "input[0].arguments")  # no JSON, but that is for others to say


def seconds(text: bytes, param: str | None = None) -> float:
    """Seconds of CPU of the best of some times; a text that is refused costs as much as is read of it."""
    took = []
    for _ in range(3):
        began = time.process_time()
        with suppress(InvalidRequest):
            bounds.check_structure(text, param)
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.parametrize("param", [None, "input[0].arguments"])
@pytest.mark.parametrize("unit", ["]", "}", "],", "[]", "[]]", "9", "9" * bounds.DIGITS + " "])
def test_no_byte_costs_much_more_than_one_of_a_text(unit: str, param: str | None) -> None:
    most = 2_000_000
    brackets = b"[" + b"0," * bounds.DEPTH + b"0]"
    text = brackets + (unit * (most // len(unit))).encode()
    plain = brackets + b" " * most
    assert seconds(text, param) < 6 * seconds(plain, param) + 0.01


@pytest.mark.parametrize("start", ["", "-", "0.", "1e"])
@pytest.mark.parametrize("digits", [bounds.DIGITS, bounds.DIGITS + 1])
def test_a_long_number_is_refused_and_a_long_text_is_not(start: str, digits: int) -> None:
    number = start + "7" * digits
    others = "0," * bounds.DEPTH
    bounds.check_structure(json.dumps([number, "\\", *[0] * bounds.DEPTH, number]).encode())
    text = f'["{number}",{others}{number}]'.encode()
    if digits <= bounds.DIGITS:
        bounds.check_structure(text)
    else:
        with pytest.raises(InvalidRequest, match="300 digits"):
            bounds.check_structure(text, "input[0].arguments")


@pytest.mark.parametrize("summary", [None, 1, ["s"], {"s": "s"}])
def test_a_summary_is_a_text(summary: Any) -> None:
    with pytest.raises(InvalidRequest, match="compaction"):
        parse_items([packed([], summary)])
