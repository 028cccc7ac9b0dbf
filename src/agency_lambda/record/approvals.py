"""Approvals as callers read them: an owner its own, an operator those of all owners."""

from collections.abc import Sequence
from typing import Any

from agency_lambda.approvals.decided import DecidedApproval
from agency_lambda.approvals.deciders import Client
from agency_lambda.approvals.model import Approval, pending_partition
from agency_lambda.approvals.queries import find, is_approval_id
from agency_lambda.approvals.resource import decided_resource, pending_resource
from agency_lambda.errors import NotFound
from agency_lambda.protocol import bounds
from agency_lambda.record.index_pages import PageQuery, entries, page
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.owners import Owners
from agency_lambda.store import Store

_FEW = 10  # approvals in one read of an owner, where there are many owners
_MOST_BYTES = 5_000_000  # of a page


async def list_pending(store: Store, owners: Sequence[str], query: PageQuery, client: Client) -> dict[str, Any]:
    """Return a page of the approvals that wait, in the order in which they were asked."""
    at_once = query.limit + 1 if len(owners) == 1 else min(_FEW, query.limit + 1)
    data, left = list[dict[str, Any]](), _MOST_BYTES
    async for record in entries(store, [pending_partition(owner) for owner in owners], query, at_once=at_once):
        resource = pending_resource(Approval.from_record(record), client)
        left -= bounds.size(resource)
        if len(data) == query.limit or (data and left < 0):
            return page(data, query, last_read=data[-1]["id"])
        data.append(resource)
    return page(data, query, last_read=None)


async def find_visible(
    store: Store, owners: Owners, approval_id: str, client: Client, owner: str | None
) -> Approval | DecidedApproval:
    """owner: whose approval it is, if an operator knows. Raises NotFound."""
    found = await _find(store, owners, approval_id, client, owner) if is_approval_id(approval_id) else None
    if found is None:
        raise NotFound(f"Approval with id {approval_id[:99]!r} not found.")
    return found


async def describe(store: Store, approval: Approval | DecidedApproval, client: Client) -> dict[str, Any]:
    if isinstance(approval, Approval):
        return pending_resource(approval, client)
    return await decided_resource(store, approval, client, response_partition(approval.owner, approval.root))


async def _find(
    store: Store, owners: Owners, approval_id: str, client: Client, owner: str | None
) -> Approval | DecidedApproval | None:
    if owner or not client.is_operator:
        return await find(store, owner or client.name, approval_id)
    return await owners.search(lambda each: find(store, each, approval_id))
