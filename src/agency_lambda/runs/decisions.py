"""Decisions about what runs wait for: each is one write, which queues the run."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from agency_lambda.approvals import decided
from agency_lambda.approvals.deciders import NOBODY, Decider
from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import pending
from agency_lambda.errors import ApprovalDecided, NotFound
from agency_lambda.owner_digest import owner_digest
from agency_lambda.protocol.approvals import Decision
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.types import Item
from agency_lambda.runs.child_runs import end_overdue
from agency_lambda.runs.lease_changes import change_lease
from agency_lambda.runs.model import RETENTION, Lease, StoredResponse, response_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.transitions import NotAllowed, RunEvent, find, lease_state
from agency_lambda.store import Change, Conflict, Store

if TYPE_CHECKING:
    from agency_lambda.runs.service import RunService

Decisions = Sequence[tuple[Approval, Decision]]
"""Of one run."""

_ENDED = "The run that asked has ended: there is nothing to decide any more."
_NOBODY_ANSWERED = {
    "tool": "Nobody answered the request for approval in time. The tool was not called.",
    "question": "Nobody answered the question in time.",
    "repeat": "Nobody said in time whether to call it again.",
}


async def decide(runs: "RunService", decisions: Decisions, decider: Decider, more: Sequence[Change] = ()) -> str:
    """Store decisions, with more changes, and queue their run. Returns the id of the response that goes on.

    Raises:
        ApprovalDecided: somebody else was first, or the run has ended. Nothing is stored.
    """
    while True:
        first = decisions[0][0]
        lease = await runs.leases.find(first.run)
        if lease is None:
            decisions = await _of_next_run(runs.store, decisions)
            continue
        has_begun = not (lease.is_waiting and first.continued_by)
        added = [] if has_begun else await _add_input(runs.store, first.owner, first.run, decisions)
        try:
            await record(runs.store, decisions, decider, lease, [*added, *more])
        except Conflict:
            decisions = await reread(runs.store, decisions)
            continue
        await runs.send(first.run, owner=first.owner)
        return first.run


async def record(
    store: Store, decisions: Decisions, decider: Decider, lease: Lease | None, more: Sequence[Change]
) -> None:
    """Store decisions, with more changes, and free their run or tell its attempt. Raises ApprovalDecided, Conflict."""
    try:
        row = find(lease_state(lease), RunEvent.WAKE, lease)
    except NotAllowed:
        raise ApprovalDecided(_ENDED) from None
    assert lease
    await store.write(*_decision_changes(decisions, decider), *change_lease(lease, row.lease), *more)
    _log(decisions, decider)


async def _of_next_run(store: Store, decisions: Decisions) -> Decisions:
    """Return decisions for the run that waits in place of one that has ended. Raises ApprovalDecided."""
    found = await reread(store, decisions)
    if found[0][0].run == decisions[0][0].run:  # nobody can decide any more
        with suppress(Conflict):
            await store.write(*(change for approval, _ in found for change in decided.withdraw(approval)))
        raise ApprovalDecided(_ENDED)
    return found


def _log(decisions: Decisions, decider: Decider) -> None:
    from agency_lambda import telemetry  # imports Powertools

    for approval, decision in decisions:
        fields = {
            "approval": approval.id,
            "response_id": approval.response_id,
            "root_response_id": approval.root_response_id,
            "agency": approval.agency,
            "owner": owner_digest(approval.owner),
            "status": decided.status_of(decision, decider),
            "as": decider.role,
            "decided_by": owner_digest(decider.owner) if decider.owner else None,
        }
        telemetry.log_decided(fields, max(time.time() - approval.created_at, 0.0))


def _decision_changes(decisions: Decisions, decider: Decider) -> list[Change]:
    return [
        change
        for approval, decision in decisions
        for change in decided.decide(
            approval,
            decision,
            decider,
            journal=response_partition(approval.owner, approval.root),
            expires=approval.expires_at + RETENTION,
        )
    ]


async def reread(store: Store, decisions: Decisions) -> Decisions:
    """Return the decisions with their approvals as they are now, as another run may wait for them.

    Raises:
        ApprovalDecided: one is decided.
    """
    found = await pending(store, decisions[0][0].owner, (approval.id for approval, _ in decisions))
    if gone := [approval.id for approval, _ in decisions if approval.id not in {each.id for each in found}]:
        raise ApprovalDecided(f"{gone[0]} is decided already.")
    return [(approval, decision) for approval, (_, decision) in zip(found, decisions, strict=True)]


async def end_waiting(runs: "RunService", run_id: str) -> None:
    """Queue a run whose wait is over: decide what has expired, or wake it to check the conversation lock."""
    lease = await runs.leases.find(run_id)
    if lease is None or not lease.is_waiting or lease.until > time.time():
        return
    approvals = await _expired(runs.store, lease.owner, run_id)
    if approvals:
        with suppress(ApprovalDecided):  # somebody was first
            await decide(runs, [(each, _unanswered(each)) for each in approvals], NOBODY)
    elif not (lease.waits_for_child_runs and await _end_overdue(runs, lease)) and await runs.leases.wake(run_id):
        await runs.send(run_id, owner=lease.owner)


async def _end_overdue(runs: "RunService", lease: Lease) -> bool:
    try:
        stored = await Responses(runs.store, lease.owner).get(lease.id)
    except NotFound:
        return False
    return await end_overdue(runs, lease.owner, stored.root)


async def _expired(store: Store, owner: str, run_id: str) -> list[Approval]:
    try:
        stored = await Responses(store, owner).get(run_id)
    except NotFound:  # nothing has swept for so long that its records have expired: then its lease is removed
        return []
    return await pending(store, owner, (each["id"] for each in stored.asked if each["expires_at"] <= time.time()))


def _unanswered(approval: Approval) -> Decision:
    return Decision(approve=False, reason=_NOBODY_ANSWERED[approval.request.kind])


async def _add_input(store: Store, owner: str, run_id: str, decisions: Decisions) -> list[Change]:
    # A continuation begins with what was decided, as a client would send it.
    stored = await Responses(store, owner).get(run_id)
    return [with_input(stored, [answer_item(*each) for each in decisions]).put(owner, kept_until(stored))]


def kept_until(stored: StoredResponse) -> int:
    """Return how long the records of a run are kept that waits, in Unix seconds."""
    return int(max(each["expires_at"] for each in stored.asked)) + RETENTION


def with_input(stored: StoredResponse, items: list[Item]) -> StoredResponse:
    return replace(stored, request=replace(stored.request, input=[*stored.request.input, *items]))


def answer_item(approval: Approval, decision: Decision) -> Item:
    """Return a decision as the input item with which a client would send it."""
    return {
        "type": "mcp_approval_response",
        "id": new_id("mcp_approval_response"),
        "approval_request_id": approval.id,
        "approve": decision.approve,
        "reason": decision.reason if approval.shows_content else None,
    }
