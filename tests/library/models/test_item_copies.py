"""The Agents SDK's copies of items: the same as its own, without its comparisons."""

import sys
from collections import OrderedDict
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import pytest
from agents import ItemHelpers, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, run_state
from agents.util import _json
from openai import AsyncOpenAI
from openai.types.responses import ResponseOutputText

from agency_lambda.framework import patches
from agency_lambda.framework.item_copies import UnsharedItems, copier
from agency_lambda.framework.models.provider import Provider
from agency_lambda.framework.models.request_body import is_json

patches.install()

_TEXT = ResponseOutputText(type="output_text", text="a", annotations=[])
_VALUES: list[Any] = [
    *("text", b"bytes", bytearray(b"b"), 1, 1.5, True, None, _TEXT),
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
    {"tuple": ({"a": 1}, [2]), "mapping": MappingProxyType({"b": [1]}), "ordered": OrderedDict(c=[{}])},
    {"models": [_TEXT], "set": {1}, "range": range(3), "keys": {"a": 1}.keys(), 7: {"number": (1, b"x")}},
    [[[]], {}, ()],
]


def _original(value: Any) -> Any:
    # The SDK's own functions, from a module that nothing has patched.
    spec = _json.__spec__
    assert spec
    assert spec.loader
    namespace: dict[str, Any] = {"__name__": _json.__name__, "__package__": _json.__package__}
    exec(spec.loader.get_code(_json.__name__), namespace)  # type: ignore[attr-defined]
    return namespace["_to_dump_compatible"](value)


@pytest.mark.parametrize("value", _VALUES, ids=repr)
def test_copy_is_the_same_as_the_original_functions(value: Any) -> None:
    copied, expected = _json._to_dump_compatible(value), _original(value)
    assert copied == expected
    assert type(copied) is type(expected)


@pytest.mark.parametrize("value", _VALUES, ids=repr)
def test_input_is_copied_as_by_deepcopy(value: Any) -> None:
    if isinstance(value, dict) and not {"mapping", "keys"} & value.keys():
        assert run_state._clone_original_input([value]) == [deepcopy(value)]


def test_copies_share_nothing_that_can_change() -> None:
    items: Any = [{"content": [{"text": "a"}], "model": _TEXT}]
    for copied in (ItemHelpers.input_to_new_input_list(items), run_state._clone_original_input(items)):
        copied[0]["content"][0]["text"] = "b"
        copied[0]["more"] = 1
    run_state._clone_original_input(items)[0]["model"].text = "b"  # type: ignore[index]
    assert items == [{"content": [{"text": "a"}], "model": _TEXT}]
    assert _TEXT.text == "a"


def test_plain_items_are_copied_without_the_other_function() -> None:
    items = [{"role": "user", "content": [{"text": "a", "annotations": []}], "n": None}]
    assert copier(_refuse)(items) == items
    with pytest.raises(ZeroDivisionError):
        copier(_refuse)([{"content": ("a",)}])


def _refuse(value: Any) -> Any:
    raise ZeroDivisionError


def test_items_of_one_model_call_are_not_copied() -> None:
    items = UnsharedItems([{"role": "user", "content": [{"text": "a"}]}])
    assert ItemHelpers.input_to_new_input_list(items) is items
    assert is_json({"input": items})
    assert run_state._clone_original_input([items]) == [items]


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        (OpenAIResponsesModel, [{"type": "input_text", "text": "a"}], UnsharedItems),
        (OpenAIResponsesModel, [{"type": "input_file", "file": _TEXT}], list),  # no JSON: the client converts it
        (OpenAIChatCompletionsModel, [{"type": "input_text", "text": "a"}], list),
    ],
)
def test_model_is_given_items_of_its_own(kind: Any, content: Any, expected: type) -> None:
    provider = Provider(kind("m", AsyncOpenAI(api_key="none")))
    items: Any = [{"type": "message", "role": "user", "content": content}]
    form = provider._first_form(items, ModelSettings())
    assert type(form.input) is expected
    assert form.input is not items
    assert form.input == items


def test_deeply_nested_items_are_copied() -> None:
    value: Any = "a"
    for _ in range(sys.getrecursionlimit() // 4):
        value = [value]
    assert _json._to_dump_compatible(value) == value
