"""Arguments of tool calls that are no JSON object, or not what `send_message` takes."""

import json
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

_MESSAGE = ("recipient_agent", "message", "additional_instructions")  # the texts that `SendMessage` reads


def install() -> None:
    """Have openai-agents 0.24, which identifies a call by its arguments, take what is nested too deeply as a text."""
    with suppress(ModuleNotFoundError):  # openai-agents 0.18 reads no arguments before a tool does
        sdk: Any = import_module("agents._tool_invocation")
        sdk._normalize_arguments = partial(_normalized, sdk._normalize_arguments)


def _normalized(normalize: Any, arguments: Any) -> Any:
    try:
        return normalize(arguments)
    except RecursionError:
        return arguments


def arguments_fault(arguments: str) -> str | None:
    """Return why arguments are no JSON object, or None."""
    return _parse(arguments)[1]


def message_fault(arguments: str) -> str | None:
    """Return why `SendMessage` would raise on these arguments, or None."""
    parsed, fault = _parse(arguments)
    for name in _MESSAGE if fault is None else ():
        if not isinstance(parsed.get(name), str | None):
            return f"{name!r} must be a string"
    message = parsed.get("message")
    return "'message' must not be blank" if message and not message.strip() else fault


def _parse(arguments: str) -> tuple[dict[str, Any], str | None]:
    try:
        parsed = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return {}, "they are no valid JSON"
    return (parsed, None) if isinstance(parsed, dict) else ({}, "they must be a JSON object")
