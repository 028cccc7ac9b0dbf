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
    for_child_runs: bool = False,
) -> list[Put | Delete]:
    """Return the changes that `how` makes, that of the lease's own record first.

    holder: the attempt that gets it, for "hold". after, counts_as_attempt: for "free": seconds until the next attempt,
    and False if this one executed nothing. until, for_child_runs: for "wait": its deadline in Unix seconds, and whether
    it waits for child runs.
    """
    match how:
        case "wait":
            return _begin_waiting(lease, until, for_child_runs=for_child_runs)
        case "wake" | "wake cancelled":
            return _end_waiting(lease, cancelled=lease.cancelled or how == "wake cancelled")
        case "revoke" if lease.is_waiting:
            return _end_waiting(lease, cancelled=True)
        case "" | "remove":
            return [lease.delete()]
        case "free":
            return [_freed(lease, after, counts_as_attempt=counts_as_attempt)]
        case "requeue":
            return [_requeued(lease)]
    return [_in_place(lease, how, holder)]


def _in_place(lease: Lease, how: LeaseWrite, holder: str) -> Put:
    now = time.time()
    match how:
        case "hold":
            attempts, lost = lease.attempts + 1, lease.lost + bool(lease.holder)
            until = now + model.LEASE_SECONDS
            return lease.put(holder=holder, until=until, attempts=attempts, lost=lost, wake_pending=False)
        case "renew":
            return lease.put(until=now + model.LEASE_SECONDS)
        case "mark":
            return lease.put(cancelled=True)
        case "decide":
            return lease.put(wake_pending=bool(lease.holder))  # the next attempt reads it anyway
        case "bury":
            return replace(lease.put(dead=True), expires=int(now) + _TOMBSTONE)
        case _:  # "revoke"
            return lease.put(holder="", cancelled=True, until=now + model.GRACE)


def _freed(lease: Lease, after: float, *, counts_as_attempt: bool) -> Put:
    due, attempts = time.time() + min(after, model.LONGEST_PAUSE), lease.attempts - (not counts_as_attempt)
    return lease.put(holder="", until=due + model.GRACE, attempts=attempts, wake_pending=False, queued_at=due)


def _requeued(lease: Lease) -> Put:
    now, lost = time.time(), lease.lost + bool(lease.holder)
    queued_at = now if lease.holder else lease.queued_at
    waited = min(max(now - queued_at, 0.0), model.LONGEST_PAUSE)  # where all workers are busy it waits for long
    until = now + model.GRACE + waited
    return lease.put(holder="", until=until, lost=lost, wake_pending=False, queued_at=queued_at)


def _begin_waiting(lease: Lease, until: float, *, for_child_runs: bool) -> list[Put | Delete]:
    # The attempts so far went well: they do not count when a run is given up.
    moved = lease.moved(waiting=True)
    waiting = replace(moved, until=until, attempts_before_wait=lease.attempts, waits_for_child_runs=for_child_runs)
    due = Put(model.DUE_PARTITION, waiting.due_key, {})
    return [waiting.put(holder="", wake_pending=False), *([lease.delete()] if lease.version else []), due]


def _end_waiting(lease: Lease, *, cancelled: bool) -> list[Put | Delete]:
    now = time.time()  # its time in the queue is measured without the wait
    until = now + model.GRACE
    moved = lease.moved(waiting=False)
    free = moved.put(until=until, cancelled=cancelled, queued_at=now, waits_for_child_runs=False)
    return [free, lease.delete(), Delete(model.DUE_PARTITION, lease.due_key)]
