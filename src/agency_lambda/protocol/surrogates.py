"""What JSON in UTF-8 cannot hold: halves of surrogate pairs, as models cut emojis, and numbers that are not finite."""

import json
import math
from typing import Any

from pydantic_core import to_json

from agency_lambda.errors import InvalidRequest


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


def check_json(body: Any) -> None:
    """Refuse values that JSON or UTF-8 cannot hold. Raises InvalidRequest, which names the first of them."""
    try:
        text = to_json(body, inf_nan_mode="constants")
        if b"NaN" in text or b"Infinity" in text:  # perhaps within a text
            json.dumps(body, allow_nan=False)
    except ValueError:
        place, reason = _unsendable(body) or ("", "cannot be sent as JSON.")
        param = place.removeprefix(".") or None
        raise InvalidRequest(f"{param or 'The body'}: {reason}", param=param) from None


def _unsendable(value: Any) -> tuple[str, str] | None:
    """Return where a value is that JSON or UTF-8 cannot hold, and why it cannot; None if there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return "", "NaN and Infinity are no JSON, nor is a number as large as 1e400."
    if isinstance(value, str) and not _is_unicode(value):
        return "", "has half of a surrogate pair, which is no character."
    entries = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    for step, each in entries:
        if found := _unsendable(step) or _unsendable(each):
            # The place is made on the way back, as keys may be long.
            return (f".{step[:99]}" if isinstance(step, str) else f"[{step}]") + found[0], found[1]
    return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
