"""One attempt at a run, by one process: it holds the lease, drives the agents, stores events and writes the end."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agency_lambda.approvals.model import Approval
from agency_lambda.errors import (
    INTERNAL,
    AttemptsExhausted,
    Interrupted,
    LoopMisused,
    OutcomeUnknown,
    ServiceError,
    StoreUnavailable,
)
from agency_lambda.framework.interruptions import AnswerNotStored, AttemptOver
from agency_lambda.protocol.messages import Message
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.runs import outcome, run_metrics
from agency_lambda.runs.child_runs import ChildRuns
from agency_lambda.runs.ending import Announce, Ending, GetPolicy
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.heartbeat import Heartbeat
from agency_lambda.runs.model import Sending
from agency_lambda.runs.outcome import HandedOver
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import LeaseLost, OutcomeUncertain
from agency_lambda.runs.transitions import STOPS, RunEvent, Stop
from agency_lambda.runs.usage import PaidCalls
from agency_lambda.runs.waiting import MessagesAnswered, WaitOver
from lambda_loop import DeadlineExceeded

if TYPE_CHECKING:
    from agency_lambda.framework.execution import AgencyExecution, AgencyResult
    from agency_lambda.runs.admission import Admission
    from agency_lambda.webhooks.model import StoredDelivery

logger = logging.getLogger(__name__)
_RELEASE_TIMEOUT = 10.0  # seconds for the writes that hand a run over


@dataclass(frozen=True, kw_only=True)
class AttemptOptions:
    """What an attempt begins with, beside its run."""

    execution: "AgencyExecution | None" = None  # None if it is `refused`, or `stopped` from the beginning
    stopped: Stop | None = None  # the reason why it executes nothing, and only ends the run
    refused: ServiceError | None = None  # with which the run fails: it could not be prepared
    admission: "Admission | None" = None
    paid: PaidCalls | None = None  # by earlier attempts, where there is no execution that knows it
    client_timeout: float = math.inf  # seconds that the client's gateway waits for the response
    has_client: bool = True  # whether a client may wait for the response


class Attempt:
    """An attempt that `execute` makes, once.

    repository: None for a run that is not stored. durable: another attempt can follow. announce, approval_policy: see
    `Ending`. child_runs: None if its agents talk in this process only.
    """

    def __init__(
        self,
        response: ResponseObject,
        log: EventLog,
        repository: RunRepository | None,
        options: AttemptOptions,
        *,
        durable: bool,
        approval_policy: GetPolicy | None = None,
        announce: Announce | None = None,
        child_runs: ChildRuns | None = None,
    ) -> None:
        self.response, self.log, self.repository = response, log, repository
        self.execution, self.stopped, self.has_client = options.execution, options.stopped, options.has_client
        self.is_over = False
        self.next_run_id: str | None = None  # it gets the lock of the conversation after this run
        self.answered: Sending | None = None  # the message that this child run has answered
        self._durable, self._refused = durable, options.refused
        self.admission, self.paid = options.admission, options.paid
        self.child_runs = child_runs
        if child_runs and self.execution:
            child_runs.restore(self.execution.open_messages)
        self._ending = Ending(self, announce, approval_policy)
        self.delivery: StoredDelivery | None = None  # to the owner's webhook, of what was written last
        self.asked: list[Approval] = []  # what persons are asked that no earlier attempt has asked
        self.log_fields: dict[str, Any] = {}  # for the log, when it has ended
        self._shared_stream = repository.shared_stream() if repository else None
        self._heartbeat = Heartbeat(self, options.client_timeout)
        self._answers_until = time.monotonic() + options.client_timeout
        self.goes_on = False  # True when it has ended because the run waits for child runs; the client keeps waiting
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agents: asyncio.Task[AgencyResult] | None = None
        self.lease = repository.lease if repository else None  # as this attempt has taken it
        self.begun_at = time.time()

    async def execute(self) -> ResponseObject:
        """Return the response when it is stored.

        Raises:
            ServiceError: the run failed for good.
            HandedOver: another attempt follows.
            OutcomeUncertain: the store is away, or another attempt has the lease.
        """
        started, heartbeat = time.monotonic(), None
        try:
            await self._start()
            heartbeat = asyncio.create_task(self._heartbeat.run())
            return await self._execute_agents()
        except LeaseLost:
            self.stopped = "lost"
            if self.repository:
                await self.repository.purge_if_deleted()
            raise
        finally:
            self.is_over = True
            if heartbeat:
                heartbeat.cancel()
            self.log.end()
            self.log_fields = run_metrics.report(self, time.monotonic() - started)

    @property
    def seconds_left(self) -> float:
        """Return how long its client waits for the response."""
        return self._answers_until - time.monotonic()

    @property
    def is_resumable(self) -> bool:
        """Return whether another attempt can go on if this one ends now."""
        return self.repository is not None and self._durable

    async def authorize(self) -> None:
        """Raise AttemptOver, or AnswerNotStored if the store is away."""
        await self._heartbeat.check_lease()
        if self.stopped or self.is_over:
            raise AttemptOver

    async def _send_message(
        self, message: Message, memory: Sequence[Item], shared: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        assert self.child_runs
        await self.authorize()
        try:
            return await self.child_runs.send(message, memory, shared)
        except StoreUnavailable as error:
            raise AnswerNotStored from error

    async def show(self) -> None:
        """Show what this child run does in its root's stream."""
        if self._shared_stream:
            with suppress(StoreUnavailable):  # then the root shows it when it goes on
                await self._shared_stream.show(self.log.events)

    def stop(self, why: Stop) -> None:
        """End the agents' work now; the first reason counts."""
        if self.stopped is None and self._loop:
            self._loop.call_later(self._heartbeat.settle_seconds(why), self._settle_timeout.cancel)
        self.stopped = self.stopped or why
        if self._agents:
            self._agents.cancel()

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._settle_timeout = self._loop.create_future()
        counts = self.admission is not None and self.admission.counts_again
        if (self.response["status"] == "queued" or counts) and self.repository and not self.stopped:
            try:
                await self.repository.start(counts=counts)
            except StoreUnavailable as error:
                raise OutcomeUncertain from error
            if self.admission:
                self.admission.take_over()
            self.response = self.repository.run.stored.response
        if self.stopped != "uncertain":
            self.log.emit_start(self.response)

    async def _execute_agents(self) -> ResponseObject:
        if self._refused:
            return await self._fail(self._refused)
        if self.stopped:
            return await self._end_stopped()
        assert self.execution
        self._agents = asyncio.create_task(self.execution.run(self.authorize, self._send_message))
        try:
            await asyncio.wait({self._agents, self._settle_timeout}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # noqa: BLE001 - cancelled from outside, or the deadline; raised again in the end
            self.stop("interrupted")
            return await self._end_stopped()
        if self.stopped and not outcome.has_answered(self._agents):
            return await self._end_stopped()
        agents, self._agents = self._agents, None
        return await self._conclude(agents.result)

    async def _conclude(self, get_result: "Callable[[], AgencyResult]") -> ResponseObject:
        try:
            result = get_result()
        except ServiceError as error:
            return await self._end_failed(error)
        except DeadlineExceeded:  # raised in code that has blocked the loop until then
            return await self._fail(outcome.out_of_time())
        except BaseException:  # whatever the agents' code raised
            logger.exception("run %s failed", self.response["id"])
            return await self._fail(ServiceError(INTERNAL))
        try:
            if conflict := outcome.hidden_conflict(self.response, self._attempts):
                raise LoopMisused(str(conflict))
            if result.asked or result.waits_for_agents:
                return await self._wait(result)
            if result.error:
                return await self._end_failed(result.error, result)
            return await self._ending.end(RunEvent.CUT_SHORT if result.incomplete else RunEvent.COMPLETE, result)
        except ServiceError as error:  # such as a conversation that was deleted
            return await self._fail(error)

    async def _wait(self, result: "AgencyResult") -> ResponseObject:
        self.goes_on = result.waits_for_agents
        try:
            return await self._ending.wait(result)
        except WaitOver as over:  # then another attempt goes on at once
            assert self.repository
            if self.repository.lease.cancelled:
                return await self._ending.end(RunEvent.END_CANCELLED)
            # One that asks again what was decided before it began would go on for ever.
            has_gone_on = self.repository.lease.wake_pending or isinstance(over, MessagesAnswered)
            raise await self._hand_over(counts_as_attempt=not has_gone_on) from None

    async def _end_failed(self, error: ServiceError, result: "AgencyResult | None" = None) -> ResponseObject:
        if isinstance(error, StoreUnavailable) and self.is_resumable:
            raise OutcomeUncertain from error
        if isinstance(error, StoreUnavailable):
            return await self._fail(OutcomeUnknown(str(error)))
        if (after := outcome.seconds_to_retry(self.response, self._attempts, error)) is not None:
            raise await self._hand_over(after, counts_as_attempt=True) from error
        return await self._fail(error, result)

    async def _end_stopped(self) -> ResponseObject:
        assert self.stopped
        event = STOPS[self.stopped][not self.is_resumable]
        if event is None:
            raise LeaseLost if self.stopped == "lost" else OutcomeUncertain
        if event == RunEvent.END_CANCELLED:
            return await self._ending.end(event)
        if event == RunEvent.GIVE_UP:
            return await self._fail(AttemptsExhausted("The run was interrupted too often, and is given up."))
        if event == RunEvent.RELEASE:
            handed_over = await self._hand_over()
            if self.stopped == "handed over":
                raise handed_over
        elif self.stopped == "handed over":
            return await self._fail(outcome.out_of_time())
        else:
            with suppress(ServiceError):
                await self._fail(Interrupted("The run was interrupted."))
        raise asyncio.CancelledError

    @property
    def _attempts(self) -> int:
        return self.lease.attempts - self.lease.attempts_before_wait if self.lease else 0

    async def _hand_over(self, after: float = 0.0, *, counts_as_attempt: bool = False) -> HandedOver:
        assert self.repository
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT):
                await self._heartbeat.save(self.repository)
                self.is_over = True
                shown = None if self.log.records_events else outcome.partial_response(self.response, self.log.output)
                await self.repository.release(after=after, counts_as_attempt=counts_as_attempt, response=shown)
        except (StoreUnavailable, TimeoutError) as failure:
            raise OutcomeUncertain from failure
        return HandedOver(self.response, after)

    async def _fail(self, error: ServiceError, result: "AgencyResult | None" = None) -> ResponseObject:
        event = RunEvent.GIVE_UP if isinstance(error, AttemptsExhausted) else RunEvent.FAIL
        await self._ending.end(event, result, error=error)
        try:
            raise error
        finally:  # its traceback would hold it, and with it what the agents have left open
            del error
