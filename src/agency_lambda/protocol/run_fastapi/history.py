"""`chat_history`: the conversation so far, as a client sends it.

The last message of an answer carries `response_id` and `history_digest`, a digest of all messages up to it. A history
that begins with unchanged messages of that response, of the same agency, continues it, with all that its agents
know. Of any other history the messages between user and agent are replayed, and nothing of tools or colleagues.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Item

_NOBODY = (None, "", "None")
_ROLES = ("user", "assistant", "system", "developer")


@dataclass(frozen=True)
class ChatHistory:
    """The messages with their places in `chat_history`; the first `continued` of them are those of `response_id`."""

    agency: str
    messages: Sequence[tuple[int, Item]]
    response_id: str | None = None
    continued: int = 0

    @classmethod
    def read(cls, agency: str, items: Iterable[Item]) -> Self:
        messages = [(number, item) for number, item in enumerate(items) if _is_said_to_user(item)]
        so_far, history = Digest(agency), cls(agency, messages)
        for count, (_, message) in enumerate(messages, start=1):
            so_far.add(message)
            response_id, digest = message.get("response_id"), message.get("history_digest")
            if isinstance(response_id, str) and response_id and digest == so_far.hex:
                history = cls(agency, messages, response_id, count)
        return history

    @property
    def digest(self) -> "Digest":
        digest = Digest(self.agency)
        for _, message in self.messages:
            digest.add(message)
        return digest


class Digest:
    """Stands for messages to an agency in their order: their roles and what they say."""

    def __init__(self, agency: str) -> None:
        self._sha256 = hashlib.sha256(to_json_bytes(agency) + b"\n")

    def add(self, message: Item) -> None:
        self._sha256.update(to_json_bytes([message.get("role"), _content(message)]) + b"\n")

    @property
    def hex(self) -> str:
        return self._sha256.hexdigest()[:32]


def plain(message: Item) -> Item:
    """Return a message without what says who made it."""
    return {name: message[name] for name in ("role", "content", "phase") if message.get(name) is not None}


def is_message(item: Item) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in _ROLES


def _is_said_to_user(item: Item) -> bool:
    # Clients add messages without content, which mark a handoff.
    return is_message(item) and item.get("callerAgent") in _NOBODY and bool(item.get("content"))


def _content(message: Item) -> Any:
    content = message.get("content")
    if not isinstance(content, list):
        return [content]
    return [_part(part) if isinstance(part, dict) else part for part in content]


def _part(part: Item) -> Any:
    text = part.get("text", part.get("refusal"))
    if isinstance(text, str):
        return text
    return {name: value for name, value in part.items() if name not in ("detail", "annotations", "logprobs")}
