"""The next attempt at a stored run: takes its lease, prepares its agency and restores its events."""

import math
import time
import uuid
from typing import TYPE_CHECKING

from agency_lambda.errors import NotFound, SecretUnavailable, ServiceError, StoreUnavailable
from agency_lambda.runs import shared_stream
from agency_lambda.runs.admission import readmit
from agency_lambda.runs.attempt import Attempt, AttemptOptions
from agency_lambda.runs.deletion import purge, release_expired
from agency_lambda.runs.event_log import EventLog
from agency_lambda.runs.model import RETENTION
from agency_lambda.runs.outcome import MOST_ATTEMPTS
from agency_lambda.runs.paid_calls import load_paid_calls
from agency_lambda.runs.repository import RunRepository
from agency_lambda.runs.stored_runs import load_run
from agency_lambda.runs.transitions import Stop

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

_TURN_PAUSE = 3600.0  # seconds until a run that waits behind a waiting one looks for its turn
_LOCKED_PAUSE = 5.0  # seconds until a run that waits for its conversation is tried again, without a message


async def resume(service: "RunService", run_id: str, client_timeout: float | None = None) -> Attempt | None:
    """Return the next attempt at a run: see `RunService.resume`."""
    repository = await take(service, run_id)
    return await _resumed(service, repository, client_timeout) if repository else None


async def take(service: "RunService", run_id: str) -> RunRepository | None:
    """Take the lease of a run. Returns None if it is final, held or deleted, or waits for its turn."""
    lease = await service.leases.take(run_id, uuid.uuid4().hex)
    if lease is None:
        return None
    try:
        run = await load_run(service.store, lease.owner, run_id, lease)
    except NotFound:  # its response was deleted
        await purge(service.store, lease.owner, run_id, lease)
        return None
    repository = RunRepository(service.store, run)
    if run.waits_for_conversation and not lease.cancelled:
        await _wait_for_turn(service, repository)
        return None
    return repository


async def _wait_for_turn(service: "RunService", repository: RunRepository) -> None:
    conversation = repository.run.conversation
    assert conversation
    active = await service.leases.find(conversation.active_run_id) if conversation.active_run_id else None
    if active and active.is_waiting:
        now = time.time()
        await repository.wait_for_turn(now + _TURN_PAUSE, int(max(active.until, now)) + RETENTION)
    else:
        if active is None and conversation.active_run_id:
            await release_expired(service.store, repository.run.owner, conversation.id, conversation.active_run_id)
        await repository.release(after=_LOCKED_PAUSE, counts_as_attempt=False)


async def _resumed(service: "RunService", repository: RunRepository, client_timeout: float | None) -> Attempt:
    run, lease = repository.run, repository.lease
    log = EventLog(run.id, records_events=run.stored.is_streamed)
    await shared_stream.close(service.store, run)
    events = await repository.responses.stored_events(run.id)
    given_up: Stop | None = "given up" if lease.attempts - lease.attempts_before_wait > MOST_ATTEMPTS else None
    stopped = "cancelled" if lease.cancelled else given_up
    execution, refused = None, None
    if not stopped:
        try:
            execution = await service.preparation.prepare(run, log)
        except (StoreUnavailable, SecretUnavailable):  # another attempt may succeed
            raise
        except ServiceError as error:  # such as a conversation that was deleted
            refused = error
    log.output.hide(await repository.shown_before())
    log.restore(events, execution.item_ids if execution else set(), run.stored.response["output"])
    admission = await readmit(service.store, service.budgets, run, execution)
    paid = None if execution else await load_paid_calls(service.store, run.owner, run.stored.root)
    options = AttemptOptions(
        execution=execution,
        stopped=stopped,
        refused=refused,
        admission=admission,
        paid=paid,
        client_timeout=math.inf if client_timeout is None else client_timeout,
        # A client waits on while its run waits for child runs.
        has_client=client_timeout is not None or lease.attempts_before_wait > 0,
    )
    return service.attempt(run.stored.response, log, repository, options)
