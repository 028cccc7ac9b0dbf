"""Requests that are nearly right: fields with values that fit, and now and then with one that does not."""

from typing import Any

from hypothesis import strategies as st

from agency_lambda.protocol.items import encode_compaction

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=9), children, max_size=3),
    max_leaves=5,
)
PACKED = encode_compaction("They want a date.", [{"role": "user", "content": "Tuesday?"}])["encrypted_content"]
TEXT = st.text(max_size=40) | st.sampled_from(["Client Nordwind asks for a date.", "Which tasks are open?", "\0", " "])
CALL_ID = st.sampled_from(["call_1", "call_2", ""])
NAME = st.sampled_from(["get_weather", "list_tasks", "f", "", "ä b"])
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 10**12}}, "required": ["a"]},
        {"type": "array", "items": {"type": ["integer", "null"]}, "minItems": 10**9},
        {},
    ]
)


def mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any] = JSON) -> st.SearchStrategy[Any]:
    """About one value in thirty is wrong; a request has many."""
    return st.integers(0, 29).flatmap(lambda drawn: wrong if drawn == 7 else right)


def record(required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional or {})


PARTS = st.one_of(
    record({"type": st.just("input_text"), "text": mostly(TEXT)}),
    record({"type": st.just("output_text"), "text": mostly(TEXT)}, {"annotations": mostly(st.just([]))}),
    record({"type": st.just("refusal"), "refusal": mostly(TEXT)}),
    record(
        {"type": st.just("input_image"), "image_url": mostly(st.just("data:image/png;base64,iVBORw0KGgo="))},
        {"detail": mostly(st.sampled_from(["low", "high", "auto"]))},
    ),
    record(
        {"type": st.just("input_file"), "file_data": mostly(st.just("data:text/plain;base64,aGk="), TEXT)},
        {"filename": mostly(TEXT)},
    ),
)
CONTENT = mostly(TEXT | st.lists(PARTS, max_size=2))
ROLE = mostly(st.sampled_from(["user", "assistant", "system", "developer"]))
ITEMS = st.one_of(
    record({"role": st.just("user"), "content": TEXT}),
    record(
        {"role": ROLE, "content": CONTENT},
        {
            "type": mostly(st.just("message")),
            "id": mostly(TEXT),
            "status": mostly(st.sampled_from(["completed", "incomplete"])),
        },
    ),
    record(
        {
            "type": st.just("function_call"),
            "call_id": mostly(CALL_ID),
            "name": mostly(NAME),
            "arguments": mostly(st.just('{"a": 1}') | TEXT),
        }
    ),
    record(
        {
            "type": st.just("function_call_output"),
            "call_id": mostly(CALL_ID),
            "output": mostly(TEXT | st.lists(PARTS, max_size=2)),
        }
    ),
    record(
        {"type": st.just("reasoning")},
        {"id": TEXT, "summary": mostly(st.just([{"type": "summary_text", "text": "So."}])), "agent": mostly(TEXT)},
    ),
    record({"type": st.just("compaction"), "encrypted_content": mostly(st.just(PACKED), TEXT)}),
)
WRONG_ITEMS = record({"type": mostly(st.sampled_from(["item_reference", "web_search_call"])), "id": TEXT})
TOOLS = record(
    {"type": mostly(st.just("function")), "name": mostly(st.sampled_from(["get_weather", "get_time"]))},
    {
        "description": mostly(TEXT),
        "parameters": mostly(SCHEMAS),
        "strict": st.sampled_from([False, None]),  # true: see test_a_strict_schema_that_cannot_be_strict
    },
)
FORMATS = st.one_of(
    st.sampled_from([{"type": "text"}, {"type": "json_object"}]),
    record({"type": st.just("json_schema"), "name": mostly(NAME), "schema": mostly(SCHEMAS)}, {"strict": JSON}),
)


def answered(items: list[Any]) -> list[Any]:
    """The items with an output behind each call."""
    return [each for item in items for each in (item, *_output(item))]


def _output(item: Any) -> list[Any]:
    if not isinstance(item, dict) or item.get("type") != "function_call":
        return []
    return [{"type": "function_call_output", "call_id": item["call_id"], "output": "fine"}]


def requests_of_responses(model: str) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies of POST /v1/responses."""
    items = st.lists(mostly(ITEMS, WRONG_ITEMS), min_size=1, max_size=3).map(answered)
    return record(
        {"model": st.just(model), "input": mostly(TEXT) | items},
        {
            "stream": st.booleans(),
            "store": mostly(st.booleans()),
            "instructions": mostly(TEXT),
            "metadata": mostly(st.dictionaries(st.text(max_size=9), TEXT, max_size=2)),
            "max_output_tokens": mostly(st.integers(16)),
            "max_tool_calls": mostly(st.integers(1)),
            "tools": mostly(st.lists(TOOLS, max_size=2)),
            "tool_choice": mostly(st.sampled_from(["auto", "none", "required"])),
            "parallel_tool_calls": mostly(st.booleans()),
            "temperature": mostly(st.floats(0, 2)),
            "top_p": mostly(st.floats(0, 1)),
            "reasoning": mostly(st.sampled_from([{"summary": "auto"}, {"effort": "low"}, {}])),
            "text": mostly(record({}, {"format": mostly(FORMATS), "verbosity": mostly(st.just("low"))})),
            "truncation": mostly(st.sampled_from(["auto", "disabled"])),
            "user": mostly(TEXT),
        },
    )
