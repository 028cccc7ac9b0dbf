"""Bodies that ask for much: compactions that unpack to much, and one request for each bound."""

import base64
import json
import zlib
from typing import Any

from agency_lambda.protocol import bounds

MESSAGE = {"role": "user", "content": "x"}
ASK = {"model": "letters", "input": "hi"}
RESPONSES, ITEMS, AG_UI = "/v1/responses", "/v1/conversations", "/ag-ui/letters"


def packed(last: Any, summary: Any = "s", encoding: str = "utf-8") -> dict[str, Any]:
    """A compaction as ours looks, of anything."""
    text = json.dumps({"summary": summary, "last": last}, ensure_ascii=encoding == "utf-8").encode(encoding)
    return {
        "type": "compaction",
        "encrypted_content": "v1." + base64.urlsafe_b64encode(zlib.compress(text, 9)).decode(),
    }


def nested(depth: int, fan: int) -> dict[str, Any]:
    item: dict[str, Any] = MESSAGE
    for _ in range(depth):
        item = packed([item] * fan)
    return item


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(content: str = "x") -> dict[str, Any]:
    return {"type": "input_text", "text": content}


def function(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": f"f{number}", **fields}


def call(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}", **fields}


def respond(*items: Any, **fields: Any) -> dict[str, Any]:
    return {**ASK, "input": [*items, MESSAGE], **fields}


def spoken(count: int, name: str) -> dict[str, Any]:
    """An assistant's text with so many wrong entries in one of its lists, for each of which errors are kept."""
    part = {"type": "output_text", "text": "x", "annotations": [], name: [{"type": 5}] * count}
    return {"role": "assistant", "content": [part]}


def listed(*logprobs: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": "x", "annotations": [], "logprobs": logprobs}
    return {"role": "assistant", "content": [part]}


def reference(number: int) -> dict[str, Any]:
    return {"type": "item_reference", "id": f"msg_{number:032x}{0:016x}"}


def ag_ui(role: str = "user", content: Any = "x", **fields: Any) -> dict[str, Any]:
    message = {"id": "m", "role": role, "content": content, **fields}
    lists: dict[str, Any] = {"messages": [message], "tools": [], "context": []}
    return {"threadId": "t", "runId": "r", "state": {}, "forwardedProps": {}, **lists}


def body_of(start: str, repeated: str, end: str) -> bytes:
    """As large as a body may be."""
    count = (bounds.BODY - len(start) - len(end)) // len(repeated)
    return (start + repeated * count + end).encode()


MANY = 16_000  # of the smallest things that a body may hold
#: what is sent -> (path, body, the field that the error names, what it says)
OVER: dict[str, tuple[str, Any, str | None, str]] = {
    "empty lists": (RESPONSES, body_of('{"input": [', "[],", "0]}"), None, "50,000 values"),
    "empty objects": (RESPONSES, body_of('{"input": [', "{},", "0]}"), None, "50,000 values"),
    "numbers": (ITEMS, body_of('{"items": [', "1,", "0]}"), None, "50,000 values"),
    "texts": (ITEMS, body_of('{"items": [', '"",', "0]}"), None, "50,000 values"),
    "texts that end in a backslash": (RESPONSES, body_of('{"input": [', '"\\\\",', "0]}"), None, "50,000 values"),
    "keys": ("/completion", body_of("{", '"a":1,', '"a":0}'), None, "50,000 values"),
    "levels": (RESPONSES, b'{"input": ' + b"[" * 90 + b"]" * 90 + b"}", None, "64 levels"),
    "more levels": ("/completion", body_of('{"message": ', "[", ""), None, "50,000 values"),
    "parameters": (RESPONSES, {f"p{number}": 1 for number in range(MANY)}, None, "100 parameters"),
    "conversation's": (RESPONSES, {**ASK, "conversation": dict.fromkeys(map(str, range(MANY)), 1)}, "conversation", ""),
    "items": (RESPONSES, respond(*[MESSAGE] * bounds.ITEMS), "input", "2,000 items"),
    "items of nothing": (RESPONSES, respond(*[0] * MANY), "input", "2,000 items"),
    "items at once": (ITEMS, {"items": [MESSAGE] * 21}, "items", ""),
    "parts": (RESPONSES, respond(user(*[text()] * 4001)), "input[0].content", "4,000 parts"),
    "parts of many": (RESPONSES, respond(*[user(*[text()] * 11)] * 400), "input[363].content", "4,000 parts"),
    "wrong parts": (RESPONSES, respond(user(*[{}] * MANY)), "input[0].content", "4,000 parts"),
    "outputs": (
        RESPONSES,
        respond({"type": "function_call_output", "call_id": "c", "output": [{}] * MANY}),
        "input[0].output",
        "4,000 parts",
    ),
    "annotations": (RESPONSES, respond(spoken(MANY, "annotations")), "input[0].content[0].annotations", "100 entries"),
    "logprobs": (RESPONSES, respond(spoken(MANY, "logprobs")), "input[0].content[0].logprobs", "100 entries"),
    "logprobs in logprobs": (
        RESPONSES,
        respond(listed({"top_logprobs": [{}] * MANY})),
        "input[0].content[0].logprobs[0].top_logprobs",
        "100 entries",
    ),
    "bytes in logprobs in logprobs": (
        RESPONSES,
        respond(listed({"top_logprobs": [{}, {"bytes": ["x"] * MANY}]})),
        "input[0].content[0].logprobs[0].top_logprobs[1].bytes",
        "100 entries",
    ),
    "summaries": (
        RESPONSES,
        respond({"type": "reasoning", "summary": [{}] * MANY}),
        "input[0].summary",
        "100 entries",
    ),
    "fields of an item": (
        RESPONSES,
        respond({"type": "reasoning", **dict.fromkeys(map(str, range(MANY)), 1)}),
        "input[0]",
        "100 fields",
    ),
    "a name": (RESPONSES, respond(call(name="." * 4_000_000)), "input[0].name", "256 characters"),
    "a call's id": (RESPONSES, respond(call(call_id="." * 4_000_000)), "input[0].call_id", "256 characters"),
    "arguments": (
        RESPONSES,
        respond(call(arguments='{"a": [' + "[]," * 1_500_000 + "0]}")),
        "input[0].arguments",
        "50,000 values",
    ),
    "arguments of many calls": (
        RESPONSES,
        respond(*[call(arguments='{"a": [' + "[]," * 24_000 + "0]}")] * 60),
        "input[1].arguments",
        "50,000 values in all texts",
    ),
    "arguments' levels": (RESPONSES, respond(call(arguments="[" * 65)), "input[0].arguments", "64 levels"),
    "a type": (RESPONSES, respond({"type": "x" * 4_000_000}), "input[0].type", "not supported"),
    "compactions in compactions": (RESPONSES, respond(nested(10, 2)), "input[0].encrypted_content", "3 levels"),
    "a wide tree of compactions": (RESPONSES, respond(nested(3, 40)), "input", "2,000 items"),
    "a compaction's text": (
        RESPONSES,
        respond(packed([{"role": "user", "content": "x" * 19_000_000}])),
        "input[0].encrypted_content",
        "1,000,000 bytes",
    ),
    "compactions' texts together": (
        RESPONSES,
        respond(*[packed([{"role": "user", "content": "x" * 300_000}])] * 20),
        "input[3].encrypted_content",
        "1,000,000 bytes",
    ),
    "a compaction's lists": (RESPONSES, respond(packed([[]] * 250_000)), "input[0].encrypted_content", "50,000 values"),
    "a compaction's summary": (RESPONSES, respond(packed([], [[]] * 250_000)), "input[0].encrypted_content", "50,000"),
    "half an emoji in a compaction": (
        RESPONSES,
        respond(packed([{"role": "user", "content": "\ud83d"}])),
        "input[0].encrypted_content",
        "not made by",
    ),
    "another encoding in a compaction": (
        RESPONSES,
        respond(packed(["∀"] + [[]] * 30_000, encoding="utf-16")),
        "input[0].encrypted_content",
        "not made by",
    ),
    "half an emoji in a summary": (
        RESPONSES,
        respond(packed([], "\ud83d")),
        "input[0].encrypted_content",
        "not made by",
    ),
    "a compaction to compact": (
        f"{RESPONSES}/compact",
        {**ASK, "input": [packed(["x" * 2_000_000])]},
        "input[0].encrypted_content",
        "1,000,000 bytes",
    ),
    "a compaction of a conversation": (ITEMS, {"items": [nested(4, 2)]}, "items[0].encrypted_content", "3 levels"),
    "references": (RESPONSES, respond(*map(reference, range(101))), "input", "100"),
    "many references": (RESPONSES, respond(*[reference(1)] * 2_000), "input", "2,000 items"),
    "tools": (RESPONSES, {**ASK, "tools": [function(number) for number in range(129)]}, "tools", "128 tools"),
    "tools of nothing": (RESPONSES, {**ASK, "tools": [[]] * MANY}, "tools", "128 tools"),
    "a tool's name": (RESPONSES, {**ASK, "tools": [function(name="é" * 800_000)]}, "tools[0].name", "64"),
    "a tool's schema": (
        RESPONSES,
        {**ASK, "tools": [function(parameters={"enum": list(range(20_000))})]},
        "tools[0].parameters",
        "20,000 values",
    ),
    "a format's schema": (
        RESPONSES,
        {**ASK, "text": {"format": {"type": "json_schema", "name": "n", "schema": {"enum": list(range(20_000))}}}},
        "text.format",
        "20,000 values",
    ),
    "metadata": (RESPONSES, {**ASK, "metadata": dict.fromkeys(map(str, range(MANY)), 1)}, "metadata", "100 entries"),
    "a conversation's metadata": (ITEMS, {"metadata": dict.fromkeys(map(str, range(MANY)), 1)}, "metadata", "100"),
    "an agency's name": (RESPONSES, {**ASK, "model": "x" * 4_900_000}, "model", ""),
    "an agent's name": (RESPONSES, {**ASK, "model": "letters/" + "x" * 4_900_000}, "model", ""),
    "a response's id": (RESPONSES, {**ASK, "previous_response_id": "x" * 4_900_000}, "previous_response_id", ""),
    "AG-UI's parts": (AG_UI, ag_ui(content=[{}] * MANY), None, "messages[0].content: there are more than 4,000"),
    "AG-UI's parts of numbers": (AG_UI, ag_ui(content=[1] * 4_000), None, "messages[0].content[0] must be an object"),
    "AG-UI's calls": (AG_UI, ag_ui("assistant", toolCalls=[{}] * MANY), None, "messages[0].toolCalls: there are more"),
    "AG-UI's calls of numbers": (AG_UI, ag_ui("assistant", toolCalls=[1] * 4_000), None, "toolCalls[0] must be"),
    "AG-UI's calls in snake case": (AG_UI, ag_ui("assistant", tool_calls=[{}] * MANY), None, "tool_calls: there are"),
    "a number": (RESPONSES, b'{"max_output_tokens": ' + b"9" * 4_900_000 + b"}", None, "parsing the body"),
}
#: bodies within the bounds that are wrong in as many places as they may be: what is sent -> (path, body, what it says)
WRONG: dict[str, tuple[str, Any, str]] = {
    "AG-UI's parts of nothing": (AG_UI, ag_ui(content=[{}] * bounds.PARTS), "messages[0].content[0]"),
    "AG-UI's images of nothing": (AG_UI, ag_ui(content=[{"type": "image"}] * bounds.PARTS), "content[0].source"),
    "AG-UI's calls of nothing": (AG_UI, ag_ui("assistant", toolCalls=[{}] * bounds.PARTS), "toolCalls[0]"),
}
