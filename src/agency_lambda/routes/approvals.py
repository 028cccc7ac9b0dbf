from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from agency_lambda.errors import ApprovalDecided, InvalidRequest, NotFound
from agency_lambda.protocol.request import Body
from agency_lambda.routes.dependencies import Caller, OwnerFilter
from agency_lambda.routes.paging import CursorPage
from agency_lambda.routes.strict import StrictRoute

if TYPE_CHECKING:
    from agency_lambda.approvals.decided import DecidedApproval
    from agency_lambda.approvals.model import Approval
    from agency_lambda.protocol.approvals import Decision

# The routes import what they need, so that a start does not pay for what few clients ask for.
router = APIRouter(prefix="/v1/approvals", route_class=StrictRoute)


class DecisionBody(Body):
    """reason: the model gets it if the call is refused. arguments: in place of the model's. answer: of a question."""

    approve: bool
    reason: str | None = None
    arguments: dict[str, Any] | None = None
    answer: str | None = None


@router.get("", response_model=None)
async def list_approvals(caller: Caller, requested: CursorPage, owner: OwnerFilter = None) -> dict[str, Any]:
    """List what waits for a decision, newest first: the caller's own; for operators of all owners, or of one."""
    from agency_lambda.approvals.queries import is_approval_id
    from agency_lambda.record.approvals import list_pending

    query = requested.query(lambda each: each if is_approval_id(each) else None)
    caller.refuse_other_owner(owner)
    owners = [owner] if owner else [caller.owner]
    if caller.client.is_operator and not owner:
        owners = await caller.runs.owners.known()
    caller.log_if_operator(owner)
    return await list_pending(caller.runs.store, owners, query, caller.client)


@router.get("/{approval_id}", response_model=None)
async def retrieve_approval(approval_id: str, caller: Caller, owner: OwnerFilter = None) -> dict[str, Any]:
    """Return what was asked and, if somebody has decided, what, who and when."""
    from agency_lambda.record.approvals import describe

    found = await _find(approval_id, caller, owner)
    return await describe(caller.runs.store, found, caller.client)


@router.post("/{approval_id}", response_model=None)
async def decide_approval(
    approval_id: str, body: DecisionBody, caller: Caller, owner: OwnerFilter = None
) -> dict[str, Any]:
    """Approve or refuse a call, or answer a question: the run that waits goes on."""
    from agency_lambda.approvals.decided import DecidedApproval
    from agency_lambda.approvals.queries import find
    from agency_lambda.approvals.validation import checked
    from agency_lambda.record.approvals import describe

    approval = await _find(approval_id, caller, owner)
    if isinstance(approval, DecidedApproval):
        raise _decided(approval)
    decider, store = caller.client.decider_of(approval), caller.runs.store
    decision = checked(approval.request, _decision(body, approval))
    try:
        await caller.runs.decide(approval, decision, decider)
    except ApprovalDecided:
        found = await find(store, approval.owner, approval_id)
        if not isinstance(found, DecidedApproval):
            raise
        raise _decided(found) from None
    found = await find(store, approval.owner, approval_id)
    return await describe(store, found or approval, caller.client)


async def _find(approval_id: str, caller: Caller, owner: str | None) -> "Approval | DecidedApproval":
    """Return an approval that the caller may see, and log that an operator has asked for it."""
    from agency_lambda.record.approvals import find_visible

    caller.refuse_other_owner(owner)
    try:
        found = await find_visible(caller.runs.store, caller.runs.owners, approval_id, caller.client, owner)
    except NotFound:
        caller.log_if_operator(owner)
        raise
    caller.log_if_operator(found.owner, found.response_id)
    return found


def _decision(body: DecisionBody, approval: "Approval") -> "Decision":
    from agency_lambda.protocol.approvals import Decision
    from agency_lambda.protocol.surrogates import to_json_bytes

    if body.answer is not None and (approval.request.kind != "question" or body.reason is not None):
        raise InvalidRequest("'answer' is for questions, and 'reason' says nothing beside it.", param="answer")
    reason = body.reason if body.answer is None else body.answer
    arguments = None if body.arguments is None else to_json_bytes(body.arguments).decode()
    return Decision(approve=body.approve, reason=reason, arguments=arguments)


def _decided(approval: "DecidedApproval") -> ApprovalDecided:
    if approval.status == "withdrawn":
        return ApprovalDecided("Its run was cancelled or deleted: there is nothing to decide any more.")
    by = f" by {approval.decided_by!r} as {approval.role}" if approval.decided_by else ""
    return ApprovalDecided(f"This is decided already: {approval.status}{by} at {approval.decided_at} (Unix seconds).")
