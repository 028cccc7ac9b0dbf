"""The records of approvals."""

from dataclasses import asdict, dataclass
from typing import Any

from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.store import ABSENT, Delete, Put, Record
from agency_lambda.validators import Approvers

Asked = dict[str, Any]
"""What a run keeps of an approval that it waits for: id, key of the call, and when it was asked and expires."""


def owner_decides(approvers: Approvers) -> bool:
    return approvers in ("both", "owner")


def pending_partition(owner: str) -> str:
    return f"{owner}/approvals"


def decided_partition(owner: str) -> str:
    return f"{owner}/decisions"


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A request that waits for its decision."""

    id: str
    owner: str
    run: str  # that waits, and that the decision queues
    response_id: str  # whose output shows it
    root: str  # the response whose partition has the journal
    agency: str
    request: ApprovalRequest
    approvers: Approvers
    created_at: int  # Unix seconds
    expires_at: int  # Unix seconds
    root_response_id: str | None = None  # that the client has asked for, if `run` works on a message for it
    version: str = ABSENT

    @property
    def shows_content(self) -> bool:
        """Return whether the run's owner sees arguments and reasons: only who may decide does."""
        return owner_decides(self.approvers)

    @property
    def continued_by(self) -> str | None:
        """Return the response that goes on, None if it is the one that asks."""
        return None if self.run == self.response_id else self.run

    @classmethod
    def from_record(cls, record: Record) -> "Approval":
        body: dict[str, Any] = {**record.body, "request": ApprovalRequest(**record.body["request"])}
        return cls(id=record.sort, version=record.version, **body)

    def put(self, expires: int) -> Put:
        """expires: of the record, later than `expires_at`."""
        body = asdict(self)
        del body["id"], body["version"]
        if self.root_response_id is None:  # an earlier version cannot read it
            del body["root_response_id"]
        return Put(pending_partition(self.owner), self.id, body, expires, expected=self.version)

    @property
    def asked(self) -> Asked:
        times = {"created_at": self.created_at, "expires_at": self.expires_at}
        return {"id": self.id, "key": self.request.key, **times}

    def delete(self) -> Delete:
        return Delete(pending_partition(self.owner), self.id, expected=self.version)
