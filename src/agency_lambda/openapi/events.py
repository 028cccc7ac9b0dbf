"""The events of a stream, each told by its `type`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agency_lambda.openapi.items import Annotation, OutputItem, OutputPart, SummaryText
from agency_lambda.openapi.response import ResponseResource


class _Event(BaseModel):
    sequence_number: int


class _ResponseEvent(_Event):
    response: ResponseResource


class _ItemEvent(_Event):
    output_index: int
    item: OutputItem


class _OfItem(_Event):
    item_id: str
    output_index: int


class _OfContent(_OfItem):
    content_index: int


class _OfSummary(_OfItem):
    summary_index: int


class _Delta(BaseModel):
    delta: str
    obfuscation: str | None = Field(default=None, description="padding, if it was asked for")


class ResponseCreatedEvent(_ResponseEvent):
    type: Literal["response.created"]


class ResponseInProgressEvent(_ResponseEvent):
    """With `resume` the last event of a stream whose run goes on: its URL has the rest."""

    type: Literal["response.in_progress"]
    resume: str | None = None


class ResponseCompletedEvent(_ResponseEvent):
    type: Literal["response.completed"]


class ResponseFailedEvent(_ResponseEvent):
    type: Literal["response.failed"]


class ResponseIncompleteEvent(_ResponseEvent):
    type: Literal["response.incomplete"]


class ResponseOutputItemAddedEvent(_ItemEvent):
    type: Literal["response.output_item.added"]


class ResponseOutputItemDoneEvent(_ItemEvent):
    type: Literal["response.output_item.done"]


class ResponseContentPartAddedEvent(_OfContent):
    type: Literal["response.content_part.added"]
    part: OutputPart


class ResponseContentPartDoneEvent(_OfContent):
    type: Literal["response.content_part.done"]
    part: OutputPart


class ResponseTextDeltaEvent(_OfContent, _Delta):
    type: Literal["response.output_text.delta"]
    logprobs: list[Any]


class ResponseTextDoneEvent(_OfContent):
    type: Literal["response.output_text.done"]
    text: str
    logprobs: list[Any]


class ResponseTextAnnotationAddedEvent(_OfContent):
    type: Literal["response.output_text.annotation.added"]
    annotation_index: int
    annotation: Annotation


class ResponseRefusalDeltaEvent(_OfContent, _Delta):
    type: Literal["response.refusal.delta"]


class ResponseRefusalDoneEvent(_OfContent):
    type: Literal["response.refusal.done"]
    refusal: str


class ResponseReasoningSummaryPartAddedEvent(_OfSummary):
    type: Literal["response.reasoning_summary_part.added"]
    part: SummaryText


class ResponseReasoningSummaryPartDoneEvent(_OfSummary):
    type: Literal["response.reasoning_summary_part.done"]
    part: SummaryText


class ResponseReasoningSummaryTextDeltaEvent(_OfSummary, _Delta):
    type: Literal["response.reasoning_summary_text.delta"]


class ResponseReasoningSummaryTextDoneEvent(_OfSummary):
    type: Literal["response.reasoning_summary_text.done"]
    text: str


class ResponseFunctionCallArgumentsDeltaEvent(_OfItem, _Delta):
    type: Literal["response.function_call_arguments.delta"]


class ResponseFunctionCallArgumentsDoneEvent(_OfItem):
    type: Literal["response.function_call_arguments.done"]
    name: str
    arguments: str


type ResponseStreamEvent = Annotated[
    ResponseCreatedEvent
    | ResponseInProgressEvent
    | ResponseCompletedEvent
    | ResponseFailedEvent
    | ResponseIncompleteEvent
    | ResponseOutputItemAddedEvent
    | ResponseOutputItemDoneEvent
    | ResponseContentPartAddedEvent
    | ResponseContentPartDoneEvent
    | ResponseTextDeltaEvent
    | ResponseTextDoneEvent
    | ResponseTextAnnotationAddedEvent
    | ResponseRefusalDeltaEvent
    | ResponseRefusalDoneEvent
    | ResponseReasoningSummaryPartAddedEvent
    | ResponseReasoningSummaryPartDoneEvent
    | ResponseReasoningSummaryTextDeltaEvent
    | ResponseReasoningSummaryTextDoneEvent
    | ResponseFunctionCallArgumentsDeltaEvent
    | ResponseFunctionCallArgumentsDoneEvent,
    Field(discriminator="type"),
]
