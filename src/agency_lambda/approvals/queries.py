"""Approvals of one owner, by id and by what waits."""

import re

from agency_lambda.approvals.decided import DecidedApproval
from agency_lambda.approvals.model import Approval, decided_partition, pending_partition
from agency_lambda.store import Store

_ID = re.compile(r"mcpr_\w{1,100}", re.ASCII)
_CHUNK = 200  # records in one read


def is_approval_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


async def find(store: Store, owner: str, approval_id: str) -> Approval | DecidedApproval | None:
    if not is_approval_id(approval_id):
        return None
    if pending := await store.get(pending_partition(owner), approval_id):
        return Approval.from_record(pending)
    decided = await store.get(decided_partition(owner), approval_id)
    return DecidedApproval.from_record(decided) if decided else None


async def runs_waiting(store: Store, owner: str, *, most: int) -> list[str]:
    """Return the ids of runs with pending approvals, those first that have asked first."""
    found: dict[str, None] = {}
    after = ""
    while len(found) < most:
        records = await store.query(pending_partition(owner), after=after, limit=_CHUNK)
        found |= dict.fromkeys(record.body["run"] for record in records)
        if len(records) < _CHUNK:
            break
        after = records[-1].sort
    return list(found)[:most]
