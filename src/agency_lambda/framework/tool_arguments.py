"""What is wrong with the arguments that a model calls a tool with."""

import json
from typing import Any

_MESSAGE = ("recipient_agent", "message", "additional_instructions")  # the texts that `SendMessage` reads


def arguments_fault(arguments: str) -> str | None:
    """Return why a tool cannot use these arguments, in words for the model; None if they are a JSON object."""
    return _read(arguments)[1]


def message_fault(arguments: str) -> str | None:
    """Return why `SendMessage` cannot use these arguments; None if it can, or says itself what is missing."""
    read, fault = _read(arguments)
    for name in _MESSAGE if fault is None else ():
        if not isinstance(read.get(name), str | None):
            return f"{name!r} must be a string"
    message = read.get("message")
    return "'message' must not be blank" if message and not message.strip() else fault


def _read(arguments: str) -> tuple[dict[str, Any], str | None]:
    try:
        read = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return {}, "they are no valid JSON"
    return (read, None) if isinstance(read, dict) else ({}, "they must be a JSON object")
