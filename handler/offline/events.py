"""A finished answer in the shapes of OpenAI's Responses API: the object, and the events that stream it."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseInProgressEvent,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails


def message_item(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(type="output_text", text=text, annotations=[], logprobs=[])
    return ResponseOutputMessage(
        id=_new_id("msg"), type="message", role="assistant", status="completed", content=[content]
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
    """A completed Response; `read` and `written` are in characters, counted as 4 a token."""
    return Response(
        id=_new_id("resp"),
        object="response",
        created_at=0,  # the only clock in an answer; without it the same question gives the same answer
        status="completed",
        model=model,
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=_usage(read // 4 + 1, written // 4 + 1),
    )


def stream_events(answer: Response) -> Iterator[ResponseStreamEvent]:
    """The events of one streamed answer, in OpenAI's order, numbered from 0."""
    for number, event in enumerate(_events(answer)):
        event.sequence_number = number
        yield event


def _events(answer: Response) -> Iterator[ResponseStreamEvent]:
    begun = answer.model_copy(update={"status": "in_progress", "output": [], "usage": None})
    yield ResponseCreatedEvent(type="response.created", response=begun, sequence_number=0)
    yield ResponseInProgressEvent(type="response.in_progress", response=begun, sequence_number=0)
    for index, item in enumerate(answer.output):
        if isinstance(item, ResponseOutputMessage):
            yield from _message_events(item, index)
        elif isinstance(item, ResponseFunctionToolCall):
            yield from _call_events(item, index)
    yield ResponseCompletedEvent(type="response.completed", response=answer, sequence_number=0)


def _message_events(item: ResponseOutputMessage, index: int) -> Iterator[ResponseStreamEvent]:
    part = item.content[0]
    assert isinstance(part, ResponseOutputText)
    whole: dict[str, Any] = {"output_index": index, "sequence_number": 0}
    at = {**whole, "item_id": item.id, "content_index": 0}
    begun = item.model_copy(update={"status": "in_progress", "content": []})
    empty = part.model_copy(update={"text": ""})
    yield ResponseOutputItemAddedEvent(type="response.output_item.added", item=begun, **whole)
    yield ResponseContentPartAddedEvent(type="response.content_part.added", part=empty, **at)
    for delta in _pieces(part.text):
        yield ResponseTextDeltaEvent(type="response.output_text.delta", delta=delta, logprobs=[], **at)
    yield ResponseTextDoneEvent(type="response.output_text.done", text=part.text, logprobs=[], **at)
    yield ResponseContentPartDoneEvent(type="response.content_part.done", part=part, **at)
    yield ResponseOutputItemDoneEvent(type="response.output_item.done", item=item, **whole)


def _call_events(item: ResponseFunctionToolCall, index: int) -> Iterator[ResponseStreamEvent]:
    whole: dict[str, Any] = {"output_index": index, "sequence_number": 0}
    at = {**whole, "item_id": item.id}
    begun = item.model_copy(update={"status": "in_progress", "arguments": ""})
    yield ResponseOutputItemAddedEvent(type="response.output_item.added", item=begun, **whole)
    for delta in _pieces(item.arguments):
        yield ResponseFunctionCallArgumentsDeltaEvent(type="response.function_call_arguments.delta", delta=delta, **at)
    yield ResponseFunctionCallArgumentsDoneEvent(
        type="response.function_call_arguments.done", name=item.name, arguments=item.arguments, **at
    )
    yield ResponseOutputItemDoneEvent(type="response.output_item.done", item=item, **whole)


def _pieces(text: str) -> list[str]:
    """About three words at a time."""
    return re.findall(r"(?:\s*\S+){1,3}\s*|\s+", text)


def _new_id(kind: str) -> str:
    """Random: the framework drops a message whose id it has seen, and words may well be repeated."""
    return f"{kind}_{uuid4().hex}"


def _usage(read: int, written: int) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=read,
        output_tokens=written,
        total_tokens=read + written,
        input_tokens_details=InputTokensDetails(cached_tokens=0),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
    )
