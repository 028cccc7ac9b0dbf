"""What a response has asked, and its journal has no decision of."""

import asyncio
from typing import Any

from agency_lambda.approvals.decided import DecidedApproval
from agency_lambda.approvals.model import Approval
from agency_lambda.approvals.queries import find
from agency_lambda.record.rows import ApprovalRow, JournalRows
from agency_lambda.runs.model import StoredResponse
from agency_lambda.store import Store


async def open_approvals(
    store: Store, owner: str, stored: StoredResponse, rows: JournalRows
) -> list[tuple[str, ApprovalRow]]:
    """Return what waits, or was withdrawn, with the keys of the calls."""
    asked = [each["id"] for each in stored.asked]
    asked += [item["id"] for item in stored.response["output"] if item["type"] == "mcp_approval_request"]
    decided = {row.id for approvals in rows.approvals.values() for row in approvals}
    found = await asyncio.gather(*(find(store, owner, each) for each in dict.fromkeys(asked) if each not in decided))
    return [_row(each) for each in found if each]


def _row(approval: Approval | DecidedApproval) -> tuple[str, ApprovalRow]:
    asked_at = approval.created_at
    if isinstance(approval, Approval):
        request = approval.request
        return request.key, ApprovalRow(id=approval.id, kind=request.kind, status="pending", asked_at=asked_at)
    decided: dict[str, Any] = {
        "decided_by": approval.decided_by,
        "decided_at": approval.decided_at,
        "role": approval.role,
    }
    row = ApprovalRow(id=approval.id, kind=approval.kind, status=approval.status, asked_at=asked_at, **decided)
    return approval.key, row
