import json
import zlib
from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json, to_json, to_jsonable_python

from agency_lambda.store import Change, StoreUnavailable

_MAX_CHANGES = 100  # as many as a transaction of DynamoDB takes
_MAX_PARTITION, _MAX_SORT = 2048, 1024  # bytes of a key: DynamoDB's limits
_COMPRESS_FROM = 1024  # bytes; for less it is not worth the time


class TooLarge(Exception):
    """A body is to be decoded in a thread."""


def encode_body(body: Any) -> bytes:
    return compress(encode_json(body))


def encode_json(body: Any) -> bytes:
    try:
        return to_json(body)
    except ValueError:  # half of a surrogate pair, which only an ASCII escape can hold
        return json.dumps(body, separators=(",", ":"), default=to_jsonable_python).encode("ascii")


def compress(plain: bytes) -> bytes:
    return plain if len(plain) <= _COMPRESS_FROM else min(plain, zlib.compress(plain), key=len)


def decode_body(data: bytes, largest: int = 0) -> tuple[Any, int]:
    """Return the body and its bytes as JSON. largest: 0 for any. Raises StoreUnavailable, TooLarge."""
    try:
        plain = _decompress(data, largest) if data.startswith(b"x") else data  # zlib's first byte; no JSON begins so
        return _parse(plain), len(plain)
    except (zlib.error, ValueError) as error:
        raise StoreUnavailable("A stored record is damaged.") from error


def _decompress(data: bytes, largest: int) -> bytes:
    decompressor = zlib.decompressobj()
    plain = decompressor.decompress(data, largest)
    if largest and len(plain) >= largest:
        raise TooLarge
    if not decompressor.eof:
        raise zlib.error("its end is missing")
    return plain


def _parse(plain: bytes) -> Any:
    try:
        return from_json(plain)
    except ValueError:  # pydantic_core refuses halves of surrogate pairs, and deep nesting
        return json.loads(plain)


def check_changes(changes: Sequence[Change]) -> None:
    """Raise ValueError for changes that DynamoDB refuses."""
    keys = {(change.partition, change.sort) for change in changes}
    if len(keys) < len(changes) or len(changes) > _MAX_CHANGES:
        raise ValueError(f"One write takes up to {_MAX_CHANGES} changes, each of another record.")
    for partition, sort in keys:
        if not (0 < len(partition.encode()) <= _MAX_PARTITION and 0 < len(sort.encode()) <= _MAX_SORT):
            raise ValueError(f"A partition has 1 to {_MAX_PARTITION} bytes, a sort 1 to {_MAX_SORT}.")
