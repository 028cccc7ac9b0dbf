"""The answers of the routes of Agency Swarm's `run_fastapi`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.items import ImageError, OutputPart, SummaryText


class _Entry(BaseModel):
    agent: str | None = None
    callerAgent: str | None = Field(description="the agent that has asked; null: the user")
    agent_run_id: str
    parent_run_id: str | None = Field(default=None, description="the call within which it happens")
    timestamp: int = Field(description="in microseconds")


class SwarmMessage(_Entry):
    """The last one has what a later history is recognised by."""

    type: Literal["message"]
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[OutputPart | dict[str, Any]]
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    response_id: str | None = None
    history_digest: str | None = None


class SwarmReasoning(_Entry):
    type: Literal["reasoning"]
    id: str
    status: str
    summary: list[SummaryText]


class SwarmCall(_Entry):
    """A call of an agent's tool, without its arguments."""

    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: str


class SwarmCallOutput(_Entry):
    """The end of a call, without its output."""

    type: Literal["function_call_output"]
    call_id: str
    output: str


class SwarmApprovalRequest(_Entry):
    type: Literal["mcp_approval_request"]
    id: str
    approval_request_id: str
    response_id: str
    model: str
    server_label: str
    name: str
    arguments: str
    status: str
    kind: str | None = None


class SwarmApprovalAnswer(_Entry):
    type: Literal["mcp_approval_response"]
    approval_request_id: str
    approve: bool
    reason: str | None = None


class SwarmImage(_Entry):
    type: Literal["image_generation_call"]
    id: str
    status: str
    result: str | None
    error: ImageError | None = None


type SwarmEntry = Annotated[
    SwarmMessage
    | SwarmReasoning
    | SwarmCall
    | SwarmCallOutput
    | SwarmApprovalRequest
    | SwarmApprovalAnswer
    | SwarmImage,
    Field(discriminator="type"),
]


class SwarmUsage(BaseModel):
    request_count: int
    cached_tokens: int
    cache_write_tokens: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    reasoning_tokens: int


class SwarmMessages(BaseModel):
    """The event `messages`: what a turn adds to the history."""

    new_messages: list[SwarmEntry]
    run_id: str
    cancelled: bool | None = None
    usage: SwarmUsage | None = None
    chat_name: str | None = None
    resume: str | None = Field(default=None, description="the URL of the rest, if the run goes on")


class SwarmAnswer(BaseModel):
    response: str | None
    new_messages: list[SwarmEntry]
    run_id: str
    cancelled: bool | None = None
    usage: SwarmUsage | None = None
    chat_name: str | None = None


class SwarmStarted(BaseModel):
    """The event `meta`."""

    run_id: str


class SwarmData(BaseModel):
    """What happens: a `raw_response_event`, a `run_item_stream_event` or an `agent_updated_stream_event`."""

    data: dict[str, Any]


class SwarmError(BaseModel):
    error: str


type SwarmEvent = SwarmMessages | SwarmStarted | SwarmData | SwarmError


class CancelledSwarm(BaseModel):
    ok: bool
    run_id: str
    cancelled: bool
    cancel_mode: Literal["immediate"]
    new_messages: list[SwarmEntry]
    timed_out: bool


class SwarmTool(BaseModel):
    name: str


class SwarmAgent(BaseModel):
    label: str
    isEntryPoint: bool
    hasSubagents: bool
    toolCount: int
    tools: list[SwarmTool]
    conversationStarters: list[str] | None = None
    quickReplies: list[str] | None = None


class SwarmPosition(BaseModel):
    x: int
    y: int


class SwarmNode(BaseModel):
    id: str
    type: Literal["agent"]
    data: SwarmAgent
    position: SwarmPosition


class SwarmEdgeLabel(BaseModel):
    label: str
    bidirectional: bool


class SwarmEdge(BaseModel):
    id: str
    source: str
    target: str
    type: Literal["communication"]
    data: SwarmEdgeLabel


class SwarmSummary(BaseModel):
    agencyName: str
    totalAgents: int
    totalTools: int
    agents: list[str]
    entryPoints: list[str]


class SwarmMetadata(BaseModel):
    nodes: list[SwarmNode]
    edges: list[SwarmEdge]
    metadata: SwarmSummary
    agency_swarm_version: str
    allowed_local_file_dirs: None
