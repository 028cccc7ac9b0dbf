"""What a run asks a person, and what the person has decided."""

from dataclasses import dataclass
from typing import Any, Literal

ApprovalKind = Literal["tool", "question", "repeat"]
"""A call to approve; a question to answer; a call to make again, whose outcome a crash has left unknown."""


@dataclass(frozen=True, kw_only=True)
class ApprovalRequest:
    """A call that a person decides."""

    key: str  # the call's, the same in every attempt
    agent: str
    name: str  # the tool's
    arguments: str  # the model's, as JSON
    kind: ApprovalKind = "tool"
    schema: dict[str, Any] | None = None  # of the arguments; None if nobody may change them


@dataclass(frozen=True, kw_only=True)
class Decision:
    """reason: what the model gets if it is refused; the answer of a question. arguments: JSON, used in place of the
    model's."""

    approve: bool
    reason: str | None = None
    arguments: str | None = None
