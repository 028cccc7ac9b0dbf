"""The response object."""

from typing import Annotated, Any, Literal

from openai.types.responses import FunctionTool, ResponseTextConfig, ToolChoiceFunction
from pydantic import BaseModel, Field

from agency_lambda.openapi.items import Compaction, OutputItem

ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class InputTokensDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """Counts every model call of every agent."""

    model_calls: int
    replayed_calls: int = Field(description="of these, what an earlier attempt has paid for")
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(BaseModel):
    code: str
    message: str
    detail_code: str | None = Field(default=None, description="why, more exactly")


class IncompleteDetails(BaseModel):
    reason: str
    detail: str | None = Field(default=None, description="why, more exactly")


class ConversationId(BaseModel):
    id: str


class ReasoningConfig(BaseModel):
    effort: str | None
    summary: str | None
    generate_summary: str | None = None


class AllowedFunctionTool(BaseModel):
    type: Literal["function"]
    name: str


class AllowedFunctionTools(BaseModel):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[AllowedFunctionTool]


type ToolChoiceObject = Annotated[ToolChoiceFunction | AllowedFunctionTools, Field(discriminator="type")]


class CacheOptions(BaseModel):
    mode: str | None = None
    ttl: str | None = None


class ResponseResource(BaseModel):
    """A run of an agency. It goes on while its status is `queued` or `in_progress`."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: ResponseStatus
    background: bool
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    output: list[OutputItem]
    conversation: ConversationId | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    model: str = Field(description="an agency, or agency/Agent")
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: str | None = None
    prompt_cache_options: CacheOptions | None = None
    reasoning: ReasoningConfig
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float
    text: ResponseTextConfig
    tool_choice: Literal["auto", "none", "required"] | ToolChoiceObject
    tools: list[FunctionTool]
    top_logprobs: int
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None
    user: str | None
    sent_by: str | None = Field(default=None, description="the response whose agent has sent the message")
    root_response_id: str | None = Field(default=None, description="the response that the client has asked for")


class ResponseOfOwner(ResponseResource):
    """A response as operators see it."""

    owner: str


class DeletedResponse(BaseModel):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class InputTokens(BaseModel):
    object: Literal["response.input_tokens"]
    input_tokens: int = Field(description="an estimate")


class CompactedResponse(BaseModel):
    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[Compaction]
    usage: ResponseUsage


class UnfinishedCompletion(BaseModel):
    """A run that goes on: read it at /v1/responses/{run_id}, or answer its approvals."""

    run_id: str
    thread_id: str
    status: ResponseStatus
    approvals: list[Any] | None = Field(default=None, description="what a person is to decide")
