from typing import Any, Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.approvals import ApprovalKind, ApprovalStatus, Role
from agency_lambda.openapi.response import InputTokensDetails, OutputTokensDetails, ResponseStatus


class TraceUsage(BaseModel):
    """Of an unfinished run the counts so far."""

    model_calls: int
    replayed_calls: int | None = None
    input_tokens: int
    input_tokens_details: InputTokensDetails | None = None
    output_tokens: int
    output_tokens_details: OutputTokensDetails | None = None
    total_tokens: int


class TraceApproval(BaseModel):
    """What a call asked a person."""

    id: str
    kind: ApprovalKind
    status: ApprovalStatus
    asked_at: float | None
    decided_at: float | None
    decided_by: str | None
    role: Role | None = Field(alias="as")
    reason: str | None = None
    arguments: Any = None
    address: str | None = None


class TraceRun(BaseModel):
    """The run that answers a message."""

    response_id: str
    status: ResponseStatus | None
    waits_for: Literal["person", "agents"] | None
    queued_at: float | None
    ended_at: float | None
    attempts: int | None
    error_code: str | None


class TraceNode(BaseModel):
    """What an agent, a model, a tool or a message did. Times are Unix seconds."""

    type: Literal["agent", "model_call", "tool_call", "message"]
    name: str | None
    agent: str | None
    model: str | None
    started_at: float | None
    ended_at: float | None
    attempt: int | None
    replayed: bool | None
    input_tokens: int
    output_tokens: int
    usd: float | None
    status: ResponseStatus
    children: "list[TraceNode]"
    approvals: list[TraceApproval] | None = None
    run: TraceRun | None = None


class TraceNodeWithContents(TraceNode):
    """The same, with what operators see."""

    children: "list[TraceNodeWithContents]"  # type: ignore[assignment]
    instructions_digest: str | None = None
    instructions: str | None = None
    input: Any = None
    output: Any = None
    call_id: str | None = None
    arguments: Any = None


class _Trace(BaseModel):
    object: Literal["trace"]
    response_id: str
    model: str
    status: ResponseStatus
    created_at: int
    completed_at: int | None
    ended_at: float | None
    attempts: int | None
    waits_for: Literal["person", "agents"] | None
    usage: TraceUsage
    usd: float | None
    continues: str | None = None
    continued_by: str | None = None
    sent_by: str | None = None
    root_response_id: str | None = None
    child_runs: Literal["too_large"] | None = None


class Trace(_Trace):
    """What the agents of a run did, without content."""

    root: TraceNode


class TraceOfOwner(_Trace):
    """What the agents of a run did, with content unless TRACE_CONTENT=0."""

    owner: str
    contents: Literal["included", "off", "too_large"]
    root: TraceNodeWithContents
