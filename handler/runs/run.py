"""One attempt at a run: the agents answer, and what they said is kept, all of it or none."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from handler.errors import INTERNAL, GivenUp, Interrupted, OutOfTime, ServiceError, StoreUnavailable, UpstreamFailed
from handler.event_loop import DeadlineExceeded, current, remaining
from handler.protocol.output import Event, Output
from handler.protocol.resource import Resource
from handler.protocol.writable import writable
from handler.runs.account import facts, usage
from handler.runs.feed import Feed
from handler.runs.keeping import Keeping, Lost

if TYPE_CHECKING:
    from handler.runs.answer import Answer, Desk

logger = logging.getLogger(__name__)
_FLUSH = 0.5  # seconds between writes of events
_RENEW = 3.0  # seconds between renewals of the lease, which is when it is seen that somebody wants the run to end
MOST_ATTEMPTS = 5
_LONGEST_WAIT = 300.0  # seconds that a provider may ask to wait
_BACKOFF = 2.0  # seconds before the second attempt after a failure of the model; then twice as long each time

Stop = Literal["cancelled", "lost", "handed over", "given up"]


class HandedOver(Exception):
    """The run goes on in another attempt, elsewhere or later; `response` is how it stands now. after: seconds."""

    def __init__(self, response: Resource, after: float = 0.0) -> None:
        self.response, self.after = response, after


class Run:
    """A run that has begun. live: its events are wanted. keeping: None for a run that is not stored.

    durable: somebody takes it up again if this attempt has to stop. patience: seconds that the client's gateway waits.
    """

    desk: "Desk | None" = None

    def __init__(
        self,
        response: Resource,
        live: bool,
        keeping: Keeping | None,
        *,
        durable: bool,
        patience: float = math.inf,
    ) -> None:
        from handler.models import Meter

        self.response, self.live, self.keeping, self._durable = response, live, keeping, durable
        self.meter, self.feed = Meter(), Feed()
        self.output = Output(self.feed.emit if live else _to_nobody, response["id"])
        self.facts: dict[str, Any] = {}
        self.stopped: Stop | None = None
        self._refused: ServiceError | None = None
        self._agents: asyncio.Task[Answer] | None = None
        self._task: asyncio.Task[Resource] | None = None
        queued = keeping.lease.queued_at if keeping else time.time()
        self.waited = round(1000 * max(time.time() - queued, 0.0), 1)  # milliseconds since it was asked for
        left = remaining()
        self._margin = 0.0 if left is None else min(2.5, 0.25 * left)
        self._patient_until = time.monotonic() + patience

    async def execute(self) -> Resource:
        """Run to the end; returns the response when it is kept.

        Raises:
            ServiceError: the run failed; its response says so too.
            HandedOver: time is up, or the model is out of order: another attempt goes on.
            Lost: another attempt has it.
        """
        await self._begin()
        keeper = asyncio.create_task(self._keep())
        started = time.monotonic()
        try:
            return await self._answer()
        finally:
            keeper.cancel()
            self.feed.end()
            self.facts = facts(self, time.monotonic() - started)
            if invocation := current.get():
                invocation.ledger.facts.update(self.facts)

    def follow(self, execution: Coroutine[Any, Any, Resource]) -> AsyncIterator[Event]:
        """Begin at once, whoever listens, and tell every event as it comes; how it ended, the last one says."""
        self._task = asyncio.create_task(execution)
        return self.feed.follow()

    async def leave(self) -> None:
        """Nobody listens any more: what is stored is finished, anything else is cancelled."""
        assert self._task
        if self.keeping is None:
            self._task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await self._task

    def restore(self, events: list[Event], ids: set[str]) -> None:
        """Go on where an interrupted attempt has ended: after these events. ids: of items that the journal knows."""
        if self.live:
            self.feed.restore(events)
            self.output.restore(events, ids)

    async def _begin(self) -> None:
        if self.response["status"] == "queued" and self.keeping and not self.stopped:
            self.response["status"] = "in_progress"
            await self.keeping.started(self.response)
        told = {event["type"] for event in self.feed.events[:3]}
        for kind in ("response.created", "response.in_progress"):
            if kind not in told:
                self._tell(kind)

    async def _answer(self) -> Resource:
        if self._refused:
            await self._fail(self._refused)
            raise self._refused
        if self.stopped:
            return await self._end_stopped()
        assert self.desk
        self._agents = asyncio.create_task(self.desk.answer())
        try:
            answer = await self._agents
        except ServiceError as error:
            if self.stopped:
                return await self._end_stopped()
            if isinstance(error, UpstreamFailed) and error.passing and self._may_try_again():
                raise await self._hand_over(error) from error
            await self._fail(error)
            raise
        except (asyncio.CancelledError, DeadlineExceeded):
            task = asyncio.current_task()
            if self.stopped is None and task and not task.cancelling():  # the agents' own code has cancelled them
                await self._fail(ServiceError(INTERNAL))
                raise ServiceError(INTERNAL) from None
            self._agents.cancel()
            return await self._end_stopped()
        except Exception:
            if self.stopped:  # what the agents' own code made of being stopped
                return await self._end_stopped()
            logger.exception("run %s failed", self.response["id"])
            await self._fail(ServiceError(INTERNAL))
            raise
        try:
            await self._end("incomplete" if answer.incomplete else "completed", answer)
        except ServiceError as error:  # done, but not kept, and so not done
            await self._fail(error)
            raise
        return self.response

    async def _end_stopped(self) -> Resource:
        """The agents were stopped: by a client, by another attempt, by the clock, or by the end of the process."""
        if self.stopped == "lost":
            raise Lost
        if self.stopped == "cancelled":
            await self._end("cancelled")
            return self.response
        if self.stopped == "given up":
            error = GivenUp("The run was interrupted too often, and is given up.")
            await self._fail(error)
            raise error
        if self.keeping and self._durable:
            handed_over = await self._hand_over()
            if self.stopped == "handed over":
                raise handed_over
            raise asyncio.CancelledError
        if self.stopped == "handed over":
            late = OutOfTime("The run did not finish before the deadline of this invocation.")
            await self._fail(late)
            raise late
        await self._fail(Interrupted("The run was interrupted."))
        raise asyncio.CancelledError

    def _may_try_again(self) -> bool:
        """In the background nobody waits for a model that is out of order."""
        lease = self.keeping.lease if self.keeping else None
        return bool(self.response["background"] and lease and lease.attempts < MOST_ATTEMPTS)

    async def _hand_over(self, error: UpstreamFailed | None = None) -> HandedOver:
        assert self.keeping
        attempts = self.keeping.lease.attempts
        after = max(_BACKOFF * 2 ** (attempts - 1), min(error.after, _LONGEST_WAIT)) if error else 0.0
        await self.keeping.go_on(self.feed.unkept())
        await self.keeping.let_go(after=after, counts=error is not None)
        return HandedOver(self.response, after)

    async def _fail(self, error: ServiceError) -> None:
        if isinstance(error, StoreUnavailable) and self.response["background"]:
            return  # nobody waits: another attempt goes on when the store is back
        try:
            await self._end("failed", error=error)
        except ServiceError:
            logger.exception("run %s: its failure could not be kept", self.response["id"])
            self._tell("response.failed")

    async def _end(self, status: str, answer: "Answer | None" = None, error: ServiceError | None = None) -> None:
        """The last event is told when the store has it: whoever knows of it may continue from it."""
        self.output.close()
        if self.desk:
            self.desk.count_not_replayed()
        self.response |= {
            "status": status,
            "output": writable(self.output.items),
            "usage": usage(self.meter),
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": {"code": error.kind, "message": str(error)} if error else None,
            "incomplete_details": {"reason": answer.incomplete} if answer and answer.incomplete else None,
        }
        if self.keeping:
            last = self.feed.next(f"response.{status}", response=dict(self.response))
            events = [*self.feed.unkept(), last] if self.live else []
            await self.keeping.end(self.response, answer.history if answer else None, events)
        self._tell(f"response.{status}")

    def _tell(self, kind: str) -> None:
        if self.live:
            self.feed.emit(kind, response=dict(self.response))

    async def _keep(self) -> None:
        """While the agents work: keep the events and the lease, and watch the clock."""
        spoken = time.monotonic()
        while self.stopped != "lost":
            await asyncio.sleep(_FLUSH)
            if self.stopped:
                self.stop(self.stopped)  # again: code of the agents may have swallowed it
            if self.keeping and (self.feed.unkept() or time.monotonic() - spoken > _RENEW):
                spoken = time.monotonic()
                try:
                    await self._go_on(self.keeping)
                except ServiceError:
                    logger.exception("run %s: could not be kept so far", self.response["id"])
            if self._is_late():
                self.stop("handed over")

    def _is_late(self) -> bool:
        left = remaining()
        return time.monotonic() > self._patient_until or (left is not None and left < self._margin)

    async def _go_on(self, keeping: Keeping) -> None:
        events = self.feed.unkept()
        try:
            lease = await keeping.go_on(events)
        except Lost:
            return self.stop("lost")
        self.feed.kept(len(events))
        if lease.cancelled:
            self.stop("cancelled")

    def refuse(self, error: ServiceError) -> None:
        """It cannot run at all: executing it says so in its response."""
        self._refused = error

    def stop(self, why: Stop) -> None:
        """End the agents' work here and now."""
        self.stopped = self.stopped or why
        if self._agents:
            self._agents.cancel()


def _to_nobody(kind: str, **fields: Any) -> None:
    """Nobody wants the events of an answer that is sent whole."""
