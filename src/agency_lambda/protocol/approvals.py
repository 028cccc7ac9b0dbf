"""What a run asks a person, and what the person has decided."""

from dataclasses import dataclass
from typing import Any, Literal

ApprovalKind = Literal["tool", "question", "repeat"]
"""A call to approve; a question to answer; a call to make again, whose outcome a crash has left unknown."""


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A call that a person decides.

    key: the call's, the same in every attempt. name: the tool's. arguments: the model's, as JSON.
    schema: of the arguments; None if nobody may change them.
    """

    key: str
    agent: str
    name: str
    arguments: str
    kind: ApprovalKind = "tool"
    schema: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """reason: what the model gets if it is refused; the answer of a question. arguments: JSON, used in place of the
    model's."""

    approve: bool
    reason: str | None = None
    arguments: str | None = None
