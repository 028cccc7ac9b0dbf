"""Arguments made from a JSON schema are valid under it."""

import time
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agency_lambda.offline.example import example


class Tree(BaseModel):
    name: str
    parent: "Tree | None"
    children: list["Tree"]


FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER
SCHEMAS = [
    {},
    {"type": "string", "minLength": 40},
    {"type": "string", "maxLength": 3},
    {"type": "string", "minLength": 2, "maxLength": 2},
    {"enum": ["b", "a"]},
    {"type": ["string", "null"], "enum": [None, "x"]},
    {"const": 7},
    {"type": "null"},
    {"type": ["null", "integer"]},
    {"type": "boolean"},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "maximum": -3},
    {"type": "integer", "minimum": 100, "multipleOf": 7},
    {"type": "integer", "minimum": 0.5, "maximum": 5.5},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "minimum": 0.25, "maximum": 0.3},
    {"type": "array", "items": {"type": "integer"}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"type": "array", "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "items": False},
    {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}]},
    {"oneOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
    {"type": "object", "required": ["free"]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "minProperties": 2},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    {"properties": {"n": {"$ref": "#/$defs/a~1b"}}, "required": ["n"], "$defs": {"a/b": {"type": "integer"}}},
    {"type": "object", "properties": {"a": {"default": None, "anyOf": [{"type": "integer"}, {"type": "null"}]}}},
    *({"type": "string", "format": name} for name in ("date", "email", "uuid", "ipv4", "ipv6")),
    *({"type": "string", "format": name} for name in ("date-time", "time", "uri", "hostname", "duration")),
    Tree.model_json_schema(),
]
PATTERNS = [
    r"^\d{4}-\d{2}-\d{2}$",
    r"^[A-Z]{3}-\d+$",
    r"^\+?[1-9]\d{1,14}$",
    r"^[a-z0-9_-]{3,16}$",
    r"^(low|high)$",
    r"^(?:v\d+\.)?\d+(\.\d+)*$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
    r"^#(?:[0-9a-fA-F]{3}){1,2}$",
    r"^[^a]b.$",
    r"^\S+\s\W$",
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_an_example_is_valid(schema):
    jsonschema.validate(example(schema, "Order paper"), schema, format_checker=FORMATS)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("limits", [{}, {"minLength": 3}], ids=str)
def test_a_pattern_is_met(pattern, limits):
    schema = {"type": "string", "pattern": pattern, **limits}
    if limits and pattern == r"^(low|high)$":
        schema["minLength"] = 2
    jsonschema.validate(example(schema, "Order paper"), schema)


def test_free_text_is_the_message_and_a_default_is_the_default():
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "kind": {"type": "string", "default": "plain"}, "more": {}},
        "required": ["text", "kind"],
    }
    assert example(schema, "Order paper") == {"text": "Order paper", "kind": "plain"}


def schemas():
    bounds = st.tuples(st.integers(-50, 50), st.integers(0, 50))
    number = bounds.map(lambda b: {"type": "integer", "minimum": b[0], "maximum": b[0] + b[1]})
    real = bounds.map(lambda b: {"type": "number", "exclusiveMinimum": b[0], "maximum": b[0] + b[1] + 0.5})
    text = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda b: {"type": "string", "minLength": b[0], "maxLength": b[0] + b[1]}
    )
    plain = st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"enum": [1, "a"]}, {"const": "c"}])
    return st.recursive(st.one_of(number, real, text, plain), nested, max_leaves=8)


def nested(inner):
    named = st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    objects = named.map(lambda p: {"type": "object", "properties": p, "required": sorted(p)[:2]})
    arrays = st.tuples(inner, st.integers(0, 3)).map(lambda i: {"type": "array", "items": i[0], "minItems": i[1]})
    choices = st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    return st.one_of(objects, arrays, choices)


@given(schemas(), st.text(max_size=20))
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_any_schema_has_a_valid_example(schema, text):
    jsonschema.validate(example(schema, text), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10**12},
        {"type": "array", "items": {"type": "string"}, "minItems": 10**12},
        {"type": "object", "minProperties": 10**12},
        {"type": "array", "minItems": 400, "items": {"type": "array", "minItems": 400, "items": {"type": "boolean"}}},
        {
            "$defs": {
                f"d{n}": {
                    "type": "object",
                    "properties": {k: {"$ref": f"#/$defs/d{n + 1}"} for k in "abcd"},
                    "required": [*"abcd"],
                }
                for n in range(30)
            }
            | {"d30": {"type": "string"}},
            "$ref": "#/$defs/d0",
        },
    ],
)
def test_a_few_words_of_a_schema_do_not_fill_the_memory(schema: Any) -> None:
    with pytest.raises(ValueError, match="too large"):
        example(schema, "text")


def test_a_strangers_pattern_is_not_tried() -> None:
    pattern = r"(?=(a+)+b)a{40}"
    assert example({"type": "string", "pattern": pattern}, "text", trusted=False) == "text"


def test_the_time_grows_with_the_number_of_properties():
    def seconds(count):
        names = [f"p{number}" for number in range(count)]
        schema = {"type": "object", "properties": {name: {"type": "null"} for name in names}, "required": names}
        took = []
        for _ in range(3):
            began = time.thread_time()
            example(schema, "")
            took.append(time.thread_time() - began)
        return min(took)

    assert seconds(16_000) < 30 * seconds(2_000)
