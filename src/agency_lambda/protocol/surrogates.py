"""Halves of surrogate pairs, which UTF-8 cannot encode; models cut emojis."""

import json
from typing import Any

from pydantic_core import to_json


def to_json_bytes(value: Any) -> bytes:
    """Return compact JSON; halves of surrogate pairs are escaped."""
    try:
        return to_json(value)
    except ValueError:
        return json.dumps(value, separators=(",", ":")).encode()


def replace_surrogates(value: Any) -> Any:
    try:
        to_json(value)
    except ValueError:
        return _replaced(value)
    return value


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_replaced(each) for each in value]
    return {key: _replaced(each) for key, each in value.items()} if isinstance(value, dict) else value
