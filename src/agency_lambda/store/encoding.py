"""What both stores hold to: how a body is kept, and what can be written together."""

import json
import zlib
from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json, to_json, to_jsonable_python

from agency_lambda.store import Change, StoreUnavailable

_AT_ONCE = 25
_PARTITION, _SORT = 2048, 1024  # bytes of a key: DynamoDB's limits
_PLAIN = 1024  # bytes up to which compressing is not worth the time


def encode_body(body: Any) -> bytes:
    """Compact JSON, compressed where that helps."""
    try:
        plain = to_json(body)
    except ValueError:  # only ASCII's escapes can hold one half of a surrogate pair
        plain = json.dumps(body, separators=(",", ":"), default=to_jsonable_python).encode("ascii")
    return plain if len(plain) <= _PLAIN else min(plain, zlib.compress(plain), key=len)


def decode_body(data: bytes) -> tuple[Any, int]:
    """Return the body again, and its size. What zlib has compressed starts with an x, as no JSON does."""
    try:
        plain = zlib.decompress(data) if data.startswith(b"x") else data
        return _read(plain), len(plain)
    except (zlib.error, ValueError) as error:
        raise StoreUnavailable("A stored record is damaged.") from error


def _read(plain: bytes) -> Any:
    try:
        return from_json(plain)
    except ValueError:  # it takes no half of a surrogate pair, and not every depth
        return json.loads(plain)


def check_changes(changes: Sequence[Change]) -> None:
    """Refuse as a defect, with either store, what DynamoDB could not write."""
    keys = {(change.partition, change.sort) for change in changes}
    if len(keys) < len(changes) or len(changes) > _AT_ONCE:
        raise ValueError(f"One write takes up to {_AT_ONCE} changes, each of another record.")
    for partition, sort in keys:
        if not (0 < len(partition.encode()) <= _PARTITION and 0 < len(sort.encode()) <= _SORT):
            raise ValueError(f"A partition has 1 to {_PARTITION} bytes, a sort 1 to {_SORT}.")
