"""Which response a request with an Idempotency-Key has made. A key is known for a day."""

import hashlib
import time

from agency_lambda.errors import IdempotencyKeyReused
from agency_lambda.store import ABSENT, Put, Store

_KEPT = 24 * 3600  # seconds


class IdempotencyKeys:
    """The Idempotency-Keys of one owner."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner

    async def find(self, key: str, body: bytes) -> str | None:
        """Return the response's id. Raises IdempotencyKeyReused."""
        record = await self._store.get(self._partition(key), "claim")
        if record is None:
            return None
        if record.body["body"] != _digest(body):
            raise IdempotencyKeyReused("This Idempotency-Key was used with another request.")
        return str(record.body["response"])

    def put(self, key: str, body: bytes, response_id: str) -> Put:
        """Return the change that claims a key for a response. It conflicts if another request was first."""
        claim = {"body": _digest(body), "response": response_id}
        return Put(self._partition(key), "claim", claim, int(time.time()) + _KEPT, expected=ABSENT)

    def _partition(self, key: str) -> str:
        return f"{self._owner}/idempotency/{hashlib.sha256(key.encode()).hexdigest()}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
