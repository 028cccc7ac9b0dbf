"""Work on runs: `serve` beside the server of `make run`, `receive` in the Lambda worker."""

import asyncio
import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from agency_lambda import telemetry
from agency_lambda.errors import AttemptsExhausted, ServiceError
from agency_lambda.runs.leases import Leases

if TYPE_CHECKING:
    from agency_lambda.queue.local import LocalQueue
    from agency_lambda.runs.service import RunService

logger = logging.getLogger(__name__)
_REAP = 1.0  # seconds between looks for runs that nobody works on
_AT_ONCE = 8  # runs in one process


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


async def serve(runs: "RunService", queue: "LocalQueue") -> None:
    """Work on the queue's runs until cancelled."""
    working: dict[str, asyncio.Task[None]] = {}
    reaper = asyncio.create_task(_reap_repeatedly(runs))
    places = asyncio.Semaphore(_AT_ONCE)
    try:
        while True:
            run_id = await queue.receive()
            if run_id not in working:
                await places.acquire()
                working[run_id] = task = asyncio.create_task(_attempt(runs, run_id))
                task.add_done_callback(partial(_free, working, places, run_id))
    finally:
        reaper.cancel()
        for task in working.values():
            task.cancel()
        await asyncio.gather(reaper, *working.values(), return_exceptions=True)


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


async def receive(runs: "RunService", event: dict[str, Any]) -> dict[str, Any]:
    """Work on a batch of SQS messages, and return those that failed; or reap, for a schedule."""
    if "Records" not in event:
        return {"swept": await reap_expired(runs)}
    records = event["Records"]
    ended = await asyncio.gather(*(_message(runs, record) for record in records), return_exceptions=True)
    failed = [record["messageId"] for record, end in zip(records, ended, strict=True) if isinstance(end, BaseException)]
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


async def _message(runs: "RunService", record: dict[str, Any]) -> None:
    try:
        run_id = json.loads(record["body"])["run"]
        if not isinstance(run_id, str):
            raise TypeError(f"the run is {run_id!r}, and no text")
        await work(runs, run_id)
    except Exception:
        logger.exception("message %s: an attempt failed", record["messageId"])
        await runs.queue.retry_soon(record["receiptHandle"])
        raise
