"""What each column of a row of `transitions.TABLE` writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agency_lambda.approvals.model import Approval, Asked
from agency_lambda.budgets.reservation import released
from agency_lambda.budgets.running import begun_again, ended
from agency_lambda.history.turns import Turn
from agency_lambda.protocol.messages import MessageAnswer
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Event
from agency_lambda.runs import model
from agency_lambda.runs.lease_changes import change_lease
from agency_lambda.runs.message_rows import answered_changes
from agency_lambda.runs.model import Run
from agency_lambda.runs.run_index import delete_entry, put_entry
from agency_lambda.runs.transitions import RunEvent, State, Transition, find, lease_state
from agency_lambda.runs.usage import ByModel
from agency_lambda.store import Change, Delete, Put


@dataclass(frozen=True)
class Wait:
    """What a run waits for. The times are in Unix seconds."""

    until: float  # the deadline of the wait: the first expiry of an approval, or of a message to an agent
    kept_until: int  # expiry of the records that are written now
    needed_until: int  # the earliest time at which the run's other records may expire
    approvals: Sequence[Approval] = ()  # rows to write
    asked: Sequence[Asked] = ()  # all open approvals, new ones and earlier ones
    continuation: Run | None = None  # the run that waits in place of one whose response ends
    for_child_runs: bool = False  # whether it waits for child runs, too


@dataclass(frozen=True, kw_only=True)
class EventData:
    """What comes with a `RunEvent`, beside the run. Each column of the event's row writes what it needs of it."""

    response: ResponseObject | None = None  # with the output so far, or the final one; its status is the row's
    turn: Turn | None = None  # for the history
    events: Sequence[Event] = ()  # of the stream, that are not stored yet
    pending_calls: Mapping[str, dict[str, Any]] = field(default_factory=dict)  # model calls without an answer, by key
    by_model: ByModel | None = None  # what has been paid for
    wait: Wait | None = None  # of a run that begins to wait
    answer: MessageAnswer | None = None  # of a child run, for its sender
    counts_again: bool = False  # among its owner's runs at once, after it has waited
    holder: str = ""  # the attempt that gets the lease
    after: float = 0.0  # seconds until the next attempt
    counts_as_attempt: bool = True  # False for an attempt that executed nothing


_NO_DATA = EventData()

type Written = tuple[Run, list[Change]]


def advance(run: Run, event: RunEvent, data: EventData = _NO_DATA) -> Written:
    """Return the run after an event, and the changes to write together. Raises NotAllowed."""
    row = find(State.ABSENT if run.is_new else lease_state(run.lease), event, run.lease)
    changes: list[Change] = []
    for write_column in _COLUMNS:
        run, written = write_column(run, row, data)
        changes += written
    wait = data.wait
    if data.events:
        changes.append(run.put_events(data.events, wait.kept_until if wait else None))
    if data.pending_calls:
        changes.append(run.put_pending(data.pending_calls))
    if wait and wait.continuation:
        continues = EventData(wait=replace(wait, continuation=None))
        changes += advance(wait.continuation, RunEvent.CONTINUE, continues)[1]
    return run, changes


def _write_budget(run: Run, row: Transition, data: EventData) -> Written:
    budget, is_started = run.stored.budget, row.status == "in_progress" and row.to == State.HELD
    if data.counts_again and "counted" not in (budget or {}):
        budget = {**(budget or {}), "counted": True}
        return replace(run, stored=replace(run.stored, budget=budget)), [begun_again(run.owner)]
    if budget is None or run.is_new or row.status in ("", "purged") or (data.wait and data.wait.for_child_runs):
        return run, []
    kept = {name: value for name, value in budget.items() if is_started and name != "reserved"}
    changes: list[Change] = []
    if not is_started:
        changes += released(budget["reserved"]) if "reserved" in budget else []
        changes += [ended(run.owner)] if "counted" in budget else []
    return replace(run, stored=replace(run.stored, budget=kept or None)), changes


def _write_response(run: Run, row: Transition, data: EventData) -> Written:
    if row.status == "deleted":
        partition = model.response_partition(run.owner, run.id)
        return run, [Delete(partition, "response", expected=run.stored.version)]
    if not (row.status or data.response):
        return run, []
    wait = data.wait
    response = {**(data.response or run.stored.response), "status": row.status or run.stored.response["status"]}
    adds_turn = row.conversation == "append" and run.stored.sending is None
    cursor, waits_for_child_runs = run.cursor.next if adds_turn else None, wait is not None and wait.for_child_runs
    stored = replace(run.stored, response=response, cursor=cursor, waits_for_child_runs=waits_for_child_runs)
    if wait:
        continued_by = wait.continuation.id if wait.continuation else None
        stored = replace(stored, asked=[] if continued_by else list(wait.asked), continued_by=continued_by)
    put = stored.put(run.owner, wait.kept_until if wait else None)
    return replace(run, stored=replace(stored, version=put.version)), [put]


def _write_entry(run: Run, row: Transition, data: EventData) -> Written:
    response, expires = run.stored.response, data.wait.kept_until if data.wait else None
    match row.entry if run.stored.sending is None else "":
        case "add":
            return run, [*put_entry(run.owner, response, is_new=True, expires=expires)]
        case "replace":
            attempts = run.lease.attempts if run.lease else 0
            return run, [*put_entry(run.owner, response, attempts=attempts, by_model=data.by_model, expires=expires)]
        case "remove":
            return run, [*delete_entry(run.owner, run.id)]
    return run, []


def _write_lease(run: Run, row: Transition, data: EventData) -> Written:
    if not row.lease or run.lease is None:
        return run, []
    changes = change_lease(
        run.lease,
        row.lease,
        holder=data.holder,
        after=data.after,
        counts_as_attempt=data.counts_as_attempt,
        until=data.wait.until if data.wait else 0.0,
        for_child_runs=data.wait is not None and data.wait.for_child_runs,
    )
    own = changes[0]
    is_open = isinstance(own, Put) and row.to != State.GIVEN_UP
    return replace(run, lease=run.lease.written(own) if isinstance(own, Put) and is_open else None), [*changes]


def _write_turn(run: Run, row: Transition, data: EventData) -> Written:
    conversation, turn, wait = run.conversation, data.turn, data.wait
    if not row.conversation or run.stored.sending or (conversation is None and row.conversation != "append"):
        return run, []
    if conversation is None:
        assert turn
        return run, [turn.put(run.cursor, wait.kept_until if wait else model.expiry())]
    conversation, changes = conversation.list_if_new()
    if row.conversation == "append":
        assert turn
        changes += conversation.append_turn(turn, wait.continuation.id if wait and wait.continuation else None)
    else:
        changes += [conversation.acquire(run.id) if row.conversation == "acquire" else conversation.release(run.id)]
    return replace(run, conversation=conversation.written(changes[-1])), [*changes]


def _write_approvals(run: Run, row: Transition, data: EventData) -> Written:
    new = data.wait.approvals if data.wait and not data.wait.continuation else ()
    return run, [each.put(each.expires_at + model.RETENTION) for each in new]


def _write_answer(run: Run, row: Transition, data: EventData) -> Written:
    if run.is_new or row.to not in (State.FINAL, State.GIVEN_UP, State.DELETED):
        return run, []
    changes = answered_changes(run, data.answer, data.by_model)
    return replace(run, open_message=None), changes


_COLUMNS: Sequence[Callable[[Run, Transition, EventData], Written]] = (
    _write_budget,
    _write_response,
    _write_entry,
    _write_lease,
    _write_turn,
    _write_approvals,
    _write_answer,
)
