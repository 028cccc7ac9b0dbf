"""Approvals of one owner."""

import asyncio
import re
from collections.abc import Iterable

from agency_lambda.approvals.decided import DecidedApproval
from agency_lambda.approvals.model import Approval, decided_partition, pending_partition
from agency_lambda.protocol.ids import created_microseconds
from agency_lambda.store import Store

_ID = re.compile(r"mcpr_\w{1,100}", re.ASCII)
_CLOCK_SKEW = 60_000  # milliseconds that the clocks of two processes may differ by


def is_approval_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


async def find(store: Store, owner: str, approval_id: str) -> Approval | DecidedApproval | None:
    if not is_approval_id(approval_id):
        return None
    if waiting := await pending(store, owner, [approval_id]):
        return waiting[0]
    decided = await store.get(decided_partition(owner), approval_id)
    return DecidedApproval.from_record(decided) if decided else None


async def pending(store: Store, owner: str, ids: Iterable[str]) -> list[Approval]:
    """Return those that wait for their decision, in the order of their ids."""
    records = await asyncio.gather(*(store.get(pending_partition(owner), each) for each in ids))
    return [Approval.from_record(record) for record in records if record]


async def first_pending(store: Store, owner: str) -> list[Approval]:
    """Return the approvals that have waited longest, 100 at most."""
    return [Approval.from_record(each) for each in await store.query(pending_partition(owner), limit=100)]


async def asked_in_messages(store: Store, owner: str, response_id: str) -> list[Approval]:
    """Return those of runs that work on messages for a response, in the order in which they were asked."""
    begun = (created_microseconds(response_id) or 0) // 1000  # ids of approvals begin with their time, too
    after = f"mcpr_{max(begun - _CLOCK_SKEW, 0):012x}"
    records = await store.query(pending_partition(owner), after=after)
    return [Approval.from_record(each) for each in records if each.body.get("root_response_id") == response_id]
