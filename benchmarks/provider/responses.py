"""OpenAI's Responses API: an answer, and its events."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.provider.plan import Say

_USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 110,
}

type Event = dict[str, Any]


def answer(model: str, name: str, say: Say) -> dict[str, Any]:
    """Return the response object. name: what its ids end in."""
    return {
        **_envelope(model, name),
        "status": "completed",
        "output": [_message(name, say) if isinstance(say, str) else _call(name, *say)],
        "usage": _USAGE,
    }


def before(model: str, name: str, say: Say) -> Iterator[Event]:
    """The events that come before the first token."""
    begun = {**_envelope(model, name), "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    item = _message(name, say) if isinstance(say, str) else _call(name, *say)
    empty: dict[str, Any] = {"content": []} if isinstance(say, str) else {"arguments": ""}
    yield {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {**item, **empty, "status": "in_progress"},
    }
    if isinstance(say, str):
        yield {"type": "response.content_part.added", **_place(item), "part": _part("")}


def token(name: str, say: Say, text: str) -> Event:
    if isinstance(say, str):
        return {
            "type": "response.output_text.delta",
            **_place({"id": f"msg_{name}"}),
            "delta": text,
            "logprobs": [],
        }
    return {
        "type": "response.function_call_arguments.delta",
        "item_id": f"fc_{name}",
        "output_index": 0,
        "delta": text,
    }


def after(model: str, name: str, say: Say) -> Iterator[Event]:
    """The events that come after the last token."""
    whole = answer(model, name, say)
    (item,) = whole["output"]
    if isinstance(say, str):
        yield {"type": "response.output_text.done", **_place(item), "text": say, "logprobs": []}
        yield {"type": "response.content_part.done", **_place(item), "part": _part(say)}
    else:
        arguments = {"name": item["name"], "arguments": item["arguments"]}
        yield {
            "type": "response.function_call_arguments.done",
            "item_id": item["id"],
            "output_index": 0,
            **arguments,
        }
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": whole}


def encode(events: Iterable[Event], number: int) -> tuple[bytes, int]:
    """Server-sent events, numbered from `number` on; and the next number."""
    lines = []
    for event in events:
        lines.append(f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n")
        number += 1
    return "".join(lines).encode(), number


def _envelope(model: str, name: str) -> dict[str, Any]:
    return {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": 1_764_000_000,
        "model": model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _message(name: str, text: str) -> dict[str, Any]:
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [_part(text)],
    }


def _call(name: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"fc_{name}",
        "type": "function_call",
        "call_id": f"call_{name}",
        "name": tool,
        "arguments": json.dumps(arguments),
        "status": "completed",
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _place(item: dict[str, Any]) -> dict[str, Any]:
    return {"item_id": item["id"], "output_index": 0, "content_index": 0}
