import asyncio
import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from agency_lambda.approvals.deciders import Client, Decider
from agency_lambda.approvals.model import Approval
from agency_lambda.budgets import Budgets
from agency_lambda.errors import (
    AttemptsExhausted,
    ConversationBusy,
    NotFound,
    SecretUnavailable,
    ServiceError,
    StoreUnavailable,
    UnsupportedParameter,
)
from agency_lambda.history.conversations import conversation_waits
from agency_lambda.protocol import response_object
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.queue import Queue, open_queue
from agency_lambda.queue.messages import Export, Message
from agency_lambda.runs.admission import NOT_ADMITTED, admit, readmit
from agency_lambda.runs.answers import answer, answers_approvals
from agency_lambda.runs.attempt import Attempt
from agency_lambda.runs.cancellation import cancel_all, cancel_run
from agency_lambda.runs.creation import new_run, refuse_contradictions
from agency_lambda.runs.decisions import decide
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.following import limited_to_invocation
from agency_lambda.runs.idempotency_keys import IdempotencyKeys
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import RETENTION, StoredResponse
from agency_lambda.runs.outcome import MOST_ATTEMPTS, HandedOver, raise_failed
from agency_lambda.runs.owners import Owners
from agency_lambda.runs.paid_calls import load_paid_calls
from agency_lambda.runs.preparation import RunPreparation
from agency_lambda.runs.repository import OutcomeUncertain, RunRepository, delete_run, load_run, purge
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.transitions import Stop
from agency_lambda.settings import Settings
from agency_lambda.store import Change, Conflict, Store, open_store
from agency_lambda.webhooks.announcements import Announcements
from agency_lambda.webhooks.model import END_EVENTS, StoredDelivery

if TYPE_CHECKING:
    from agency_lambda.webhooks.delivering import Deliverer

logger = logging.getLogger(__name__)
_CALL_TIMEOUT = 3.0  # seconds for the queue to take a message, or to read a run's state
_EXPORT_DELAY = 3.0  # seconds, in which the end of the run is written
_TURN_PAUSE = 3600.0  # seconds until a run that waits behind one that waits for a person looks for its turn
_LOCKED_PAUSE = 5.0  # seconds until a run that waits for its conversation is tried again, without a message

IdempotentRequest = tuple[str, bytes]
"""An Idempotency-Key header, and the body of its request as JSON."""
# Sets what the invocation answers if it ends before the run. None: it was not stored, so nothing ends it later.
OnDeadlineResponse = Callable[[ResponseObject | None], None]


