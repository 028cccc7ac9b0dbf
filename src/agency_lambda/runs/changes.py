"""What each column of a row of `transitions.TABLE` writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from agency_lambda.runs.run_index import ByModel, delete_entry, put_entry
from agency_lambda.runs.transitions import RunEvent, State, Transition, find, lease_state
from agency_lambda.store import Change, Delete, Put

_NONE_PENDING: Mapping[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Wait:
    """What a run waits for."""

    until: float  # when the first approval, or message to an agent, expires; Unix seconds, as the next two
    kept_until: int  # when the records expire that are written now
    needed_until: int  # until when the others are needed
    approvals: Sequence[Approval] = ()  # rows to write
    asked: Sequence[Asked] = ()  # what is open then
    continuation: Run | None = None  # the run that waits in place of one whose response ends
    for_agents: bool = False  # it waits for messages, too


def advance(
    run: Run,
    event: RunEvent,
    *,
    response: ResponseObject | None = None,
    turn: Turn | None = None,
    events: Sequence[Event] = (),
    pending: Mapping[str, dict[str, Any]] = _NONE_PENDING,
    by_model: ByModel | None = None,
    wait: Wait | None = None,
    answer: MessageAnswer | None = None,
    counts: bool = False,
    **lease: Any,
) -> tuple[Run, list[Change]]:
    """Return the run after an event, and the changes to write together.

    response, turn, events, pending, by_model, wait: as the row needs them. answer: of a child run, for its sender.
    counts: among its owner's runs again, after it has waited. lease: see `change_lease`.
    """
    row = find(State.ABSENT if run.is_new else lease_state(run.lease), event, run.lease)
    changes: list[Change] = []
    details: dict[str, Any] = {"response": response, "turn": turn, "by_model": by_model, "wait": wait, "answer": answer}
    for column in _COLUMNS:
        run, written = column(run, row, counts=counts, **details, **lease)
        changes += written
    if events:
        changes.append(run.put_events(events, wait.kept_until if wait else None))
    if pending:
        changes.append(run.put_pending(pending))
    if wait and wait.continuation:
        changes += advance(wait.continuation, RunEvent.CONTINUE, wait=replace(wait, continuation=None))[1]
    return run, changes


Written = tuple[Run, list[Change]]


def _write_budget(run: Run, row: Transition, *, counts: bool, wait: Wait | None, **_: Any) -> Written:
    budget, is_started = run.stored.budget, row.status == "in_progress" and row.to == State.HELD
    if counts and "counted" not in (budget or {}):
        budget = {**(budget or {}), "counted": True}
        return replace(run, stored=replace(run.stored, budget=budget)), [begun_again(run.owner)]
    if budget is None or run.is_new or row.status in ("", "purged") or (wait and wait.for_agents):
        return run, []
    kept = {name: value for name, value in budget.items() if is_started and name != "reserved"}
    changes: list[Change] = []
    if not is_started:
        changes += released(budget["reserved"]) if "reserved" in budget else []
        changes += [ended(run.owner)] if "counted" in budget else []
    return replace(run, stored=replace(run.stored, budget=kept or None)), changes


def _write_response(
    run: Run, row: Transition, *, response: ResponseObject | None, wait: Wait | None, **_: Any
) -> Written:
    if row.status == "deleted":
        partition = model.response_partition(run.owner, run.id)
        return run, [Delete(partition, "response", expected=run.stored.version)]
    if not (row.status or response):
        return run, []
    response = {**(response or run.stored.response), "status": row.status or run.stored.response["status"]}
    adds_turn = row.conversation == "append" and run.stored.sending is None
    cursor, for_agents = run.cursor.next if adds_turn else None, wait is not None and wait.for_agents
    stored = replace(run.stored, response=response, cursor=cursor, for_agents=for_agents)
    if wait:
        continued_by = wait.continuation.id if wait.continuation else None
        stored = replace(stored, asked=[] if continued_by else list(wait.asked), continued_by=continued_by)
    put = stored.put(run.owner, wait.kept_until if wait else None)
    return replace(run, stored=replace(stored, version=put.version)), [put]


def _write_entry(run: Run, row: Transition, *, by_model: ByModel | None, wait: Wait | None, **_: Any) -> Written:
    response, expires = run.stored.response, wait.kept_until if wait else None
    match row.entry if run.stored.sending is None else "":
        case "add":
            return run, [*put_entry(run.owner, response, is_new=True, expires=expires)]
        case "replace":
            attempts = run.lease.attempts if run.lease else 0
            return run, [*put_entry(run.owner, response, attempts=attempts, by_model=by_model, expires=expires)]
        case "remove":
            return run, [*delete_entry(run.owner, run.id)]
    return run, []


def _write_lease(
    run: Run,
    row: Transition,
    *,
    response: object,
    turn: object,
    by_model: object,
    wait: Wait | None,
    answer: object,
    counts: object,
    **details: Any,
) -> Written:
    if not row.lease or run.lease is None:
        return run, []
    if wait:
        details |= {"until": wait.until, "for_agents": wait.for_agents}
    changes = change_lease(run.lease, row.lease, **details)
    own = changes[0]
    is_open = isinstance(own, Put) and row.to != State.GIVEN_UP
    return replace(run, lease=run.lease.written(own) if isinstance(own, Put) and is_open else None), [*changes]


def _write_turn(run: Run, row: Transition, *, turn: Turn | None, wait: Wait | None, **_: Any) -> Written:
    conversation = run.conversation
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


def _write_approvals(run: Run, row: Transition, *, wait: Wait | None, **_: Any) -> Written:
    new = wait.approvals if wait and not wait.continuation else ()
    return run, [each.put(each.expires_at + model.RETENTION) for each in new]


def _write_answer(
    run: Run, row: Transition, *, answer: MessageAnswer | None, by_model: ByModel | None, **_: Any
) -> Written:
    if run.is_new or row.to not in (State.FINAL, State.GIVEN_UP, State.DELETED):
        return run, []
    changes = answered_changes(run, answer, by_model)
    return replace(run, open_message=None), changes


_COLUMNS = (
    *(_write_budget, _write_response, _write_entry, _write_lease, _write_turn, _write_approvals),
    _write_answer,
)
