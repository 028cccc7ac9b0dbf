"""An answer as the object and the stream events of OpenAI's Responses API."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseFunctionToolCall,
    ResponseIncompleteEvent,
    ResponseInProgressEvent,
    ResponseOutputItem,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseStreamEvent,
    ResponseUsage,
)
from openai.types.responses.response import IncompleteDetails
from openai.types.responses.response_reasoning_item import Summary
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from pydantic import BaseModel

from agency_lambda.framework.models.item_events import item_events

_TOKEN = 4  # characters


def reasoning_item(summary: str) -> ResponseReasoningItem:
    return ResponseReasoningItem(
        id=_new_id("rs"), type="reasoning", status="completed", summary=[Summary(type="summary_text", text=summary)]
    )


def message_item(text: str, complete: bool = True) -> ResponseOutputMessage:
    return ResponseOutputMessage(
        id=_new_id("msg"),
        type="message",
        role="assistant",
        status="completed" if complete else "incomplete",
        content=[ResponseOutputText(type="output_text", text=text, annotations=[], logprobs=[])],
    )


def call_item(tool: str, arguments: str) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        id=_new_id("fc"),
        call_id=_new_id("call"),
        type="function_call",
        name=tool,
        arguments=arguments,
        status="completed",
    )


def response(model: str, output: list[ResponseOutputItem], read: int, written: int) -> Response:
    """Return a Response, incomplete if an item is. read, written: characters, counted as 4 a token."""
    cut = any(item.type == "message" and item.status == "incomplete" for item in output)
    return Response(
        id=_new_id("resp"),
        object="response",
        created_at=0,  # the only clock in an answer; without it the same question gives the same answer
        status="incomplete" if cut else "completed",
        incomplete_details=IncompleteDetails(reason="max_output_tokens") if cut else None,
        model=model,
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=_usage(read // _TOKEN + 1, written // _TOKEN + 1),
    )


def stream_events(answer: Response) -> Iterator[ResponseStreamEvent]:
    """Yield the events of an answer in OpenAI's order, numbered from 0."""
    for number, event in enumerate(_events(answer)):
        event.sequence_number = number
        yield event


def _events(answer: Response) -> Iterator[ResponseStreamEvent]:
    nothing_yet: dict[str, Any] = {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    begun = answer.model_copy(update=nothing_yet)
    yield ResponseCreatedEvent(type="response.created", response=begun, sequence_number=0)
    yield ResponseInProgressEvent(type="response.in_progress", response=begun, sequence_number=0)
    for index, item in enumerate(answer.output):
        yield from item_events(item, index)
    if answer.status == "incomplete":
        yield ResponseIncompleteEvent(type="response.incomplete", response=answer, sequence_number=0)
    else:
        yield ResponseCompletedEvent(type="response.completed", response=answer, sequence_number=0)


def within(text: str, tokens: int) -> str:
    """Return the longest beginning of at most `tokens` tokens."""
    return text[: tokens * _TOKEN - 1]


def _new_id(kind: str) -> str:
    # Random: the framework drops a message whose id it has seen, and texts may be repeated.
    return f"{kind}_{uuid4().hex}"


def required_counts(details: type[BaseModel]) -> dict[str, int]:
    """Return zero for each required count of a usage class: openai 3.57 requires more than 2.44."""
    return {name: 0 for name, field in details.model_fields.items() if field.is_required()}


def _usage(read: int, written: int) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        input_tokens_details=InputTokensDetails.model_validate(required_counts(InputTokensDetails)),
        output_tokens_details=OutputTokensDetails.model_validate(required_counts(OutputTokensDetails)),
    )
