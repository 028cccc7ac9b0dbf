"""What a run writes when it begins to wait for persons or agents."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agency_lambda.approvals.decided import withdraw
from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import pending
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.runs.changes import Wait
from agency_lambda.runs.model import RETENTION, Continuation, Lease, Run, StoredRequest, StoredResponse, expiry
from agency_lambda.runs.usage import ByModel, PaidCalls
from agency_lambda.store import Change, Store
from agency_lambda.validators import Approvers

_DAY = 24 * 3600
MOST_ASKED = 20  # approvals that a run waits for at once; it asks for others when one of them is decided


class WaitOver(Exception):
    """What this attempt was to wait for has come, or its run was cancelled."""


class MessagesAnswered(WaitOver):
    """Other agents have answered all messages before this attempt began to wait for them."""


@dataclass(frozen=True)
class ApprovalPolicy:
    """agency: its name in the catalogue. seconds: until an approval expires."""

    agency: str
    approvers: Approvers
    seconds: float


async def open_approvals(
    store: Store, run: Run, requests: Sequence[ApprovalRequest], policy: ApprovalPolicy
) -> list[Approval]:
    """Return what is open: what was asked before, also where this attempt has not come to it, and new requests.

    Raises:
        WaitOver: one of the requests is not open any more.
    """
    known = {each["key"]: each["id"] for each in run.stored.asked}
    still_open = await pending(store, run.owner, known.values())
    if {each.key for each in requests} & known.keys() - {each.request.key for each in still_open}:
        raise WaitOver
    new = [_new_approval(run, each, policy) for each in requests if each.key not in known]
    return [*still_open, *new[: max(MOST_ASKED - len(still_open), 0)]]


def _new_approval(run: Run, request: ApprovalRequest, policy: ApprovalPolicy) -> Approval:
    now, sending = int(time.time()), run.stored.sending
    expires_at = now + policy.seconds
    return Approval(
        id=new_id("mcp_approval_request"),
        owner=run.owner,
        run=run.id,
        response_id=run.id,
        root=run.stored.root,
        agency=policy.agency,
        request=request,
        approvers=policy.approvers,
        created_at=now,
        expires_at=int(min(expires_at, sending.until) if sending else expires_at),
        root_response_id=sending.shown_in if sending else None,
    )


def wait_in_place(approvals: Sequence[Approval], agents_until: float | None = None) -> Wait:
    """Return the Wait of a run that goes on under its own id.

    agents_until: the first deadline of its messages, in Unix seconds; None if it waits for no child run.
    """
    new = [each for each in approvals if not each.version]
    until, kept_until, needed_until = _times(approvals) if approvals else (math.inf, 0, 0)
    if agents_until is not None:
        until, needed_until = min(until, agents_until), max(needed_until, int(agents_until) + _DAY)
        kept_until = max(kept_until, expiry(), needed_until)
    asked = [each.asked for each in approvals]
    return Wait(until, kept_until, needed_until, new, asked, for_child_runs=agents_until is not None)


def wait_in_continuation(run: Run, approvals: Sequence[Approval], by_model: ByModel, response: ResponseObject) -> Wait:
    """Return the Wait that ends a response, with the continuation: the new run that waits instead."""
    asked = [each.asked for each in approvals]
    continuation = _continuation(run, asked, by_model, response)
    moved = [replace(each, run=continuation.id, response_id=run.id) for each in approvals]
    return Wait(*_times(approvals), moved, asked, continuation)


def _times(approvals: Sequence[Approval]) -> tuple[float, int, int]:
    expiries = [each.expires_at for each in approvals]
    kept_until = max(expiries) + RETENTION
    return float(min(expiries)), kept_until, kept_until


def _continuation(run: Run, asked: list[dict[str, Any]], by_model: ByModel, response: ResponseObject) -> Run:
    stored, run_id = run.stored, new_id("resp")
    so_far = stored.continues or Continuation([], {}, {})
    paid = PaidCalls(so_far.usage, so_far.by_model).plus(response["usage"], by_model)
    continues = Continuation([*so_far.before, run.id], *paid)
    new: ResponseObject = {
        **response,
        **{"id": run_id, "status": "in_progress", "background": True, "output": [], "usage": None},
        **{"created_at": int(time.time()), "completed_at": None},
        **({} if "conversation" in response else {"previous_response_id": run.id}),
    }
    request = StoredRequest(stored.request.body, [], run.cursor.next.as_json, stored.request.conversation_id)
    attempts = run.lease.attempts if run.lease else 0  # those of the journal, which goes on
    lease = Lease(run_id, run.owner, holder="", until=0.0, attempts=attempts, queued_at=time.time())
    waiting = StoredResponse(new, request, asked=asked, continues=continues)
    return Run(run.owner, waiting, run.cursor.next, lease)


async def withdrawals(store: Store, run: Run) -> list[Change]:
    """Return the changes that withdraw all open approvals of a run that ends."""
    approvals = await pending(store, run.owner, (each["id"] for each in run.stored.asked))
    return [change for approval in approvals for change in withdraw(approval)]


def request_item(approval: Approval) -> Item:
    """Return the request as its owner sees it, who is asked for a decision, or only sees that somebody is."""
    return {
        "type": "mcp_approval_request",
        "server_label": approval.agency,
        "name": approval.request.name,
        "arguments": approval.request.arguments if approval.shows_content else "{}",
        "agent": approval.request.agent,
        "kind": approval.request.kind,
    }


def shown_request(approval: Approval) -> Item:
    """Return the item of a response that did not ask for itself."""
    return {**request_item(approval), "id": approval.id, "status": "completed"}
