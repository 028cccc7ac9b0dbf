import asyncio
import logging
import time
from collections.abc import Callable

from agency_lambda.errors import ServiceError

logger = logging.getLogger(__name__)
_RETRY_AFTER = 5.0  # seconds from a failure to the next attempt
_MAX_STALE = 900.0  # seconds that a value is served while its source fails


class RefreshingCache[T]:
    """A value that `fetch` loads in a thread, again after `ttl` seconds."""

    def __init__(self, name: str, fetch: Callable[[], T], unavailable: Callable[[], ServiceError], ttl: float) -> None:
        self._name, self._fetch, self._unavailable, self._ttl = name, fetch, unavailable, ttl
        self._fetching = asyncio.Lock()
        self.clear()

    def clear(self) -> None:
        # Nothing is fetched at a cold start, so that no snapshot holds a secret.
        self._value: tuple[T] | None = None
        self._tried_at, self._fetched_at, self._valid_for = 0.0, 0.0, 0.0

    async def get(self, max_age: float | None = None) -> T:
        """Return a value at most `max_age` seconds old, or a stale one if `fetch` fails."""
        async with self._fetching:
            # The wall clock, as a monotonic one may stop while Lambda freezes the process.
            age = time.time() - self._tried_at
            if not 0 <= age < (self._valid_for if max_age is None else max_age):
                await self._refresh()
        if self._value is None:
            raise self._unavailable()
        return self._value[0]

    async def _refresh(self) -> None:
        try:
            self._value = (await asyncio.to_thread(self._fetch),)
            self._valid_for, self._fetched_at = self._ttl, time.time()
        except Exception:
            if not 0 <= time.time() - self._fetched_at < _MAX_STALE:
                self._value = None
            outcome = "could not be read" if self._value is None else "could not be read again, the older value stays"
            logger.exception("%s %s", self._name, outcome)
            self._valid_for = _RETRY_AFTER
        self._tried_at = time.time()
