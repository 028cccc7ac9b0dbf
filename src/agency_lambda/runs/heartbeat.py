"""A task beside an attempt: stores its events, renews its lease, hands it over near the deadline."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.runs import model
from agency_lambda.runs.model import Lease
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import LeaseLost
from agency_lambda.runs.transitions import Stop
from lambda_loop import seconds_remaining

if TYPE_CHECKING:
    from agency_lambda.runs.attempt import Attempt

logger = logging.getLogger(__name__)
FLUSH = 0.5  # seconds between writes of events
_STOP_TIMEOUT = 10.0  # seconds that cancelled agents may take to end; those that leave for another attempt take less
RENEW = 3.0  # seconds between renewals of the lease, which is when a cancellation is noticed


class Heartbeat:
    """client_timeout: seconds that the client's gateway waits for the response."""

    def __init__(self, attempt: "Attempt", client_timeout: float) -> None:
        self._attempt = attempt
        self._saving = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        left = seconds_remaining()
        self.handover_seconds = 0.0 if left is None else min(2.5, 0.25 * left)  # that handing over takes at most
        self._client_deadline = time.monotonic() + client_timeout

    async def run(self) -> None:
        attempt, renewed = self._attempt, time.monotonic()
        self._loop = asyncio.get_running_loop()
        while attempt.stopped != "lost":
            await asyncio.sleep(FLUSH)
            if attempt.stopped:
                attempt.stop(attempt.stopped)  # again: code of the agents may have swallowed it
            if attempt.repository and (attempt.log.unsaved() or time.monotonic() - renewed > RENEW):
                renewed = time.monotonic()
                try:
                    await self._renew(attempt.repository)
                except StoreUnavailable:
                    logger.exception("run %s: its events could not be stored yet", attempt.repository.run.id)
            if self._must_hand_over():
                attempt.stop("handed over")

    def settle_seconds(self, why: Stop) -> float:
        """Return how long the agents may take to end when they are stopped."""
        return _STOP_TIMEOUT if why == "cancelled" else min(_STOP_TIMEOUT, self.handover_seconds / 2 or 1.0)

    async def save(self, repository: RunRepository) -> Lease:
        """Renew the lease, and store new events. Raises LeaseLost."""
        async with self._saving:
            events, execution = self._attempt.log.unsaved(), self._attempt.execution
            lease = await repository.heartbeat(events, execution.pending if execution else {})
            self._attempt.log.mark_saved(len(events))
            await self._attempt.show()
            return lease

    async def check_lease(self) -> None:
        """Check a lease that was not renewed lately: the process may have slept. Raises AnswerNotStored."""
        repository = self._attempt.repository
        if self._attempt.stopped or repository is None or not repository.is_unheard_for(2 * RENEW):
            return
        try:
            if self._loop is asyncio.get_running_loop():
                await self._renew(repository)
            elif not await repository.is_held():  # asked from a thread with a loop of its own
                self._attempt.stop("lost")
        except StoreUnavailable as error:
            if repository.is_unheard_for(model.LEASE_SECONDS / 2):
                raise AnswerNotStored from error

    async def _renew(self, repository: RunRepository) -> None:
        try:
            lease = await self.save(repository)
        except LeaseLost:
            return None if self._attempt.is_over else self._attempt.stop("lost")
        if lease.cancelled:
            self._attempt.stop("cancelled")

    def _must_hand_over(self) -> bool:
        left = seconds_remaining()
        return time.monotonic() > self._client_deadline or (left is not None and left < self.handover_seconds)
