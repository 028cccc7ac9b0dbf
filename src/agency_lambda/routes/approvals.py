from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from agency_lambda.errors import NotFound
from agency_lambda.exception_handlers import V1_RESPONSES
from agency_lambda.record.index_pages import PageQuery
from agency_lambda.routes.dependencies import Caller, OwnerFilter
from agency_lambda.routes.listing import CursorPage
from agency_lambda.routes.pages import not_in_list
from agency_lambda.routes.strict import StrictRoute

if TYPE_CHECKING:
    from agency_lambda.approvals.decided import DecidedApproval
    from agency_lambda.approvals.model import Approval

# What this room needs is imported by the routes: few processes are asked for approvals.
router = APIRouter(prefix="/v1/approvals", responses=V1_RESPONSES, route_class=StrictRoute)


@router.get("", response_model=None)
async def list_approvals(caller: Caller, requested: CursorPage, owner: OwnerFilter = None) -> dict[str, Any]:
    """List what waits for a decision, newest first: the caller's own; for operators of all owners, or of one."""
    from agency_lambda.record.approvals import list_pending

    query = PageQuery(
        limit=requested.limit,
        descending=requested.order == "desc",
        after=_key(requested.after, "after"),
        before=_key(requested.before, "before"),
    )
    caller.refuse_other_owner(owner)
    owners = [owner] if owner else [caller.owner]
    if caller.is_operator and not owner:
        owners = await caller.runs.owners.known()
    caller.log_if_operator(owner)
    return await list_pending(caller.runs.store, owners, query, caller.viewer)


@router.get("/{approval_id}", response_model=None)
async def retrieve_approval(approval_id: str, caller: Caller, owner: OwnerFilter = None) -> dict[str, Any]:
    """Return what was asked and, if somebody has decided, what, who and when."""
    from agency_lambda.record.approvals import describe

    found = await _find(approval_id, caller, owner)
    return await describe(caller.runs.store, found, caller.viewer)


async def _find(approval_id: str, caller: Caller, owner: str | None) -> "Approval | DecidedApproval":
    """Return an approval that the caller may see, and log that an operator has asked for it."""
    from agency_lambda.record.approvals import find_visible

    caller.refuse_other_owner(owner)
    try:
        found = await find_visible(caller.runs.store, caller.runs.owners, approval_id, caller.viewer, owner)
    except NotFound:
        caller.log_if_operator(owner)
        raise
    caller.log_if_operator(found.owner, found.response_id)
    return found


def _key(approval_id: str | None, param: str) -> str:
    from agency_lambda.approvals.queries import is_approval_id

    if approval_id and not is_approval_id(approval_id):
        raise not_in_list(approval_id, param)
    return approval_id or ""
