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
from agency_lambda.queue.messages import Export, load
from agency_lambda.runs.leases import Leases
from agency_lambda.store import Store

if TYPE_CHECKING:
    from agency_lambda.queue.local import LocalQueue
    from agency_lambda.runs.service import RunService

logger = logging.getLogger(__name__)
_REAP = 1.0  # seconds between looks for runs that nobody works on
_AT_ONCE = 8  # runs in one process
_EXPORTS_AT_ONCE = 4
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
        await runs.queue.send(lease.id)
    return len(sent)


async def serve(runs: "RunService", queue: "LocalQueue", export: ExportRun) -> None:
    """Work on the queue's messages until cancelled."""
    working: dict[str, asyncio.Task[None]] = {}
    exporting: set[asyncio.Task[None]] = set()
    reaper = asyncio.create_task(_reap_repeatedly(runs))
    places, export_places = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_EXPORTS_AT_ONCE)
    try:
        while True:
            message = await queue.receive()
            if isinstance(message, Export):
                exporting.add(task := asyncio.create_task(_export_in_place(runs, message, export, export_places)))
                task.add_done_callback(exporting.discard)
            elif message not in working:
                await places.acquire()
                working[message] = task = asyncio.create_task(_attempt(runs, message))
                task.add_done_callback(partial(_free, working, places, message))
    finally:
        reaper.cancel()
        tasks = [*working.values(), *exporting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(reaper, *tasks, return_exceptions=True)


def _free(working: dict[str, Any], places: asyncio.Semaphore, run_id: str, task: asyncio.Task[None]) -> None:
    del working[run_id]
    places.release()


async def _reap_repeatedly(runs: "RunService") -> None:
    while True:
        try:
            await reap_expired(runs)
        except ServiceError:
            logger.exception("the store could not be swept")
        await asyncio.sleep(_REAP)


async def _attempt(runs: "RunService", run_id: str) -> None:
    try:
        await work(runs, run_id)
    except Exception:
        logger.exception("run %s: an attempt failed", run_id)


async def _export_in_place(runs: "RunService", message: Export, export: ExportRun, places: asyncio.Semaphore) -> None:
    async with places:
        try:
            await export_or_requeue(runs, message, export)
        except Exception:
            logger.exception("run %s: its export failed", message.run)


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
    """Work on a batch of SQS messages, and return those that failed; or reap, for a schedule."""
    if "Records" not in event:
        return {"swept": await reap_expired(runs)}
    records = event["Records"]
    ended = await asyncio.gather(*(_message(runs, record, export) for record in records), return_exceptions=True)
    failed = [record["messageId"] for record, end in zip(records, ended, strict=True) if isinstance(end, BaseException)]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


async def _message(runs: "RunService", record: dict[str, Any], export: ExportRun) -> None:
    try:
        message = load(record["body"])
        if isinstance(message, Export):
            await export_or_requeue(runs, message, export)
        else:
            await work(runs, message)
    except Exception:
        logger.exception("message %s: an attempt failed", record["messageId"])
        await runs.queue.retry_soon(record["receiptHandle"])
        raise
