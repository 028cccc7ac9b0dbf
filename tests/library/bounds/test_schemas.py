"""What a strict schema becomes in the Agents SDK is counted before the SDK makes it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from agents import strict_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol import bounds

NAMES = st.sampled_from(["a", "b", "", "a/b", "properties"])
REF = NAMES.map(lambda name: f"#/$defs/{name}") | st.sampled_from(
    [
        "#",
        "#/definitions/a",
        "#/properties/a",
        "#/properties/a/properties/b",
        "#/$defs/a/properties/a",
        "#/$defs/a/b",
        "x",
        "#/$defs/z",
        "#/$defs",
        "#/$defs/",
    ]
)
SCHEMA = st.recursive(
    st.just({"type": "string"}) | st.builds(lambda ref: {"$ref": ref}, REF),
    lambda inner: st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "items": inner,
            "anyOf": st.lists(inner, max_size=3),
            "oneOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "$ref": REF,
            "$defs": st.dictionaries(NAMES, inner, max_size=2),
            "description": st.just("text"),
        },
    ),
    max_leaves=8,
)
ROOT = st.fixed_dictionaries(
    {"type": st.just("object")},
    optional={
        "properties": st.dictionaries(NAMES, SCHEMA, max_size=3),
        "$defs": st.dictionaries(NAMES, SCHEMA, max_size=4),
        "definitions": st.dictionaries(NAMES, SCHEMA, max_size=2),
        "allOf": st.lists(SCHEMA, max_size=1),
        "$ref": REF,
    },
)


class TooMuch(BaseException):
    """The SDK visits more than was counted."""


def visits(schema: Any, most: int) -> int:
    """How many schemas the SDK looks at to make this one strict."""
    count, visit = [0], strict_schema._ensure_strict_json_schema

    def counted(*arguments: Any, **named: Any) -> Any:
        count[0] += 1
        if count[0] > most:
            raise TooMuch
        return visit(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_schema, "_ensure_strict_json_schema", counted)
        try:
            strict_schema.ensure_strict_json_schema(copy.deepcopy(schema))
        except Exception:  # noqa: BLE001 - it cannot be strict: that is said elsewhere
            return count[0]
    return count[0]


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(ROOT)
def test_the_sdk_visits_no_more_of_a_strict_schema_than_was_counted(schema: Any) -> None:
    try:
        left = bounds._count_down(schema, schema, 500, "parameters")
    except InvalidRequest:
        return
    visits(schema, 2 * (500 - left))  # a schema that takes in a definition is looked at once more


def laughs(depth: int, fan: int = 2) -> dict[str, Any]:
    """A billion of them: each definition has the next one several times."""
    defs: dict[str, Any] = {
        f"d{level}": {
            "type": "object",
            "properties": {f"p{n}": {"$ref": f"#/$defs/d{level + 1}", "description": "x"} for n in range(fan)},
        }
        for level in range(depth)
    }
    defs[f"d{depth}"] = {"type": "string"}
    return {"type": "object", "properties": {"p": {"$ref": "#/$defs/d0", "description": "x"}}, "$defs": defs}


def laughing(refer: Callable[[str], Any], depth: int) -> dict[str, Any]:
    """The same, each definition referring to the next in another way; c0 is but another name of d0."""
    defs: dict[str, Any] = {f"d{depth}": {"type": "string"}}
    for level in range(depth):
        uses = {f"p{n}": {"description": "x", **refer(f"#/$defs/d{level + 1}")} for n in range(2)}
        defs[f"d{level}"] = {"type": "object", "properties": uses}
    defs |= {name.replace("d", "c"): {"$ref": f"#/$defs/{name}"} for name in defs}
    return {"type": "object", "properties": {"p": {"description": "x", **refer("#/$defs/d0")}}, "$defs": defs}


RECURSIVE = {"$ref": "#/$defs/a", "description": "x"}


@pytest.mark.parametrize(
    "schema",
    [
        laughs(12),
        laughs(40, 3),
        {"type": "object", "properties": {"a": RECURSIVE}, "$defs": {"a": {"properties": {"a": RECURSIVE}}}},
        {"type": "object", "properties": {"a": RECURSIVE}, "$defs": {"a": RECURSIVE}},
        {"type": "object", "$defs": {"a": {}}, "allOf": [{"$defs": laughs(30)["$defs"], "$ref": "#/$defs/a"}]},
        {**laughs(30), "$ref": "#/$defs/d0"},
        laughing(lambda name: {"allOf": [{"$ref": name}]}, 30),
        laughing(lambda name: {"allOf": [{"allOf": [{"$ref": name}]}]}, 30),
        laughing(lambda name: {"$ref": name.replace("/d", "/c")}, 30),
        {
            "type": "object",
            "properties": {"p": {"$ref": "#/$defs", "description": "x"}},
            "$defs": {"": {}, "properties": {"p": {"$ref": "#/$defs", "description": "x"}}},
        },
        {
            "type": "object",
            "properties": {"p": {"$ref": "#/$defs/a/b", "description": "x"}},
            "$defs": {"a/b": {}, "a": {"b": {"properties": {"p": {"$ref": "#/$defs/a/b", "description": "x"}}}}},
        },
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(bounds.SCHEMA_VALUES)}},
    ],
    ids=range(12),
)
def test_a_schema_that_grows_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bounds.check_schemas([(schema, True, "tools[0].parameters")])
    assert refused.value.param == "tools[0].parameters"


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (laughs(6), True),
        (laughs(40), False),  # nobody puts anything in place of these references
        ({"type": "object", "properties": {"child": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"$ref": "#"}}}, True),
        (None, True),
        ({}, True),
    ],
)
def test_a_schema_of_ordinary_size_is_not(schema: Any, strict: bool) -> None:
    bounds.check_schemas([(schema, strict, "tools[0].parameters")])


def test_the_schemas_of_all_tools_count_together() -> None:
    with pytest.raises(InvalidRequest, match="20,000 values") as refused:
        bounds.check_schemas([(laughs(8), True, f"tools[{number}].parameters") for number in range(128)])
    assert refused.value.param != "tools[0].parameters"
