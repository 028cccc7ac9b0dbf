"""The one table of a run's states: (state, event) -> (state, what is written).

The state of an unfinished run is read from its lease. `changes.py` makes the changes of a row.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from agency_lambda.runs.model import Lease


class State(StrEnum):
    """What a run is to the processes that may work on it; a response's `status` is another thing."""

    ABSENT = "absent"  # nothing of it is stored
    FREE = "free"  # any worker may take it: it is queued, or between two attempts
    HELD = "held"  # an attempt works on it
    WAITING = "waiting"  # for a person or agents, or behind a run that does: nothing runs
    FINAL = "final"  # its response does not change any more
    GIVEN_UP = "given up"  # final; its lease stays until its message is among the dead letters
    DELETED = "deleted"  # its response is gone, its lease stays until all other records are removed


class RunEvent(StrEnum):
    """What happens to a run. Events of a response's stream are `protocol.types.Event`."""

    CREATE = "create"
    ENQUEUE = "enqueue"
    TAKE = "take"
    START = "start"
    HEARTBEAT = "heartbeat"
    RELEASE = "release"
    REQUEUE = "requeue"
    CANCEL = "cancel"
    WAIT = "wait"  # for a person or agents
    WAIT_FOR_TURN = "wait for turn"  # in a conversation, behind a run that waits
    WAKE = "wake"
    ASK = "ask"  # ends the response; a new run waits in its place
    CONTINUE = "continue"  # that one
    COMPLETE = "complete"
    CUT_SHORT = "cut short"
    FAIL = "fail"
    END_CANCELLED = "end cancelled"
    GIVE_UP = "give up"
    DELETE = "delete"
    PURGE = "purge"


LeaseWrite = Literal[
    "",
    "hold",
    "renew",
    "free",
    "requeue",
    "mark",
    "bury",
    "revoke",
    "remove",
    "wait",
    "wake",
    "wake cancelled",
    "decide",
]
Stop = Literal["cancelled", "given up", "handed over", "interrupted", "lost", "uncertain"]


@dataclass(frozen=True)
class Transition:
    """A row of the table: the next state, and what is written with it. "": that column writes nothing."""

    to: State
    lease: LeaseWrite
    # The response's new status. "deleted": the response's record goes in this write. "purged": it goes last, after the
    # run's other records, so that an interrupted deletion can be repeated.
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
    (S.HELD, E.WAIT): T(S.WAITING, "wait", "in_progress", "", "replace"),
    (S.HELD, E.WAIT_FOR_TURN): T(S.WAITING, "wait", "queued", "", "replace"),
    (S.HELD, E.ASK): T(S.FINAL, "remove", "completed", "append", "replace"),
    (S.ABSENT, E.CONTINUE): T(S.WAITING, "wait", "in_progress", "", "add"),
    (S.WAITING, E.WAKE): T(S.FREE, "wake"),
    (S.FREE, E.WAKE): T(S.FREE, "decide"),
    (S.HELD, E.WAKE): T(S.HELD, "decide"),
    (S.WAITING, E.CANCEL): T(S.FREE, "wake cancelled"),
    (S.HELD, E.COMPLETE): T(S.FINAL, "remove", "completed", "append", "replace"),
    (S.HELD, E.CUT_SHORT): T(S.FINAL, "remove", "incomplete", "append", "replace"),
    (S.HELD, E.FAIL): T(S.FINAL, "remove", "failed", "release", "replace"),
    (S.HELD, E.END_CANCELLED): T(S.FINAL, "remove", "cancelled", "release", "replace"),
    (S.HELD, E.GIVE_UP): T(S.GIVEN_UP, "bury", "failed", "release", "replace"),
    (S.FREE, E.DELETE): T(S.DELETED, "revoke", "deleted", "release", "remove"),
    (S.HELD, E.DELETE): T(S.DELETED, "revoke", "deleted", "release", "remove"),
    (S.WAITING, E.DELETE): T(S.DELETED, "revoke", "deleted", "release", "remove"),
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
    """Return the state of a stored run. lease: None if it has none any more."""
    if lease is None:
        return State.FINAL
    if lease.dead:
        return State.GIVEN_UP
    if lease.is_waiting:
        return State.WAITING
    return State.HELD if lease.holder else State.FREE


def find(state: State, event: RunEvent, lease: Lease | None) -> Transition:
    """Return the row of the table. Raises NotAllowed if there is none, or it needs a lease that has expired."""
    row = TABLE.get((state, event))
    if row is None or (row.overdue and not (lease and lease.is_overdue)):
        raise NotAllowed(f"{event} of a run that is {state}")
    return row
