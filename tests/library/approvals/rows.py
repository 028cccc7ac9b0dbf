"""Approvals that wait, without a run."""

import time
from dataclasses import replace
from typing import Any

from agency_lambda.approvals.model import Approval
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.ids import new_id
from agency_lambda.store import Store

SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "array", "items": {"type": "string"}}, "text": {"type": "string", "maxLength": 50}},
    "required": ["to", "text"],
    "additionalProperties": False,
}
LETTER = '{"to": ["ann@example.com"], "text": "Dear Ann"}'


def request(**changed: Any) -> ApprovalRequest:
    asked = ApprovalRequest(key="Clerk/0f", agent="Clerk", name="send_letter", arguments=LETTER, schema=SCHEMA)
    return replace(asked, **changed)


def pending(owner: str = "ann", response_id: str = "", **changed: Any) -> Approval:
    response_id = response_id or new_id("resp")
    asked = Approval(
        id=f"mcpr_{response_id.removeprefix('resp_')}{0:016x}",
        owner=owner,
        run=response_id,
        response_id=response_id,
        root=response_id,
        agency="desk",
        request=request(),
        approvers="both",
        created_at=int(time.time()),
        expires_at=int(time.time()) + 30 * 24 * 3600,
    )
    return replace(asked, **changed)


async def stored(store: Store, approval: Approval) -> Approval:
    put = approval.put(approval.expires_at + 1000)
    await store.write(put)
    return replace(approval, version=put.version)
