"""Work on runs: `serve` beside the server of `make run`, `receive` in the Lambda worker."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agency_lambda import telemetry
from agency_lambda.errors import AttemptsExhausted, ServiceError
from agency_lambda.queue.messages import Delivery, Export, Message, load
from agency_lambda.runs.child_runs import wake_senders
from agency_lambda.runs.decisions import end_waiting
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.places import Places
from agency_lambda.store import Store

if TYPE_CHECKING:
    from agency_lambda.queue.local import LocalQueue
    from agency_lambda.runs.service import RunService

logger = logging.getLogger(__name__)
_REAP = 1.0  # seconds between looks for runs that nobody works on
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 900.0  # seconds between exports of a run that fail
_GIVE_UP = 13 * 24 * 3600.0  # seconds after which an export that fails becomes a dead letter

type ExportRun = Callable[[Store, Export], Awaitable[None]]
"""Sends the record of an ended run. Raises if it is not sent."""


async def work(runs: "RunService", run_id: str) -> None:
    """Make one attempt at a run, if it needs one. Raises AttemptsExhausted each time, for the dead-letter queue."""
    attempt = await runs.resume(run_id)
    if attempt is None:
        lease = await Leases(runs.store).find(run_id)
        if lease and lease.dead:
            raise AttemptsExhausted("The run was given up before.")
        return
    try:
        await runs.execute(attempt)
    except AttemptsExhausted:
        raise
    except ServiceError:
        return
    finally:
        telemetry.log_run(attempt.log_fields)


async def reap_expired(runs: "RunService") -> int:
    """Queue every run again whose lease has expired; returns how many."""
    leases = Leases(runs.store)
    overdue = [lease for lease in await leases.all() if lease.is_overdue]
    if expired := sum(bool(lease.holder) for lease in overdue):  # the others only wait
        telemetry.log_expired(expired)
    sent = [lease for lease in overdue if await leases.requeued(lease)]
    for lease in sent:
        await runs.queue.send(lease.id, owner=lease.owner)
    for run_id in await leases.due():
        await end_waiting(runs, run_id)
    return len(sent)


async def serve(runs: "RunService", queue: "LocalQueue", export: ExportRun) -> None:
    """Work on the queue's messages until cancelled. A message is taken when there is a place for it."""
    working: dict[Message, asyncio.Task[None]] = {}
    again: set[Message] = set()  # came while they were worked on, as of a run that is handed over
    places = Places()
    reaper = asyncio.create_task(_sweep_repeatedly(runs))

    def accept(message: Message, owner: str) -> bool:
        return message in working or places.take(message, owner)

    def begin(message: Message, owner: str) -> None:
        working[message] = asyncio.create_task(_handle_or_log(runs, message, export))
        working[message].add_done_callback(partial(end, message, owner))

    def end(message: Message, owner: str, task: asyncio.Task[None]) -> None:
        del working[message]
        places.leave(message, owner)
        if message in again:
            again.discard(message)
            queue.put(message, owner)
        queue.offer_again()

    try:
        while True:
            message, owner = await queue.receive(accept)
            if message in working:
                again.add(message)
            else:
                begin(message, owner)
    finally:
        reaper.cancel()
        tasks = [*working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(reaper, *tasks, return_exceptions=True)


async def _sweep_repeatedly(runs: "RunService") -> None:
    has_queued = False
    while True:
        try:
            if not has_queued:
                await _queue_free(runs)
                has_queued = True
            await sweep(runs)
        except ServiceError:
            logger.exception("the store could not be swept")
        await asyncio.sleep(_REAP)


async def _queue_free(runs: "RunService") -> None:
    """Queue what an earlier process had queued: its queue has ended with it."""
    for lease in await Leases(runs.store).all():
        if not (lease.holder or lease.dead):
            await runs.queue.send(lease.id, max(lease.queued_at - time.time(), 0.0), owner=lease.owner)


async def sweep(runs: "RunService") -> int:
    """Queue runs whose lease has expired, and deliveries that are due; returns how many runs.

    Delete the bytes of files that have expired.
    """
    expired = await reap_expired(runs)
    await wake_senders(runs)
    if runs.files:
        await runs.files.remove_expired()
    for delivery in await runs.deliverer.due():
        await runs.queue.send(delivery)
    return expired


async def _handle_or_log(runs: "RunService", message: Message, export: ExportRun) -> None:
    try:
        await _handle(runs, message, export)
    except Exception:
        logger.exception("%s: an attempt failed", message if isinstance(message, str) else type(message).__name__)


async def _handle(runs: "RunService", message: Message, export: ExportRun) -> None:
    match message:
        case Export():
            await export_or_requeue(runs, message, export)
        case Delivery():
            await runs.deliverer.deliver(message)
        case _:
            await work(runs, message)


async def export_or_requeue(runs: "RunService", message: Export, export: ExportRun) -> None:
    """Export an ended run; if that fails, queue the message again. Raises when it has failed for 13 days."""
    try:
        await export(runs.store, message)
    except Exception as error:
        telemetry.log_export_failure(message.run, message.failures + 1, error)
        if time.time() - message.queued_at > _GIVE_UP:
            raise
        pause = min(_FIRST_PAUSE * 2.0 ** min(message.failures, 10), _LONGEST_PAUSE)
        await runs.queue.send(replace(message, failures=message.failures + 1), pause)


async def receive(runs: "RunService", event: dict[str, Any], export: ExportRun) -> dict[str, Any]:
    """Work on a batch of SQS messages, and return those that failed; or sweep, for a schedule."""
    if "Records" not in event:
        return {"swept": await sweep(runs)}
    records = event["Records"]
    ended = await asyncio.gather(*(_message(runs, record, export) for record in records), return_exceptions=True)
    failed = [record["messageId"] for record, end in zip(records, ended, strict=True) if isinstance(end, BaseException)]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


async def _message(runs: "RunService", record: dict[str, Any], export: ExportRun) -> None:
    try:
        await _handle(runs, load(record["body"]), export)
    except Exception:
        logger.exception("message %s: an attempt failed", record["messageId"])
        await runs.queue.retry_soon(record["receiptHandle"])
        raise
