"""What stays of an approval when it is decided, and the changes that decide it."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agency_lambda.approvals.deciders import Decider, Role
from agency_lambda.approvals.model import Approval, decided_partition
from agency_lambda.protocol.approvals import ApprovalKind, Decision
from agency_lambda.protocol.journal_keys import Row, stored_key
from agency_lambda.store import ABSENT, Change, Put, Record
from agency_lambda.validators import Approvers

Status = Literal["approved", "refused", "expired", "withdrawn"]


@dataclass(frozen=True, kw_only=True)
class DecidedApproval:
    """The record of a decision, without content, which is kept for good.

    decided_by: a caller's name; None if nobody has decided. continued_by: the response that goes on, if it is another
    than the one that has asked. The other fields are those of Approval and Decider.
    """

    id: str
    owner: str
    response_id: str
    root: str
    key: str
    agency: str
    agent: str
    name: str
    kind: ApprovalKind
    approvers: Approvers
    status: Status
    created_at: int
    expires_at: int
    decided_at: int
    decided_by: str | None = None
    role: Role | None = None
    address: str | None = None
    continued_by: str | None = None
    root_response_id: str | None = None

    @classmethod
    def from_record(cls, record: Record) -> "DecidedApproval":
        return cls(id=record.sort, **record.body)

    def put(self) -> Put:
        body = asdict(self)
        del body["id"]
        if self.root_response_id is None:  # an earlier version cannot read it
            del body["root_response_id"]
        return Put(decided_partition(self.owner), self.id, body, expected=ABSENT)


def decide(approval: Approval, decision: Decision, decider: Decider, *, journal: str, expires: int) -> list[Change]:
    """Return the changes that decide an approval, of which a second decision is a Conflict.

    journal: the partition of the root's journal, which gets the content. expires: of the content.
    """
    decided = _decided(approval, status_of(decision, decider), decider)
    content = Put(journal, content_row(approval.request.key), _content(approval, decision, decided), expires, ABSENT)
    return [approval.delete(), decided.put(), content]


def status_of(decision: Decision, decider: Decider) -> Status:
    if decider.role == "expiry":
        return "expired"
    return "approved" if decision.approve else "refused"


def withdraw(approval: Approval) -> list[Change]:
    """Return the changes by which nobody can decide any more: the run was cancelled or deleted."""
    return [approval.delete(), _decided(approval, "withdrawn").put()]


def content_row(key: str) -> str:
    return stored_key(Row.DECISION.key(key))


def _decided(approval: Approval, status: Status, decider: Decider | None = None) -> DecidedApproval:
    request = approval.request
    by: dict[str, Any] = (
        {"decided_by": decider.owner or None, "role": decider.role, "address": decider.address} if decider else {}
    )
    return DecidedApproval(
        id=approval.id,
        owner=approval.owner,
        response_id=approval.response_id,
        root=approval.root,
        key=request.key,
        agency=approval.agency,
        agent=request.agent,
        name=request.name,
        kind=request.kind,
        approvers=approval.approvers,
        status=status,
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        decided_at=int(time.time()),
        continued_by=approval.continued_by,
        root_response_id=approval.root_response_id,
        **by,
    )


def _content(approval: Approval, decision: Decision, decided: DecidedApproval) -> dict[str, Any]:
    """asked: the model's arguments; `arguments` are those that replace them."""
    return {
        "id": approval.id,
        "kind": approval.request.kind,
        "asked": approval.request.arguments,
        "asked_at": approval.created_at,
        "approve": decision.approve,
        "reason": decision.reason,
        "arguments": decision.arguments,
        "status": decided.status,
        "decided_by": decided.decided_by,
        "decided_at": decided.decided_at,
        "role": decided.role,
        "address": decided.address,
    }
