"""What somebody else holds and we need at hand: fetched when it is first used, and again when it is too old.

Nothing is fetched at a cold start, so no snapshot of one holds a secret.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from agency_lambda.errors import ServiceError

logger = logging.getLogger(__name__)
_PAUSE = 5.0  # seconds after a failure until somebody asks again
_OLDEST = 900.0  # seconds that a value outlives its source: what was withdrawn must not hold for ever


class RefreshingCache[T]:
    """A value that `fetch` gets, in a worker thread: one at a time, whoever waits gets the same.

    name: for the log. unavailable: raised while there is no value; once there was one, it outlives a failure
    for a quarter of an hour.
    keep: seconds.
    """

    def __init__(self, name: str, fetch: Callable[[], T], unavailable: Callable[[], ServiceError], keep: float) -> None:
        self._name, self._fetch, self._unavailable, self._keep = name, fetch, unavailable, keep
        self._fetching = asyncio.Lock()
        self.clear()

    def clear(self) -> None:
        """As if it had never been fetched."""
        self._held: tuple[T] | None = None
        self._looked, self._fetched, self._lasts = 0.0, 0.0, 0.0

    async def get(self, max_age: float | None = None) -> T:
        """The value. most: seconds that it may be old, where that is not as long as it is kept.

        Raises:
            ServiceError: it cannot be fetched, and never could.
        """
        async with self._fetching:
            if not 0 <= self._age() < (self._lasts if max_age is None else max_age):
                await self._look()
        if self._held is None:
            raise self._unavailable()
        return self._held[0]

    def _age(self) -> float:
        """Seconds since somebody looked. By the wall clock: any other may stand still while Lambda freezes us."""
        return time.time() - self._looked

    async def _look(self) -> None:
        try:
            self._held = (await asyncio.to_thread(self._fetch),)
            self._lasts, self._fetched = self._keep, time.time()
        except Exception:
            if not 0 <= time.time() - self._fetched < _OLDEST:
                self._held = None
            older = "could not be read" if self._held is None else "could not be read again, the older value stays"
            logger.exception("%s %s", self._name, older)
            self._lasts = _PAUSE
        self._looked = time.time()