class RunService:
    """Shares the models, the store and the queue among runs."""

    def __init__(self, settings: Settings, *, secrets: Mapping[str, str] | None = None) -> None:
        self.store: Store = open_store(settings.store)
        self.queue: Queue = open_queue(settings.queue)
        self.budgets = Budgets(self.store, settings)
        self._preparation = RunPreparation(settings, self.store, self.budgets, secrets)
        self.announcements = Announcements(self.store)
        self._leases, self._answer_seconds = Leases(self.store), settings.answer_seconds
        self.owners = Owners(self.store, settings.approval_days)
        self.on_asked: Callable[[Sequence[Approval]], None] | None = None  # of a run that has begun to wait
        self._exports = settings.otel_exporter_otlp_endpoint is not None

    @cached_property
    def deliverer(self) -> "Deliverer":
        from agency_lambda.webhooks.delivering import Deliverer  # which only workers need

        return Deliverer(self.store)

    async def create(
        self,
        request: CreateResponse,
        owner: str,
        idempotent_request: IdempotentRequest | None = None,
        conversation_name: str | None = None,
        on_deadline_response: OnDeadlineResponse = lambda response: None,
        client: Client | None = None,
    ) -> Attempt | StoredResponse:
        """Return an attempt to execute, or a response that is made elsewhere. client: decides what it answers."""
        refuse_contradictions(request, has_key=idempotent_request is not None, has_queue=self.queue.durable)
        keys = IdempotencyKeys(self.store, owner)
        while True:
            if idempotent_request and (original_id := await keys.find(*idempotent_request)):
                return await self._replay_idempotent(request, owner, original_id, on_deadline_response)
            try:
                if answers_approvals(request):
                    return await self._answer(
                        request, client or Client(owner), idempotent_request, on_deadline_response
                    )
                return await self._create(request, owner, idempotent_request, conversation_name, on_deadline_response)
            except Conflict:
                on_deadline_response(None)  # another request wrote one of its records first: read them again
            except (StoreUnavailable, *NOT_ADMITTED):
                on_deadline_response(None)
                raise
            except ConversationBusy as busy:
                is_waiting = await self._leases.is_waiting(busy.run_id)
                if request.cancel_waiting:
                    if is_waiting and busy.run_id:
                        await self.cancel(owner, busy.run_id)
                    request = request.model_copy(update={"cancel_waiting": None})
                    continue
                await self._fail_orphan(busy)
                if not (idempotent_request and await keys.find(*idempotent_request)):
                    # else it is busy with this very request
                    raise (conversation_waits(busy.run_id) if is_waiting else busy) from None

    async def _create(
        self,
        request: CreateResponse,
        owner: str,
        idempotent_request: IdempotentRequest | None,
        conversation_name: str | None,
        on_deadline_response: OnDeadlineResponse,
    ) -> Attempt | StoredResponse:
        run = await new_run(self.store, request, owner, conversation_name)
        response, log = run.stored.response, EventLog(run.id, records_events=run.stored.is_streamed)
        execution = await self._preparation.prepare(run, log, request)
        if response["store"] and self.queue.durable:
            on_deadline_response(response)
        keys = IdempotencyKeys(self.store, owner)
        puts: list[Change] = [keys.put(*idempotent_request, run.id)] if idempotent_request else []
        puts += self.owners.put_if_new(owner)
        try:
            run, admission = await admit(self.store, self.budgets, run, execution, puts)
        except OutcomeUncertain:
            return self._uncertain(response)
        if response["store"]:
            self.owners.mark_written(owner)
        if response["background"]:
            await self.send(run.id)
            return run.stored
        repository = RunRepository(self.store, run) if response["store"] else None
        client_timeout = math.inf if log.records_events else self._answer_seconds
        options = {"execution": execution, "client_timeout": client_timeout, "admission": admission}
        return self._attempt(run.stored.response, log, repository, **options)

    async def _answer(
        self,
        request: CreateResponse,
        client: Client,
        idempotent_request: IdempotentRequest | None,
        on_deadline_response: OnDeadlineResponse,
    ) -> Attempt | StoredResponse:
        stored = await answer(self, request, client, idempotent_request)
        if stored.response["background"]:
            return stored
        if self.queue.durable:
            on_deadline_response(stored.response)
        client_timeout = math.inf if stored.is_streamed else self._answer_seconds
        return await self.resume(stored.response["id"], client_timeout=client_timeout) or stored

    async def _replay_idempotent(
        self, request: CreateResponse, owner: str, response_id: str, on_deadline_response: OnDeadlineResponse
    ) -> Attempt | StoredResponse:
        response = response_object.new_response(request, response_id, request.conversation_id)
        on_deadline_response(response)
        try:
            return await Responses(self.store, owner).get(response_id)
        except StoreUnavailable:
            return self._uncertain(response)

    def _uncertain(self, response: ResponseObject) -> Attempt:
        # The run may be stored or not: this attempt executes nothing, and returns the response as it is.
        return self._attempt(response, EventLog(response["id"], records_events=False), stopped="uncertain")

    async def _fail_orphan(self, busy: ConversationBusy) -> None:
        # Without a queue nobody resumes the run that holds the lock, if its process died.
        if busy.run_id and not self.queue.durable and (attempt := await self.resume(busy.run_id)) is not None:
            attempt.stop("given up")
            with suppress(AttemptsExhausted):
                await self.execute(attempt)

    async def resume(self, run_id: str, **options: Any) -> Attempt | None:
        """Take the lease of a run, and return the next attempt; None if the run is final, held, waiting or deleted."""
        lease = await self._leases.take(run_id, uuid.uuid4().hex)
        if lease is None:
            return None
        try:
            run = await load_run(self.store, lease.owner, run_id, lease)
        except NotFound:  # its response was deleted
            await purge(self.store, lease.owner, run_id, lease)
            return None
        repository = RunRepository(self.store, run)
        if run.waits_for_conversation and not lease.cancelled:
            await self._wait_for_turn(repository)
            return None
        return await self._resumed(repository, **options)

    async def _wait_for_turn(self, repository: RunRepository) -> None:
        conversation = repository.run.conversation
        assert conversation
        active = await self._leases.find(conversation.active_run_id) if conversation.active_run_id else None
        if active and active.is_waiting:
            now = time.time()
            await repository.wait_for_turn(now + _TURN_PAUSE, int(max(active.until, now)) + RETENTION)
        else:
            await repository.release(after=_LOCKED_PAUSE, counts_as_attempt=False)

    async def _resumed(self, repository: RunRepository, **more: Any) -> Attempt:
        run, lease = repository.run, repository.lease
        log = EventLog(run.id, records_events=run.stored.is_streamed)
        events = await repository.responses.stored_events(run.id)
        given_up: Stop | None = "given up" if lease.attempts - lease.forgiven > MOST_ATTEMPTS else None
        stopped = "cancelled" if lease.cancelled else given_up
        execution, refused = None, None
        if not stopped:
            try:
                execution = await self._preparation.prepare(run, log)
            except (StoreUnavailable, SecretUnavailable):  # another attempt may succeed
                raise
            except ServiceError as error:  # such as a conversation that was deleted
                refused = error
        log.output.hide(await repository.shown_before())
        log.restore(events, execution.item_ids if execution else set(), run.stored.response["output"])
        admission = readmit(self.store, run, execution)
        paid = None if execution else await load_paid_calls(self.store, run.owner, run.stored.root)
        options = {"execution": execution, "stopped": stopped, "refused": refused, "admission": admission, "paid": paid}
        options |= more
        return self._attempt(run.stored.response, log, repository, **options)

    def _attempt(
        self, response: ResponseObject, log: EventLog, repository: RunRepository | None = None, **options: Any
    ) -> Attempt:
        if repository:
            options["announce"] = partial(self._announced, response["id"], repository.run.owner)
        policy = self._preparation.approval_policy
        return Attempt(response, log, repository, durable=self.queue.durable, approval_policy=policy, **options)

    async def _announced(self, run_id: str, owner: str, status: str, approvals: list[str]) -> StoredDelivery | None:
        # An export before the end is written, as a process that dies behind it would have sent nothing. A delivery is
        # written with the end, and its message is sent afterwards: the sweep finds it if that is lost.
        if self._exports and status in response_object.FINAL:
            await self.send(Export(run=run_id, owner=owner, queued_at=time.time()), _EXPORT_DELAY)
        event = "response.approval_required" if approvals else END_EVENTS[status]
        return await self.announcements.announce(owner, event, run_id, approvals)

    async def execute(self, attempt: Attempt) -> ResponseObject:
        """Raises ServiceError if the run failed."""
        try:
            response = await attempt.execute()
            if attempt.asked and self.on_asked:
                self.on_asked(attempt.asked)
            return response
        except HandedOver as handed_over:
            await self.send(attempt.response["id"], handed_over.after)
            return handed_over.response
        except OutcomeUncertain:
            return await self._stored(attempt)
        finally:
            if attempt.admission:
                await attempt.admission.close()
            if attempt.next_run_id:
                await self._give_turn(attempt.next_run_id)
            if attempt.delivery:
                await self.send(attempt.delivery.message)

    async def _give_turn(self, run_id: str) -> None:
        with suppress(StoreUnavailable):  # then it looks for its turn itself, later
            await self._leases.give_turn(run_id)
        await self.send(run_id)

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
        """Cancel a run and delete its response. The history keeps its turn."""
        stored = await Responses(self.store, owner).get(response_id)
        if stored.response["status"] not in response_object.FINAL:
            await self.cancel(owner, response_id)
        if stored.continued_by:
            await self._delete_continuation(owner, stored.continued_by)
        if next_run_id := await delete_run(self.store, owner, response_id):
            await self._give_turn(next_run_id)

    async def _delete_continuation(self, owner: str, response_id: str) -> None:
        # It cannot go on without the journal of the response that is deleted.
        with suppress(NotFound):
            stored = await Responses(self.store, owner).get(response_id)
            if stored.response["status"] not in response_object.FINAL:
                await self.delete(owner, response_id)
            elif stored.continued_by:
                await self._delete_continuation(owner, stored.continued_by)

    async def wait_until_final(self, owner: str, stored: StoredResponse) -> ResponseObject:
        """Wait for another request's foreground run. Raises ServiceError if it failed."""
        if not stored.response["background"]:
            with suppress(StoreUnavailable):  # then the response is returned as it was
                stored = await Responses(self.store, owner).final(stored.response["id"], self._answer_seconds)
        return raise_failed(stored.response)

    async def compact(self, request: CompactRequest, owner: str) -> dict[str, Any]:
        return await self._preparation.compact(request, owner)

    async def aclose(self) -> None:
        await self._preparation.aclose()
        await self.store.aclose()
        await self.queue.aclose()

    async def send(self, message: Message, after: float = 0.0) -> None:
        try:
            async with asyncio.timeout(limited_to_invocation(_CALL_TIMEOUT)):
                await self.queue.send(message, after)
        except Exception:
            logger.exception("the queue did not take the message %s", message)
