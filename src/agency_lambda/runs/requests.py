"""What a request makes: a new run, the one that it repeats, or the one that it continues by answering approvals."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agency_lambda.approvals.deciders import Client
from agency_lambda.errors import AttemptsExhausted, ConversationBusy, StoreUnavailable
from agency_lambda.history.conversations import conversation_busy
from agency_lambda.protocol import response_object
from agency_lambda.protocol.approval_answers import answers_approvals
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.runs.admission import NOT_ADMITTED, admit
from agency_lambda.runs.asked_in_messages import waits_for_person
from agency_lambda.runs.attempt import Attempt, AttemptOptions
from agency_lambda.runs.creation import new_run, refuse_contradictions
from agency_lambda.runs.deletion import release_expired
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.idempotency_keys import IdempotencyKeys, IdempotentRequest
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import OutcomeUncertain
from agency_lambda.store import Change, Conflict

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

# Sets what the invocation answers if it ends before the run. None: it was not stored, so nothing ends it later.
OnDeadlineResponse = Callable[[ResponseObject | None], None]


@dataclass(frozen=True)
class RunRequest:
    """A request for a run. conversation_name: the caller's own name; such a conversation is created if needed."""

    body: CreateResponse
    client: Client
    idempotent: IdempotentRequest | None
    conversation_name: str | None
    on_deadline_response: OnDeadlineResponse

    @property
    def owner(self) -> str:
        return self.client.name


async def begin(runs: "RunService", request: RunRequest) -> Attempt | StoredResponse:
    """Return an attempt to execute, or a response that is made elsewhere."""
    refuse_contradictions(request.body, has_key=request.idempotent is not None, has_queue=runs.queue.durable)
    while True:
        if original_id := await _repeated(runs, request):
            return await _replay(runs, request, original_id)
        try:
            return await (_answer if answers_approvals(request.body.input) else _create)(runs, request)
        except Conflict:
            request.on_deadline_response(None)  # another request wrote one of its records first: read them again
        except (StoreUnavailable, *NOT_ADMITTED):
            request.on_deadline_response(None)
            raise
        except ConversationBusy as busy:
            request = await _make_way(runs, request, busy)


async def _repeated(runs: "RunService", request: RunRequest) -> str | None:
    keys = IdempotencyKeys(runs.store, request.owner)
    return await keys.find(request.idempotent) if request.idempotent else None


async def _make_way(runs: "RunService", request: RunRequest, busy: ConversationBusy) -> RunRequest:
    """Return the request to try again. Raises ConversationBusy if the run that holds the lock goes on."""
    is_waiting = await waits_for_person(runs.store, busy.run_id)
    if request.body.cancel_waiting:
        if is_waiting and busy.run_id:
            await runs.cancel(request.owner, busy.run_id)
        return replace(request, body=request.body.model_copy(update={"cancel_waiting": None}))
    conversation_id = request.conversation_name or request.body.conversation_id
    known = busy.run_id and conversation_id and (request.owner, conversation_id, busy.run_id)
    if known and not is_waiting and await release_expired(runs.store, *known):
        return request
    await _fail_orphan(runs, busy)
    if await _repeated(runs, request):  # it is busy with this very request
        return request
    raise (conversation_busy(busy.run_id, waits=True) if is_waiting else busy) from None


async def _fail_orphan(runs: "RunService", busy: ConversationBusy) -> None:
    # Without a queue nobody resumes the run that holds the lock, if its process died.
    if busy.run_id and not runs.queue.durable and (attempt := await runs.resume(busy.run_id)) is not None:
        attempt.stop("given up")
        with suppress(AttemptsExhausted):
            await runs.execute(attempt)


async def _create(runs: "RunService", request: RunRequest) -> Attempt | StoredResponse:
    body, owner = request.body, request.owner
    run = await new_run(runs.store, body, owner, request.conversation_name, runs.check_files)
    response, log = run.stored.response, EventLog(run.id, records_events=run.stored.is_streamed)
    execution = await runs.preparation.prepare(run, log, body)
    if response["store"] and runs.queue.durable:
        request.on_deadline_response(response)
    keys = IdempotencyKeys(runs.store, owner)
    puts: list[Change] = [keys.put(request.idempotent, run.id)] if request.idempotent else []
    puts += runs.owners.put_if_new(owner)
    try:
        run, admission = await admit(runs.store, runs.budgets, run, execution, puts)
    except OutcomeUncertain:
        return _uncertain(runs, response)
    if response["store"]:
        runs.owners.mark_written(owner)
    if response["background"]:
        await runs.send(run.id, owner=owner)
        return run.stored
    repository = RunRepository(runs.store, run) if response["store"] else None
    client_timeout = math.inf if log.records_events else runs.answer_seconds
    options = AttemptOptions(execution=execution, client_timeout=client_timeout, admission=admission)
    return runs.attempt(run.stored.response, log, repository, options)


async def _answer(runs: "RunService", request: RunRequest) -> Attempt | StoredResponse:
    from agency_lambda.runs.answers import answer  # few requests answer approvals

    stored = await answer(runs, request.body, request.client, request.idempotent)
    if stored.response["background"]:
        return stored
    if runs.queue.durable:
        request.on_deadline_response(stored.response)
    client_timeout = math.inf if stored.is_streamed else runs.answer_seconds
    return await runs.resume(stored.response["id"], client_timeout=client_timeout) or stored


async def _replay(runs: "RunService", request: RunRequest, response_id: str) -> Attempt | StoredResponse:
    response = response_object.new_response(request.body, response_id, request.body.conversation_id)
    request.on_deadline_response(response)
    try:
        stored = await Responses(runs.store, request.owner).get(response_id)
    except StoreUnavailable:
        return _uncertain(runs, response)
    if stored.response["status"] not in response_object.FINAL:
        request.on_deadline_response(stored.response)  # it names its conversation
    return stored


def _uncertain(runs: "RunService", response: ResponseObject) -> Attempt:
    # The run may be stored or not: this attempt executes nothing, and returns the response as it is.
    log = EventLog(response["id"], records_events=False)
    return runs.attempt(response, log, None, AttemptOptions(stopped="uncertain"))
