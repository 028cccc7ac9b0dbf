"""The events of an attempt, for a client that follows it while it is executed."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event

if TYPE_CHECKING:
    from agency_lambda.runs.attempt import Attempt


class AttemptStream:
    """An attempt that is executed now, for a client that follows its events."""

    def __init__(self, attempt: "Attempt", execution: Coroutine[Any, Any, ResponseObject]) -> None:
        self._attempt, self._task = attempt, asyncio.create_task(execution)
        self._last = -1  # number of the last event that was yielded

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the events, also of later attempts where this one has ended to wait for other agents."""
        attempt = self._attempt
        async for event in attempt.log.follow():
            self._last = event["sequence_number"]
            yield event
        if attempt.goes_on and attempt.repository:
            async for event in attempt.repository.responses.events(attempt.response["id"], self._last):
                self._last = event["sequence_number"]
                yield event

    def last_stored(self) -> int:
        """Return the number of the last event from which a client can resume."""
        log = self._attempt.log
        if self._attempt.goes_on:
            return max(log.last_saved, self._last)
        return log.last_saved if self._attempt.is_resumable else len(log.events) - 1

    async def leave(self) -> None:
        """Wait until the attempt has ended; one that is not stored ends now."""
        if self._attempt.repository is None:
            self._task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await self._task
