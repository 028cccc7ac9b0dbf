"""The changes of a run's lease."""

import time
from dataclasses import replace

from agency_lambda.runs import model
from agency_lambda.runs.model import Lease
from agency_lambda.runs.transitions import LeaseWrite
from agency_lambda.store import Delete, Put

_TOMBSTONE = 14 * 24 * 3600  # seconds that SQS keeps a message at most


def change_lease(
    lease: Lease,
    how: LeaseWrite,
    *,
    holder: str = "",
    after: float = 0.0,
    counts_as_attempt: bool = True,
    until: float = 0.0,
    for_agents: bool = False,
) -> list[Put | Delete]:
    """Return the changes, that of its record first.

    after: seconds until the next attempt. counts_as_attempt: False for one that executed nothing. until: when its
    waiting ends, in Unix seconds. for_agents: it waits for other agents.
    """
    now, lost = time.time(), lease.lost + bool(lease.holder)
    match how:
        case "hold":
            put = lease.put(
                holder=holder, until=now + model.LEASE_SECONDS, attempts=lease.attempts + 1, lost=lost, decided=False
            )
        case "renew":
            put = lease.put(until=now + model.LEASE_SECONDS)
        case "requeue":
            queued_at = now if lease.holder else lease.queued_at
            waited = min(max(now - queued_at, 0.0), model.LONGEST_PAUSE)  # where all workers are busy it waits for long
            until = now + model.GRACE + waited
            put = lease.put(holder="", until=until, lost=lost, decided=False, queued_at=queued_at)
        case "free":
            due, attempts = now + min(after, model.LONGEST_PAUSE), lease.attempts - (not counts_as_attempt)
            put = lease.put(holder="", until=due + model.GRACE, attempts=attempts, decided=False, queued_at=due)
        case "mark":
            put = lease.put(cancelled=True)
        case "decide":
            put = lease.put(decided=bool(lease.holder))  # the next attempt reads it anyway
        case "bury":
            put = replace(lease.put(dead=True), expires=int(now) + _TOMBSTONE)
        case "wait":
            return _begin_waiting(lease, until, for_agents=for_agents)
        case "wake" | "wake cancelled":
            return _end_waiting(lease, cancelled=lease.cancelled or how == "wake cancelled")
        case "revoke" if lease.is_waiting:
            return _end_waiting(lease, cancelled=True)
        case "revoke":
            put = lease.put(holder="", cancelled=True, until=now + model.GRACE)
        case _:
            return [lease.delete()]
    return [put]


def _begin_waiting(lease: Lease, until: float, *, for_agents: bool) -> list[Put | Delete]:
    # The attempts so far went well: they do not count when a run is given up.
    waiting = replace(lease.moved(waiting=True), until=until, forgiven=lease.attempts, for_agents=for_agents)
    due = Put(model.DUE_PARTITION, waiting.due_key, {})
    return [waiting.put(holder="", decided=False), *([lease.delete()] if lease.version else []), due]


def _end_waiting(lease: Lease, *, cancelled: bool) -> list[Put | Delete]:
    now = time.time()  # its time in the queue is measured without the wait
    until = now + model.GRACE
    free = lease.moved(waiting=False).put(until=until, cancelled=cancelled, queued_at=now, for_agents=False)
    return [free, lease.delete(), Delete(model.DUE_PARTITION, lease.due_key)]
