"""What of a model's items a client may see: an allowlist of types and fields."""

import json
from typing import Any

from agency_lambda.protocol.types import Item

_PART_FIELDS = {"output_text": ("type", "text", "annotations"), "refusal": ("type", "refusal")}
_CALL_FIELDS = ("type", "call_id", "name", "arguments")


def message(item: Any, agent: str) -> Item:
    """Return a model's message. Chat servers open an empty text before a refusal; empty parts are left out."""
    shown = {
        "type": "message",
        "role": "assistant",
        "agent": agent,
        "content": [_part(part) for part in item.content if words(part)],
    }
    phase = getattr(item, "phase", None)
    return {**shown, "phase": phase} if phase else shown


def text_message(text: str, agent: str) -> Item:
    """Return a message of the response that no model made."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "role": "assistant", "agent": agent, "content": [part]}


def client_call(item: Any) -> Item:
    """Return a call of one of the client's functions."""
    return {field: getattr(item, field) for field in _CALL_FIELDS}


def reasoning(item: Any) -> Item:
    """Return the summaries of a model's reasoning."""
    return {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": part.text} for part in item.summary if part.text],
    }


def is_empty(item: Any) -> bool:
    """Return whether an item is a message without a word."""
    return item.type == "message" and not any(map(words, item.content))


def words(part: Any) -> str:
    """Return the text or the refusal of a message's part, or ""."""
    return getattr(part, "text", "") or getattr(part, "refusal", "")


def recipient(arguments: str) -> str | None:
    """Return the agent that a call of `send_message` with these arguments is for."""
    try:
        parsed = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    agent = parsed.get("recipient_agent") if isinstance(parsed, dict) else None
    return agent if isinstance(agent, str) else None


def _part(part: Any) -> Item:
    dumped = part.model_dump(mode="json")
    shown = {field: dumped[field] for field in _PART_FIELDS[part.type]}
    return {**shown, "logprobs": []} if part.type == "output_text" else shown
