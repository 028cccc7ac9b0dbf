"""Which connection a request to the model gets."""

import time
from typing import Any

from openai import AsyncOpenAI

_SWEEP = 1.0  # seconds between two looks at all connections, which close those that have expired


def assign_quickly(client: AsyncOpenAI) -> AsyncOpenAI:
    """Make a client's pool look at the connection that a request gets, instead of at all of them."""
    # By itself it looks twice a request whether any is closed: a fifth of the CPU of a run with 64 clients.
    pool: Any = client._client._transport._pool  # type: ignore[attr-defined]
    pool._assign_requests_to_connections = _Assignment(pool)
    return client


class _Assignment:
    """Does for most requests what the pool would do, and leaves the others to it."""

    def __init__(self, pool: Any) -> None:
        self._pool, self._whole = pool, pool._assign_requests_to_connections
        self._swept = 0.0

    def __call__(self) -> list[Any]:
        now = time.monotonic()
        is_due = now - self._swept > _SWEEP or len(self._pool._connections) > self._pool._max_keepalive_connections
        if not is_due and self._assign_to_idle():
            return []
        self._swept = now
        return self._whole()  # type: ignore[no-any-return]

    def _assign_to_idle(self) -> bool:
        for request in self._pool._requests:
            if request.is_queued():
                connection = self._first_available(request.request.url.origin)
                if connection is None or connection.has_expired():
                    return False
                request.assign_to_connection(connection)
        return True

    def _first_available(self, origin: Any) -> Any:
        connections = self._pool._connections
        return next((each for each in connections if each.is_available() and each.can_handle_request(origin)), None)
