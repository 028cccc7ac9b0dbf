"""One attempt at a run: the agents answer, and what they said is kept, all of it or none."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from agency_lambda.errors import (
    INTERNAL,
    AnswerTooLarge,
    AttemptsExhausted,
    Interrupted,
    LoopMisused,
    OutcomeUnknown,
    OutOfTime,
    ServiceError,
    StoreUnavailable,
    UpstreamFailed,
    error_field,
)
from agency_lambda.framework.interruptions import AnswerNotStored, AttemptOver
from agency_lambda.protocol import bounds, response_object
from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.protocol.types import Event
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.leases import TIME, Lease
from agency_lambda.runs.repository import LeaseLost, OutcomeUncertain, RunRepository
from agency_lambda.runs.run_metrics import log_fields, usage
from lambda_loop import DeadlineExceeded, EventLoopConflict, current_invocation, seconds_remaining

if TYPE_CHECKING:
    from agency_lambda.framework.execution import AgencyExecution, Answer

logger = logging.getLogger(__name__)
_FLUSH = 0.5  # seconds between writes of events
_RENEW = 3.0  # seconds between renewals of the lease, which is when it is seen that somebody wants the run to end
MOST_ATTEMPTS = 5
_LONGEST_WAIT = 300.0  # seconds that a provider may ask to wait
_HANDING_OVER = 10.0  # seconds for the writes that hand a run over
_LAST_WORDS = 10.0  # seconds that cancelled agents may take to end; those that leave for another attempt take less
_BACKOFF = 2.0  # seconds before the second attempt after a failure of the model; then twice as long each time

Stop = Literal["cancelled", "lost", "handed over", "given up", "interrupted", "unsettled"]


class HandedOver(Exception):
    """The run goes on in another attempt, elsewhere or later; `response` is how it stands now. after: seconds."""

    def __init__(self, response: ResponseObject, after: float = 0.0) -> None:
        self.response, self.after = response, after


class Attempt:
    """A run that has begun. live: its events are wanted. keeping: None for a run that is not stored.

    durable: somebody takes it up again if this attempt has to stop. patience: seconds that the client's gateway waits.
    """

    execution: "AgencyExecution | None" = None

    def __init__(
        self,
        response: ResponseObject,
        live: bool,
        keeping: RunRepository | None,
        *,
        durable: bool,
        patience: float = math.inf,
    ) -> None:
        from agency_lambda.framework.models import Meter

        self.response, self.live, self.keeping, self._durable = response, live, keeping, durable
        self.meter, self.feed = Meter(), EventLog()
        self.output = OutputBuilder(self.feed.emit if live else _to_nobody, response["id"])
        self.log_fields: dict[str, Any] = {}
        self.stopped: Stop | None = None
        self._over = False  # nothing may begin any more
        self._loop: asyncio.AbstractEventLoop | None = None
        self._saving = asyncio.Lock()
        self._refused: ServiceError | None = None
        self._agents: asyncio.Task[Answer] | None = None
        self._task: asyncio.Task[ResponseObject] | None = None
        queued = keeping.lease.queued_at if keeping else time.time()
        self.waited = round(1000 * max(time.time() - queued, 0.0), 1)  # milliseconds since it was asked for
        left = seconds_remaining()
        self._margin = 0.0 if left is None else min(2.5, 0.25 * left)
        self._patient_until = time.monotonic() + patience

    async def execute(self) -> ResponseObject:
        """Run to the end; returns the response when it is kept.

        Raises:
            ServiceError: the run failed; its response says so too, and stays so.
            HandedOver: time is up, or the model is out of order: another attempt goes on.
            OutcomeUncertain: it may go on, for the store is away or another attempt has it (LeaseLost).
        """
        started, keeper = time.monotonic(), None
        try:
            await self._begin()
            keeper = asyncio.create_task(self._keep())
            return await self._answer()
        except LeaseLost:
            self.stopped = "lost"
            raise
        finally:
            self._over = True
            if keeper:
                keeper.cancel()
            self.feed.end()
            self.log_fields = log_fields(self, time.monotonic() - started)
            if invocation := current_invocation.get():
                invocation.report.fields.update(self.log_fields)

    def follow(self, execution: Coroutine[Any, Any, ResponseObject]) -> AsyncGenerator[Event]:
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

    @property
    def goes_on(self) -> bool:
        """Return whether another attempt takes the run up if this one does not end it."""
        return self.keeping is not None and self._durable

    def last_stored(self) -> int:
        """Return the number of the last event that a later attempt knows of."""
        return self.feed.last_kept if self.goes_on else len(self.feed.events) - 1

    async def authorize(self) -> None:
        """Return if a model may be asked, or a tool be called.

        Raises:
            AttemptOver: not any more. A process that slept may find that another attempt has the run, or has ended it.
            AnswerNotStored: nobody can say, for the store is away.
        """
        if not self.stopped and self.keeping and self.keeping.is_unheard_for(2 * _RENEW):
            try:
                await self._look_after_lease(self.keeping)
            except StoreUnavailable as error:
                if self.keeping.is_unheard_for(TIME / 2):
                    raise AnswerNotStored from error
        if self.stopped or self._over:
            raise AttemptOver

    async def _look_after_lease(self, keeping: RunRepository) -> None:
        if self._loop is asyncio.get_running_loop():
            await self._go_on(keeping)
        elif not await keeping.is_held():  # asked from a thread with a loop of its own
            self.stopped = self.stopped or "lost"

    async def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._abandoned = self._loop.create_future()
        if self.response["status"] == "queued" and self.keeping and not self.stopped:
            begun = {**self.response, "status": "in_progress"}
            try:
                await self.keeping.started(begun)
            except StoreUnavailable as error:
                raise OutcomeUncertain from error
            self.response.update(begun)
        told = {event["type"] for event in self.feed.events[:3]}
        for kind in ("response.created", "response.in_progress"):
            if kind not in told and self.stopped != "unsettled":
                self._tell(kind)

    async def _answer(self) -> ResponseObject:
        if self._refused:
            return await self._fail(self._refused)
        if self.stopped:
            return await self._end_stopped()
        assert self.execution
        self._agents = asyncio.create_task(self.execution.answer())
        try:
            await asyncio.wait({self._agents, self._abandoned}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # noqa: BLE001 - cancelled from outside, or the deadline; raised again in the end
            self.stop("interrupted")
            return await self._end_stopped()
        if self.stopped and not self._has_answered(self._agents):
            return await self._end_stopped()
        agents, self._agents = self._agents, None
        return await self._conclude(agents.result)

    async def _conclude(self, result: "Callable[[], Answer]") -> ResponseObject:
        """End with what the agents have answered, or raised."""
        try:
            answer = result()
        except ServiceError as error:
            return await self._broken_off(error)
        except DeadlineExceeded:  # raised in code that has blocked the loop until then
            return await self._fail(_late())
        except BaseException:  # what their own code has raised, or cancelled
            logger.exception("run %s failed", self.response["id"])
            return await self._fail(ServiceError(INTERNAL))
        try:
            if conflict := self._hidden_conflict():
                raise LoopMisused(str(conflict))
            return await self._end("incomplete" if answer.incomplete else "completed", answer)
        except ServiceError as error:  # its conversation is not there any more
            return await self._fail(error)

    def _hidden_conflict(self) -> EventLoopConflict | None:
        """Return the conflict that the loop puts in place of this answer, in strict mode.

        A worker's attempts share an invocation, and could not tell whose it is.
        """
        invocation, lease = current_invocation.get(), self.keeping.lease if self.keeping else None
        if invocation is None or self.response["background"] or (lease and lease.attempts > 1):
            return None
        return invocation.report.hidden_conflict()

    def _has_answered(self, agents: "asyncio.Task[Answer]") -> bool:
        return agents.done() and not agents.cancelled() and agents.exception() is None

    async def _broken_off(self, error: ServiceError) -> ResponseObject:
        if isinstance(error, StoreUnavailable) and self.goes_on:
            raise OutcomeUncertain from error
        if isinstance(error, StoreUnavailable):
            return await self._fail(OutcomeUnknown(str(error)))
        if isinstance(error, UpstreamFailed) and error.transient and self._may_try_again():
            raise await self._hand_over(error) from error
        return await self._fail(error)

    async def _end_stopped(self) -> ResponseObject:
        """The agents were stopped: by a client, by another attempt, by the clock, or by the end of the process."""
        match self.stopped:
            case "lost":
                raise LeaseLost
            case "unsettled":
                raise OutcomeUncertain
            case "cancelled":
                return await self._end("cancelled")
            case "given up":
                return await self._fail(AttemptsExhausted("The run was interrupted too often, and is given up."))
        if self.goes_on:
            handed_over = await self._hand_over()
            if self.stopped == "handed over":
                raise handed_over
        elif self.stopped == "handed over":
            return await self._fail(_late())
        else:
            with suppress(ServiceError):
                await self._fail(Interrupted("The run was interrupted."))
        raise asyncio.CancelledError

    def _may_try_again(self) -> bool:
        """In the background nobody waits for a model that is out of order."""
        lease = self.keeping.lease if self.keeping else None
        return bool(self.response["background"] and lease and lease.attempts < MOST_ATTEMPTS)

    async def _hand_over(self, error: UpstreamFailed | None = None) -> HandedOver:
        assert self.keeping
        attempts = self.keeping.lease.attempts
        after = max(_BACKOFF * 2 ** (attempts - 1), min(error.retry_after, _LONGEST_WAIT)) if error else 0.0
        try:
            async with asyncio.timeout(_HANDING_OVER):
                await self._save(self.keeping)
                await self.keeping.release(after=after, counts=error is not None)
        except (StoreUnavailable, TimeoutError) as failure:
            raise OutcomeUncertain from failure
        return HandedOver(self.response, after)

    async def _fail(self, error: ServiceError) -> ResponseObject:
        """End as failed, and raise that when it is certain."""
        await self._end("failed", error=error)
        try:
            raise error
        finally:  # its traceback would hold it, and with it what the agents have left open
            del error

    async def _end(
        self, status: str, answer: "Answer | None" = None, error: ServiceError | None = None
    ) -> ResponseObject:
        """The last event is told when the store has it: whoever knows of it may continue from it."""
        self._over = True
        self.output.close()
        output = replace_surrogates(self.output.items)
        fitting = response_object.fit_output(self.response, output)
        if answer and len(fitting) < len(output):
            raise AnswerTooLarge(f"The output of this run has more than {bounds.RESOURCE:,} bytes.")
        if self.execution:
            self.execution.count_not_replayed()
        final = self.response | {
            "status": status,
            "output": fitting,
            "usage": usage(self.meter),
            "completed_at": int(time.time()) if status == "completed" else None,
            "error": error_field(error) if error else None,
            "incomplete_details": {"reason": answer.incomplete} if answer and answer.incomplete else None,
        }
        if self.keeping:
            last = self.feed.next(f"response.{status}", response=final)
            events = [*self.feed.unkept(), last] if self.live else []
            await self.keeping.end(final, answer.history if answer else None, events)
            self.feed.kept(len(events))
        self.response.update(final)
        self._tell(f"response.{status}")
        return self.response

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
                except StoreUnavailable:
                    logger.exception("run %s: could not be kept so far", self.response["id"])
            if self._is_late():
                self.stop("handed over")

    def _is_late(self) -> bool:
        left = seconds_remaining()
        return time.monotonic() > self._patient_until or (left is not None and left < self._margin)

    async def _go_on(self, keeping: RunRepository) -> None:
        try:
            lease = await self._save(keeping)
        except LeaseLost:
            return None if self._over else self.stop("lost")
        if lease.cancelled:
            self.stop("cancelled")

    async def _save(self, keeping: RunRepository) -> Lease:
        """Renew the lease, and store the events that the store does not have."""
        async with self._saving:
            events = self.feed.unkept()
            lease = await keeping.heartbeat(events)
            self.feed.kept(len(events))
            return lease

    def refuse(self, error: ServiceError) -> None:
        """It cannot run at all: executing it says so in its response."""
        self._refused = error

    def stop(self, why: Stop) -> None:
        """End the agents' work here and now. They are not waited for, if their code swallows it again and again."""
        if self.stopped is None and self._loop:
            patience = _LAST_WORDS if why == "cancelled" else min(_LAST_WORDS, self._margin / 2 or 1.0)
            self._loop.call_later(patience, _settle, self._abandoned)
        self.stopped = self.stopped or why
        if self._agents:
            self._agents.cancel()


def _settle(abandoned: asyncio.Future[None]) -> None:
    if not abandoned.done():
        abandoned.set_result(None)


def _late() -> OutOfTime:
    return OutOfTime("The run did not finish before the deadline of this invocation.")


def _to_nobody(kind: str, **fields: Any) -> None:
    """Nobody wants the events of an answer that is sent whole."""
