"""Converts items to what a client may see, by an allowlist."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agency_lambda.protocol.types import Item

_PART_FIELDS = {"output_text": ("type", "text", "annotations"), "refusal": ("type", "refusal")}
_PLACE = ("start_index", "end_index")
_CALL_FIELDS = ("type", "call_id", "name", "arguments")


def message(item: Any, agent: str) -> Item:
    """Return a message without empty parts, which chat servers send before a refusal."""
    public = {
        "type": "message",
        "role": "assistant",
        "agent": agent,
        "content": [_part(part) for part in item.content if words(part)],
    }
    phase = getattr(item, "phase", None)
    return {**public, "phase": phase} if phase else public


def text_message(text: str, agent: str) -> Item:
    """Return a message that no model made."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "role": "assistant", "agent": agent, "content": [part]}


def container_citations(items: Sequence[Any]) -> list[Any]:
    """Return the annotations of messages that name files of a provider's containers."""
    parts = (part for item in items if item.type == "message" for part in item.content)
    cited = (each for part in parts for each in getattr(part, "annotations", None) or ())
    return [each for each in cited if each.type == "container_file_citation"]


def with_own_ids(message: Item, ids: Mapping[str, str]) -> Item:
    """Return a message that cites files of a provider's containers under their ids here."""
    content = [
        {**part, "annotations": [_with_own_id(each, ids) for each in part["annotations"]]}
        if part.get("annotations")
        else part
        for part in message["content"]
    ]
    return {**message, "content": content}


def _with_own_id(annotation: Item, ids: Mapping[str, str]) -> Item:
    own = ids.get(annotation.get("file_id", ""))
    return {**annotation, "file_id": own} if own else annotation


def with_files(message: Item, files: Sequence[Item]) -> Item:
    """Return a message that cites files: where it names them, else at its end."""
    *before, last = message["content"]
    if not files or last["type"] != "output_text":
        return message
    cited = [{**each, **_place(last["text"], each["filename"])} for each in files]
    return {**message, "content": [*before, {**last, "annotations": [*last["annotations"], *cited]}]}


def _place(text: str, name: str) -> dict[str, int]:
    start = text.find(name)
    return {"start_index": start, "end_index": start + len(name)} if start >= 0 else dict.fromkeys(_PLACE, len(text))


def client_call(item: Any) -> Item:
    return {field: getattr(item, field) for field in _CALL_FIELDS}


def reasoning(item: Any, *, with_summary: bool = True, encrypted: str | None = None) -> Item:
    parts = item.summary if with_summary else ()
    return {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": part.text} for part in parts if part.text],
        **({"encrypted_content": encrypted} if encrypted else {}),
    }


def is_empty(item: Any) -> bool:
    """Return whether an item is a message without text."""
    return item.type == "message" and not any(map(words, item.content))


def words(part: Any) -> str:
    """Return the text or refusal of a message part, or ""."""
    return getattr(part, "text", "") or getattr(part, "refusal", "")


def recipient(arguments: str) -> str | None:
    """Return the recipient of a `send_message` call, or None."""
    try:
        parsed = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    agent = parsed.get("recipient_agent") if isinstance(parsed, dict) else None
    return agent if isinstance(agent, str) else None


def _part(part: Any) -> Item:
    dumped = part.model_dump(mode="json")
    public = {field: dumped[field] for field in _PART_FIELDS[part.type]}
    return {**public, "logprobs": []} if part.type == "output_text" else public
