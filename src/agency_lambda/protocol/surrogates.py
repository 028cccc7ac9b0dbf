"""Text that UTF-8 can hold."""

import json
from typing import Any

from pydantic_core import to_json


def to_json_bytes(value: Any) -> bytes:
    """Return compact JSON; where there is half of a surrogate pair in it, with the escapes that can hold it."""
    try:
        return to_json(value)
    except ValueError:
        return json.dumps(value, separators=(",", ":")).encode()


def replace_surrogates(value: Any) -> Any:
    """Return a JSON value without halves of surrogate pairs, which a model can cut an emoji into."""
    try:
        to_json(value)
    except ValueError:
        return _whole(value)
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {key: _whole(each) for key, each in value.items()} if isinstance(value, dict) else value
