"""Which response a request with an Idempotency-Key has made. A key is known for a day."""

import hashlib
import time
from dataclasses import dataclass

from agency_lambda.errors import IdempotencyKeyReused
from agency_lambda.store import ABSENT, Put, Store

_KEPT = 24 * 3600  # seconds


@dataclass(frozen=True)
class IdempotentRequest:
    """A request with an Idempotency-Key.

    route: where it was sent, with the agency if the body does not name it. body: as JSON.
    """

    key: str
    route: str
    body: bytes

    @property
    def digest(self) -> str:
        return _digest(self.route.encode(errors="surrogatepass") + b"\n" + self.body)


class IdempotencyKeys:
    """The Idempotency-Keys of one owner."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner

    async def find(self, request: IdempotentRequest) -> str | None:
        """Return the response's id. Raises IdempotencyKeyReused."""
        record = await self._store.get(self._partition(request.key), "claim")
        if record is None:
            return None
        # A claim of an earlier version has the digest of the body alone. It expires within a day.
        is_same = record.body.get("request", request.digest) == request.digest
        if not is_same or record.body["body"] != _digest(request.body):
            raise IdempotencyKeyReused("This Idempotency-Key was used with another request.")
        return str(record.body["response"])

    def put(self, request: IdempotentRequest, response_id: str) -> Put:
        """Return the change that claims a key for a response. It conflicts if another request was first."""
        claim = {"body": _digest(request.body), "request": request.digest, "response": response_id}
        return Put(self._partition(request.key), "claim", claim, int(time.time()) + _KEPT, expected=ABSENT)

    def _partition(self, key: str) -> str:
        return f"{self._owner}/idempotency/{hashlib.sha256(key.encode()).hexdigest()}"


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
