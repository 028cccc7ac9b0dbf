from typing import Any, Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.lists import Page

ApprovalKind = Literal["tool", "question", "repeat"]
ApprovalStatus = Literal["pending", "approved", "refused", "expired", "withdrawn"]
Role = Literal["owner", "operator", "expiry"]


class ApprovalDecision(BaseModel):
    """What was decided, and by whom."""

    approve: bool
    reason: str | None
    arguments: dict[str, Any] | str | None = Field(description="those that replaced the model's")
    decided_by: str | None
    decided_at: int
    address: str | None
    role: Role | None = Field(alias="as")


class Approval(BaseModel):
    """What an agent asks a person: to approve a call, to answer a question, or to make a call again."""

    id: str
    object: Literal["approval"]
    response_id: str
    root_response_id: str
    agency: str
    agent: str
    name: str = Field(description="the tool's")
    kind: ApprovalKind
    arguments: dict[str, Any] | str
    created_at: int
    expires_at: int
    status: ApprovalStatus
    continued_by: str | None = Field(description="the response that goes on, if it is another")
    owner: str | None = Field(default=None, description="for operators")
    decision: ApprovalDecision | None = None


class ApprovalList(Page):
    data: list[Approval]
