"""Chat completions, whole and in chunks."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from agency_lambda.exception_handlers import OpenAIFailure

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ChatFunctionCall(BaseModel):
    name: str
    arguments: str = Field(description="JSON")


class ChatToolCall(BaseModel):
    id: str
    type: Literal["function"]
    function: ChatFunctionCall


class UrlCitationOfChat(BaseModel):
    url: str
    title: str
    start_index: int
    end_index: int


class ChatAnnotation(BaseModel):
    type: Literal["url_citation"]
    url_citation: UrlCitationOfChat


class ChatImageUrl(BaseModel):
    url: str = Field(description="a data URL")


class ChatImage(BaseModel):
    type: Literal["image_url"]
    index: int
    image_url: ChatImageUrl


class ChatMessage(BaseModel):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    annotations: list[ChatAnnotation]
    tool_calls: list[ChatToolCall] | None = None
    images: list[ChatImage] | None = None
    reasoning_content: str | None = Field(default=None, description="what the agents do, if it was asked for")


class ChatChoice(BaseModel):
    index: Literal[0]
    message: ChatMessage
    logprobs: None
    finish_reason: FinishReason


class PromptTokensDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int


class CompletionTokensDetails(BaseModel):
    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class ChatUsage(BaseModel):
    """Counts every model call of every agent."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class ChatCompletion(BaseModel):
    id: str = Field(description="of the response that the run has made, too")
    object: Literal["chat.completion"]
    created: int
    model: str = Field(description="an agency, or agency/Agent")
    choices: list[ChatChoice]
    usage: ChatUsage
    service_tier: str
    system_fingerprint: None
    metadata: dict[str, str] | None = None


class ChatFunctionCallDelta(BaseModel):
    name: str | None = None
    arguments: str


class ChatToolCallDelta(BaseModel):
    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: ChatFunctionCallDelta


class ChatDelta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    annotations: list[ChatAnnotation] | None = None
    tool_calls: list[ChatToolCallDelta] | None = None
    images: list[ChatImage] | None = None
    reasoning_content: str | None = None


class ChatChunkChoice(BaseModel):
    index: Literal[0]
    delta: ChatDelta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(BaseModel):
    """A piece of a completion; the event behind the last one is `[DONE]`, or has an `error`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | None = None
    service_tier: str
    system_fingerprint: None
    obfuscation: str | None = Field(default=None, description="padding, if it was asked for")


class ChatFailure(OpenAIFailure):
    """Why there is no answer; of a run that goes on, or waits, also which."""

    response_id: str | None = Field(default=None, description="read it at /v1/responses/{response_id}")
    approvals: list[Any] | None = Field(default=None, description="what a person is to decide")


class ChatFailureAnswer(BaseModel):
    error: ChatFailure


type ChatCompletionEvent = ChatCompletionChunk | ChatFailureAnswer
