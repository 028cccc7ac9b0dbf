"""An approval as callers see it."""

from collections.abc import Mapping
from typing import Any

from agency_lambda.approvals.decided import DecidedApproval, content_row
from agency_lambda.approvals.deciders import Client, role_to_decide
from agency_lambda.approvals.model import Approval
from agency_lambda.protocol.approvals import arguments_object
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.store import Store


def may_see_content(approval: Approval | DecidedApproval, client: Client) -> bool:
    """Return whether arguments and reasons are shown: to operators, and to an owner who may decide."""
    role = role_to_decide(approval.approvers, approval.owner, client.name, is_operator=False)
    return client.is_operator or role is not None


def pending_resource(approval: Approval, client: Client) -> dict[str, Any]:
    request = approval.request
    asked = request.arguments if may_see_content(approval, client) else None
    return _resource(approval, client, request.agent, request.name, request.kind, asked, "pending")


async def decided_resource(store: Store, approval: DecidedApproval, client: Client, journal: str) -> dict[str, Any]:
    """journal: the partition with the content, which is kept for as long as its response."""
    record = await store.get(journal, content_row(approval.key)) if may_see_content(approval, client) else None
    content = record.body if record and record.body["id"] == approval.id else {}
    asked = content.get("asked")
    resource = _resource(approval, client, approval.agent, approval.name, approval.kind, asked, approval.status)
    if approval.status != "withdrawn":
        resource["decision"] = _decision(approval, content, client)
    return resource


def _resource(
    approval: Approval | DecidedApproval,
    client: Client,
    agent: str,
    name: str,
    kind: str,
    asked: str | None,
    status: str,
) -> dict[str, Any]:
    return {
        "id": approval.id,
        "object": "approval",
        "response_id": approval.response_id,
        "root_response_id": approval.root_response_id or approval.response_id,
        "agency": approval.agency,
        "agent": agent,
        "name": name,
        "kind": kind,
        "arguments": {} if asked is None else shown_arguments(asked),
        "created_at": approval.created_at,
        "expires_at": approval.expires_at,
        "status": status,
        "continued_by": approval.continued_by,
        **({"owner": approval.owner} if client.is_operator else {}),
    }


def shown_arguments(text: str) -> dict[str, Any] | str:
    """Return the object, or the model's text if it is none."""
    found = arguments_object(text)
    return str(replace_surrogates(text)) if found is None else found


def _decision(approval: DecidedApproval, content: Mapping[str, Any], client: Client) -> dict[str, Any]:
    changed = content.get("arguments")
    sees_address = client.is_operator or approval.decided_by == client.name
    return {
        "approve": approval.status == "approved",
        "reason": content.get("reason"),
        "arguments": None if changed is None else shown_arguments(changed),
        "decided_by": approval.decided_by,
        "decided_at": approval.decided_at,
        "address": approval.address if sees_address else None,
        "as": approval.role,
    }
