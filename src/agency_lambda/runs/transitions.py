"""The one table of a run's states: (state, event) -> (state, what is written).

The state of an unfinished run is read from its lease.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from agency_lambda.budgets.reservation import released
from agency_lambda.budgets.running import ended
from agency_lambda.history.turns import Turn
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event
from agency_lambda.runs import model
from agency_lambda.runs.model import Lease, Run
from agency_lambda.runs.run_index import ByModel, delete_entry, put_entry
from agency_lambda.store import Change, Delete, Put

_NONE_PENDING: Mapping[str, dict[str, Any]] = {}
_TOMBSTONE = 14 * 24 * 3600  # seconds that SQS keeps a message at most


class State(StrEnum):
    ABSENT = "absent"  # nothing of it is stored
    FREE = "free"  # any worker may take it: it is queued, or between two attempts
    HELD = "held"  # an attempt works on it
    FINAL = "final"  # its response does not change any more
    GIVEN_UP = "given up"  # final; its lease stays until its message is among the dead letters
    DELETED = "deleted"  # its response is gone, its lease stays until all other records are removed


class RunEvent(StrEnum):
    CREATE = "create"
    ENQUEUE = "enqueue"
    TAKE = "take"
    START = "start"
    HEARTBEAT = "heartbeat"
    RELEASE = "release"
    REQUEUE = "requeue"
    CANCEL = "cancel"
    COMPLETE = "complete"
    CUT_SHORT = "cut short"
    FAIL = "fail"
    END_CANCELLED = "end cancelled"
    GIVE_UP = "give up"
    DELETE = "delete"
    PURGE = "purge"


LeaseWrite = Literal["", "hold", "renew", "free", "requeue", "mark", "bury", "revoke", "remove"]
Stop = Literal["cancelled", "given up", "handed over", "interrupted", "lost", "uncertain"]


@dataclass(frozen=True)
class Transition:
    to: State
    lease: LeaseWrite
    # The response's status, or "deleted": removed before the run's other records. "purged": removed after them, so that
    # a repeated request finds the rest.
    status: str = ""
    # Of the conversation's lock. "append" adds a turn and releases; without a conversation it adds it to a log.
    conversation: Literal["", "acquire", "append", "release"] = ""
    entry: Literal["", "add", "replace", "remove"] = ""  # of the owner's index of runs
    overdue: bool = False  # only if the lease has expired


S, E, T = State, RunEvent, Transition
TABLE: dict[tuple[State, RunEvent], Transition] = {
    # in state, event                to           lease      response       conversation  entry
    (S.ABSENT, E.CREATE): T(S.HELD, "hold", "in_progress", "acquire", "add"),
    (S.ABSENT, E.ENQUEUE): T(S.FREE, "requeue", "queued", "acquire", "add"),
    (S.FREE, E.TAKE): T(S.HELD, "hold"),
    (S.HELD, E.TAKE): T(S.HELD, "hold", overdue=True),
    (S.HELD, E.START): T(S.HELD, "renew", "in_progress"),
    (S.HELD, E.HEARTBEAT): T(S.HELD, "renew"),
    (S.HELD, E.RELEASE): T(S.FREE, "free"),
    (S.HELD, E.REQUEUE): T(S.FREE, "requeue", overdue=True),
    (S.FREE, E.REQUEUE): T(S.FREE, "requeue", overdue=True),
    (S.FREE, E.CANCEL): T(S.FREE, "mark"),
    (S.HELD, E.CANCEL): T(S.HELD, "mark"),
    (S.HELD, E.COMPLETE): T(S.FINAL, "remove", "completed", "append", "replace"),
    (S.HELD, E.CUT_SHORT): T(S.FINAL, "remove", "incomplete", "append", "replace"),
    (S.HELD, E.FAIL): T(S.FINAL, "remove", "failed", "release", "replace"),
    (S.HELD, E.END_CANCELLED): T(S.FINAL, "remove", "cancelled", "release", "replace"),
    (S.HELD, E.GIVE_UP): T(S.GIVEN_UP, "bury", "failed", "release", "replace"),
    (S.FREE, E.DELETE): T(S.DELETED, "revoke", "deleted", "release", "remove"),
    (S.HELD, E.DELETE): T(S.DELETED, "revoke", "deleted", "release", "remove"),
    (S.FINAL, E.DELETE): T(S.ABSENT, "", "purged", entry="remove"),
    (S.GIVEN_UP, E.DELETE): T(S.DELETED, "", "purged", entry="remove"),
    (S.DELETED, E.PURGE): T(S.ABSENT, "remove"),
}
STOPS: dict[Stop, tuple[RunEvent | None, RunEvent | None]] = {
    # why an attempt stops: the event if another attempt can go on, the event if none can
    "cancelled": (E.END_CANCELLED, E.END_CANCELLED),
    "given up": (E.GIVE_UP, E.GIVE_UP),
    "handed over": (E.RELEASE, E.FAIL),
    "interrupted": (E.RELEASE, E.FAIL),
    "lost": (None, None),  # another attempt has the lease
    "uncertain": (None, None),  # the store has not answered; with its lease the run goes to another attempt
}


class NotAllowed(Exception):
    """The table has no such row."""


def lease_state(lease: Lease | None) -> State:
    if lease is None:
        return State.FINAL
    if lease.dead:
        return State.GIVEN_UP
    return State.HELD if lease.holder else State.FREE


def find(state: State, event: RunEvent, lease: Lease | None) -> Transition:
    """Raises NotAllowed."""
    row = TABLE.get((state, event))
    if row is None or (row.overdue and not (lease and lease.is_overdue)):
        raise NotAllowed(f"{event} of a run that is {state}")
    return row


def change_lease(
    lease: Lease, how: LeaseWrite, *, holder: str = "", after: float = 0.0, counts_as_attempt: bool = True
) -> Put | Delete:
    """after: seconds until the next attempt. counts_as_attempt: False for one that executed nothing."""
    now, lost = time.time(), lease.lost + bool(lease.holder)
    match how:
        case "hold":
            return lease.put(holder=holder, until=now + model.LEASE_SECONDS, attempts=lease.attempts + 1, lost=lost)
        case "renew":
            return lease.put(until=now + model.LEASE_SECONDS)
        case "requeue":
            return lease.put(holder="", until=now + model.GRACE, lost=lost)
        case "free":
            until = now + min(after, model.LONGEST_PAUSE) + model.GRACE
            return lease.put(holder="", until=until, attempts=lease.attempts - (not counts_as_attempt))
        case "mark":
            return lease.put(cancelled=True)
        case "revoke":
            return lease.put(holder="", cancelled=True, until=now + model.GRACE)
        case "bury":
            return replace(lease.put(dead=True), expires=int(now) + _TOMBSTONE)
    return lease.delete()


def advance(
    run: Run,
    event: RunEvent,
    *,
    response: ResponseObject | None = None,
    turn: Turn | None = None,
    events: Sequence[Event] = (),
    pending: Mapping[str, dict[str, Any]] = _NONE_PENDING,
    by_model: ByModel | None = None,
    **lease: Any,
) -> tuple[Run, list[Change]]:
    """Return the run after an event, and the changes to write together.

    response, turn, events, pending, by_model: as the row needs them. lease: see `change_lease`.
    """
    row = find(State.ABSENT if run.is_new else lease_state(run.lease), event, run.lease)
    changes: list[Change] = []
    for column in (_write_budget, _write_response, _write_entry, _write_lease, _write_turn):
        run, written = column(run, row, response=response, turn=turn, by_model=by_model, **lease)
        changes += written
    if events:
        changes.append(run.put_events(events))
    if pending:
        changes.append(run.put_pending(pending))
    return run, changes


Written = tuple[Run, list[Change]]


def _write_budget(run: Run, row: Transition, **_: Any) -> Written:
    budget, is_started = run.stored.budget, row.status == "in_progress"
    if budget is None or run.is_new or row.status in ("", "purged"):
        return run, []
    kept = {name: value for name, value in budget.items() if is_started and name != "reserved"}
    changes: list[Change] = []
    if not is_started:
        changes += released(budget["reserved"]) if "reserved" in budget else []
        changes += [ended(run.owner)] if "counted" in budget else []
    return replace(run, stored=replace(run.stored, budget=kept or None)), changes


def _write_response(run: Run, row: Transition, *, response: ResponseObject | None, **_: Any) -> Written:
    if row.status == "deleted":
        partition = model.response_partition(run.owner, run.id)
        return run, [Delete(partition, "response", expected=run.stored.version)]
    if not row.status:
        return run, []
    response = {**(response or run.stored.response), "status": row.status}
    stored = replace(run.stored, response=response, cursor=run.cursor.next if row.conversation == "append" else None)
    put = stored.put(run.owner)
    return replace(run, stored=replace(stored, version=put.version)), [put]


def _write_entry(run: Run, row: Transition, *, by_model: ByModel | None, **_: Any) -> Written:
    match row.entry:
        case "add":
            return run, [*put_entry(run.owner, run.stored.response, is_new=True)]
        case "replace":
            attempts = run.lease.attempts if run.lease else 0
            return run, [*put_entry(run.owner, run.stored.response, attempts=attempts, by_model=by_model)]
        case "remove":
            return run, [*delete_entry(run.owner, run.id)]
    return run, []


def _write_lease(
    run: Run, row: Transition, *, response: object, turn: object, by_model: object, **details: Any
) -> Written:
    if not row.lease or run.lease is None:
        return run, []
    change = change_lease(run.lease, row.lease, **details)
    is_open = isinstance(change, Put) and row.to != State.GIVEN_UP
    return replace(run, lease=run.lease.written(change) if isinstance(change, Put) and is_open else None), [change]


def _write_turn(run: Run, row: Transition, *, turn: Turn | None, **_: Any) -> Written:
    conversation = run.conversation
    if not row.conversation or (conversation is None and row.conversation != "append"):
        return run, []
    if conversation is None:
        assert turn
        return run, [turn.put(run.cursor, model.expiry())]
    conversation, changes = conversation.list_if_new()
    if row.conversation == "append":
        assert turn
        changes += conversation.append_turn(turn)
    else:
        changes += [conversation.acquire(run.id) if row.conversation == "acquire" else conversation.release(run.id)]
    return replace(run, conversation=conversation.written(changes[-1])), [*changes]
