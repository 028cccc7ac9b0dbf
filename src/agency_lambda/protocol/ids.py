"""Ids with the prefixes of OpenAI's API."""

import hashlib
import re
import time
import uuid

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
    "image_generation_call": "ig",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
}
_TIMED = ("resp", "conv", "evt", "mcp_approval_request")  # ids that lists are sorted by
_UUID7 = re.compile(r"[a-z]+[_-]([0-9a-f]{12})7([0-9a-f]{3})[89ab][0-9a-f]{15}")


def new_id(kind: str) -> str:
    if kind == "file":
        return f"file-{_uuid7()}"
    return f"{_PREFIXES.get(kind, kind)}_{_uuid7() if kind in _TIMED else uuid.uuid4().hex}"


def is_file_id(text: object) -> bool:
    """Return whether it may be a file of this service. A provider's ids have another form."""
    return isinstance(text, str) and text.startswith("file-") and _UUID7.fullmatch(text) is not None


def created_microseconds(text: str) -> int | None:
    """Return when an id was made, in Unix microseconds; None if it does not say so."""
    timed = _UUID7.fullmatch(text)
    return timed and 1000 * int(timed[1], 16) + -(-1000 * int(timed[2], 16) // 4096)


def _uuid7() -> str:
    """Return a UUID of version 7 with microseconds (RFC 9562, method 3)."""
    milliseconds, microseconds = divmod(time.time_ns() // 1000, 1000)
    random = uuid.uuid4().hex[16:]  # begins with the variant
    return f"{milliseconds:012x}7{microseconds * 4096 // 1000:03x}{random}"


def item_id(kind: str, response_id: str, *origin: str) -> str:
    """Return an id that contains the response's: derived from `origin`, else random."""
    own = hashlib.sha256(chr(0).join(origin).encode()).hexdigest() if origin else uuid.uuid4().hex
    return f"{_PREFIXES.get(kind, kind)}_{response_id.partition('_')[2]}{own[:16]}"


def response_id_of(item: str) -> str:
    return f"resp_{item.partition('_')[2][:32]}"
