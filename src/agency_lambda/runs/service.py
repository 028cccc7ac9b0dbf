"""Entry point for routes and workers: creates, resumes, executes, cancels, deletes and decides runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from agency_lambda.approvals.deciders import Client, Decider
from agency_lambda.approvals.model import Approval
from agency_lambda.budgets import Budgets
from agency_lambda.errors import StoreUnavailable, UnsupportedParameter
from agency_lambda.protocol import response_object
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.bounds import FileReference
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.queue import Queue, open_queue
from agency_lambda.queue.messages import Export, Message
from agency_lambda.runs.asked_in_messages import with_requests
from agency_lambda.runs.attempt import Attempt, AttemptOptions
from agency_lambda.runs.cancellation import cancel_all, cancel_run
from agency_lambda.runs.child_runs import ChildRuns, wake_sender
from agency_lambda.runs.decisions import decide
from agency_lambda.runs.deletion import delete_conversation, delete_response
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.idempotency_keys import IdempotentRequest
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.message_rows import wakes
from agency_lambda.runs.model import Run, Sending, StoredResponse
from agency_lambda.runs.outcome import HandedOver, raise_failed
from agency_lambda.runs.owners import Owners
from agency_lambda.runs.preparation import RunPreparation, history_of
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.requests import OnDeadlineResponse, RunRequest, begin
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import OutcomeUncertain
from agency_lambda.runs.time_left import limited_to_invocation
from agency_lambda.settings import Settings
from agency_lambda.store import Store, open_store
from agency_lambda.webhooks.announcements import Announcements
from agency_lambda.webhooks.model import END_EVENTS, StoredDelivery

if TYPE_CHECKING:
    from agency_lambda.files.service import Files
    from agency_lambda.webhooks.delivering import Deliverer

logger = logging.getLogger(__name__)
_CALL_TIMEOUT = 3.0  # seconds for the queue to take a message, or to read a run's state
_EXPORT_DELAY = 3.0  # seconds, in which the end of the run is written


class RunService:
    """What the process has for all its runs: store, queue, models, budgets. Most methods forward to a module."""

    def __init__(self, settings: Settings, *, secrets: Mapping[str, str] | None = None) -> None:
        self.store: Store = open_store(settings.store)
        self.queue: Queue = open_queue(settings.queue)
        self.budgets = Budgets(self.store, settings)
        self.preparation = RunPreparation(
            settings, self.store, self.budgets, secrets, has_queue=self.queue.durable, files=lambda: self.files
        )
        self.announcements = Announcements(self.store)
        self.leases, self.answer_seconds = Leases(self.store), settings.answer_seconds
        self.owners = Owners(self.store, settings.approval_days)
        self.on_asked: Callable[[Sequence[Approval]], None] | None = None  # of a run that has begun to wait
        self._files_url = settings.files
        self._executing = set[asyncio.Task[Any]]()
        self._exports = settings.otel_exporter_otlp_endpoint is not None

    @cached_property
    def deliverer(self) -> "Deliverer":
        from agency_lambda.webhooks.delivering import Deliverer  # which only workers need

        return Deliverer(self.store)

    @cached_property
    def files(self) -> "Files | None":
        """The files of callers; None if there is nowhere to keep them."""
        if self._files_url is None:
            return None
        from agency_lambda.files.service import Files  # which few runs need

        return Files(self.store, self._files_url)

    async def check_files(self, owner: str, named: Sequence[FileReference]) -> None:
        """Refuse files that are not the owner's, or no input. Raises NotFound, UnsupportedParameter, InvalidRequest."""
        if named:
            from agency_lambda.files.inputs import check_inputs

            await check_inputs(self.files, owner, named)

    async def create(
        self,
        body: CreateResponse,
        owner: str,
        idempotent: IdempotentRequest | None = None,
        conversation_name: str | None = None,
        on_deadline_response: OnDeadlineResponse = lambda response: None,
        client: Client | None = None,
    ) -> Attempt | StoredResponse:
        """Return an attempt to execute, or a response that is made elsewhere. client: decides what the body answers."""
        client = client or Client(owner)
        return await begin(self, RunRequest(body, client, idempotent, conversation_name, on_deadline_response))

    async def resume(self, run_id: str, client_timeout: float | None = None) -> Attempt | None:
        """Take the lease of a run, and return the next attempt; None if the run is final, held, waiting or deleted.

        client_timeout: seconds that the client's gateway waits for the response; None if no client asks for it.
        """
        from agency_lambda.runs.resuming import resume  # which no new run needs

        return await resume(self, run_id, client_timeout)

    def attempt(
        self, response: ResponseObject, log: EventLog, repository: RunRepository | None, options: AttemptOptions
    ) -> Attempt:
        """Return an attempt to execute. repository: None for a run that is not stored."""
        child_runs = None
        if repository and self.queue.durable:
            limits = self.preparation.message_limits()
            child_runs = ChildRuns(self, repository.run, history_of(repository.run), limits)
        return Attempt(
            response,
            log,
            repository,
            options,
            durable=self.queue.durable,
            approval_policy=self.preparation.approval_policy,
            announce=partial(self._announced, repository.run) if repository else None,
            child_runs=child_runs,
        )

    async def _announced(self, run: Run, status: str, approvals: list[str]) -> StoredDelivery | None:
        # An export before the end is written, as a process that dies behind it would have sent nothing. A delivery is
        # written with the end, and its message is sent afterwards: the sweep finds it if that is lost.
        if self._exports and status in response_object.FINAL:
            await self.send(Export(run=run.id, owner=run.owner, queued_at=time.time()), _EXPORT_DELAY)
        event = "response.approval_required" if approvals else END_EVENTS[status]
        root = run.stored.sending.shown_in if run.stored.sending else None
        return await self.announcements.announce(run.owner, event, run.id, approvals, root)

    async def execute(self, attempt: Attempt) -> ResponseObject:
        """Make an attempt, and do what follows its end. Returns the response, which is not final if the run goes on.

        Raises ServiceError if the run failed.
        """
        owner = attempt.lease.owner if attempt.lease else ""
        task = asyncio.current_task()
        assert task
        self._executing.add(task)
        try:
            response = await attempt.execute()
            if attempt.asked and attempt.repository and self.on_asked:
                goes_on = attempt.repository.run.stored.continued_by
                self.on_asked([replace(each, run=goes_on or each.run) for each in attempt.asked])
            return response
        except HandedOver as handed_over:
            await self.send(attempt.response["id"], handed_over.after, owner=owner)
            return handed_over.response
        except OutcomeUncertain:
            return await self._stored(attempt)
        finally:
            self._executing.discard(task)
            if attempt.admission:
                await attempt.admission.close()
            if attempt.next_run_id:
                await self.give_turn(owner, attempt.next_run_id)
            if attempt.answered:
                await self.wake_sender(owner, attempt.response["id"], attempt.answered)
            if attempt.delivery:
                await self.send(attempt.delivery.message)

    async def answer(self, attempt: Attempt) -> ResponseObject:
        """Execute an attempt whose client waits, also where it waits for other agents. Raises as `execute`."""
        response = await self.execute(attempt)
        if not attempt.goes_on or attempt.repository is None:
            return response
        with suppress(StoreUnavailable):  # then the response is returned as it was
            stored = await attempt.repository.responses.final(response["id"], attempt.seconds_left)
            response = await self.shown(attempt.repository.run.owner, stored)
        return raise_failed(response)

    async def wake_sender(self, owner: str, run_id: str, answered: Sending) -> None:
        """Queue the sender of a child run that has ended, if all messages of the batch are answered."""
        with suppress(StoreUnavailable):  # then the sweep does
            await wake_sender(self, run_id, wakes(owner, answered))

    async def give_turn(self, owner: str, run_id: str) -> None:
        """Queue the run that has got its conversation's lock."""
        with suppress(StoreUnavailable):  # then it looks for its turn itself, later
            await self.leases.give_turn(run_id)
        await self.send(run_id, owner=owner)

    async def _stored(self, attempt: Attempt) -> ResponseObject:
        if attempt.repository is None:
            return attempt.response
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                stored = await attempt.repository.responses.get(attempt.response["id"])
        except (StoreUnavailable, TimeoutError):
            return attempt.response
        return raise_failed(stored.response)

    async def decide(self, approval: Approval, decision: Decision, decider: Decider) -> str:
        """Return the id of the response that goes on. Raises ApprovalDecided, UnsupportedParameter."""
        if not self.queue.durable:
            raise UnsupportedParameter("Nobody would go on: a decision needs a queue, and QUEUE is not set.")
        return await decide(self, [(approval, decision)], decider)

    async def cancel(self, owner: str, response_id: str) -> ResponseObject:
        return await cancel_run(self, owner, response_id)

    async def cancel_all(self, owner: str) -> tuple[list[ResponseObject], bool]:
        return await cancel_all(self, owner)

    async def delete(self, owner: str, response_id: str) -> None:
        await delete_response(self, owner, response_id)

    async def delete_conversation(self, owner: str, conversation_id: str) -> None:
        await delete_conversation(self, owner, conversation_id)

    async def wait_until_final(self, owner: str, stored: StoredResponse) -> ResponseObject:
        """Wait for another request's foreground run. Raises ServiceError if it failed."""
        response = stored.response
        with suppress(StoreUnavailable):  # then the response is returned as it was
            if not response["background"]:
                stored = await Responses(self.store, owner).final(response["id"], self.answer_seconds)
            response = await self.shown(owner, stored)
        return raise_failed(response)

    async def shown(self, owner: str, stored: StoredResponse) -> ResponseObject:
        """Return a response as its owner sees it."""
        return await with_requests(self.store, owner, stored)

    async def compact(self, request: CompactRequest, owner: str) -> dict[str, Any]:
        return await self.preparation.compact(request, owner, self.check_files)

    async def aclose(self) -> None:
        """Hand over the runs that are still executed, and close what they need."""
        for task in self._executing:
            task.cancel()
        if self._executing:
            await asyncio.wait(self._executing, timeout=_CALL_TIMEOUT)
        await self.preparation.aclose()
        await self.store.aclose()
        await self.queue.aclose()
        if files := self.__dict__.get("files"):
            await files.aclose()

    async def send_runs(self, run_ids: Sequence[str], *, owner: str) -> None:
        """Queue runs together, or log that the queue did not take them."""
        try:
            async with asyncio.timeout(limited_to_invocation(_CALL_TIMEOUT)):
                await self.queue.send_runs(run_ids, owner=owner)
        except Exception:
            logger.exception("the queue did not take %d runs", len(run_ids))

    async def send(self, message: Message, after: float = 0.0, *, owner: str = "") -> None:
        """Queue a message, or log that the queue did not take it. owner: whose run it is."""
        try:
            async with asyncio.timeout(limited_to_invocation(_CALL_TIMEOUT)):
                await self.queue.send(message, after, owner=owner)
        except Exception:
            logger.exception("the queue did not take the message %s", message)
