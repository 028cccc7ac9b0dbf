"""Who may decide, and who has."""

from dataclasses import dataclass
from typing import Literal

from agency_lambda.approvals.model import Approval, owner_decides
from agency_lambda.errors import ApproverRequired
from agency_lambda.validators import Approvers

Role = Literal["owner", "operator", "expiry"]
"""In which role somebody has decided; "expiry": nobody has in time."""


@dataclass(frozen=True)
class Decider:
    """owner: the name of whoever decides, "" for nobody. address: of the client, as far as it is known."""

    owner: str
    role: Role
    address: str | None = None


NOBODY = Decider("", "expiry")


@dataclass(frozen=True)
class Client:
    """Who sends a request: the name of its key, and its address, as far as it is known."""

    name: str
    is_operator: bool = False
    address: str | None = None

    def decider_of(self, approval: Approval) -> Decider:
        """Raises ApproverRequired."""
        role = role_to_decide(approval.approvers, approval.owner, self.name, is_operator=self.is_operator)
        if role is None:
            raise ApproverRequired(f"You may not decide this: its approvers are {approval.approvers!r}.")
        return Decider(self.name, role, self.address)

    def may_decide(self, approval: Approval) -> bool:
        return role_to_decide(approval.approvers, approval.owner, self.name, is_operator=self.is_operator) is not None


def role_to_decide(
    approvers: Approvers, owner: str, name: str, *, is_operator: bool
) -> Literal["owner", "operator"] | None:
    """Return the role in which a caller may decide, None if it may not. owner: of the run. name: the caller's."""
    if name == owner and owner_decides(approvers):
        return "owner"
    may_operate = approvers in ("both", "operators") or (approvers == "other_operators" and name != owner)
    return "operator" if is_operator and may_operate else None
