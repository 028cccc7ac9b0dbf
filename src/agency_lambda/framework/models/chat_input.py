"""Gives stored messages of an assistant an id, without which openai-agents 0.24 cannot send them to a chat model."""

from functools import partial
from typing import Any

from agents.models.chatcmpl_converter import Converter

_STORED: dict[str, Any] = {"type": "message", "role": "assistant", "content": []}


def install() -> None:
    """Change how a history becomes a chat, where the SDK takes a message without an id for an input."""
    if Converter.maybe_response_output_message(_STORED) is None:
        convert = partial(_converted, Converter.items_to_messages)
        Converter.items_to_messages = staticmethod(convert)  # type: ignore[method-assign]


def _converted(convert: Any, items: Any, *args: Any, **options: Any) -> Any:
    return convert(items if isinstance(items, str) else map(_identified, items), *args, **options)


def _identified(item: Any) -> Any:
    """Return the item, with an id if it is an answer in parts. A chat is sent no ids."""
    if isinstance(item, dict) and item.get("role") == "assistant" and isinstance(item.get("content"), list):
        return {"type": "message", "id": "", **item}
    return item
