"""Ids with the prefixes of OpenAI's API."""

import hashlib
import uuid

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
    "image_generation_call": "ig",
}


def new_id(kind: str) -> str:
    """Return a random id, such as msg_..., resp_... or conv_..."""
    return f"{_PREFIXES.get(kind, kind)}_{uuid.uuid4().hex}"


def item_id(kind: str, response_id: str, *origin: str) -> str:
    """Return an output item's id, which contains the response's: derived from `origin`, else random."""
    own = hashlib.sha256(chr(0).join(origin).encode()).hexdigest() if origin else uuid.uuid4().hex
    return f"{_PREFIXES.get(kind, kind)}_{response_id.partition('_')[2]}{own[:16]}"


def response_id_of(item: str) -> str:
    return f"resp_{item.partition('_')[2][:32]}"
