"""The stream events of one output item, with sequence numbers of 0 that the stream replaces."""

import re
from collections.abc import Iterator
from typing import Any

from openai.types.responses import (
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseOutputItem,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseReasoningSummaryPartAddedEvent,
    ResponseReasoningSummaryPartDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
    ResponseStreamEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)
from openai.types.responses.response_reasoning_summary_part_added_event import Part as PartAdded
from openai.types.responses.response_reasoning_summary_part_done_event import Part as PartDone


def item_events(item: ResponseOutputItem, index: int) -> Iterator[ResponseStreamEvent]:
    """Yield the events from `output_item.added` to `output_item.done`; none for an unknown kind."""
    empty, inner = _parts(item, {"output_index": index, "item_id": getattr(item, "id", None), "sequence_number": 0})
    if not empty:
        return
    begun = item.model_copy(update={"status": "in_progress", **empty})
    yield ResponseOutputItemAddedEvent(
        type="response.output_item.added", item=begun, output_index=index, sequence_number=0
    )
    yield from inner
    yield ResponseOutputItemDoneEvent(
        type="response.output_item.done", item=item, output_index=index, sequence_number=0
    )


def _parts(item: ResponseOutputItem, at: dict[str, Any]) -> tuple[dict[str, Any], Iterator[ResponseStreamEvent]]:
    # Returns the fields that are empty when an item begins, and the events that fill them.
    match item:
        case ResponseReasoningItem():
            return {"summary": []}, _summary(item, at)
        case ResponseOutputMessage():
            return {"content": []}, _text(item, at)
        case ResponseFunctionToolCall():
            return {"arguments": ""}, _arguments(item, at)
    return {}, iter(())


def _summary(item: ResponseReasoningItem, at: dict[str, Any]) -> Iterator[ResponseStreamEvent]:
    for number, summary in enumerate(item.summary):
        at = {**at, "summary_index": number}
        begun, done = PartAdded(type="summary_text", text=""), PartDone(type="summary_text", text=summary.text)
        yield ResponseReasoningSummaryPartAddedEvent(type="response.reasoning_summary_part.added", part=begun, **at)
        for delta in _pieces(summary.text):
            yield ResponseReasoningSummaryTextDeltaEvent(
                type="response.reasoning_summary_text.delta", delta=delta, **at
            )
        yield ResponseReasoningSummaryTextDoneEvent(
            type="response.reasoning_summary_text.done", text=summary.text, **at
        )
        yield ResponseReasoningSummaryPartDoneEvent(type="response.reasoning_summary_part.done", part=done, **at)


def _text(item: ResponseOutputMessage, at: dict[str, Any]) -> Iterator[ResponseStreamEvent]:
    part, at = item.content[0], {**at, "content_index": 0}
    assert isinstance(part, ResponseOutputText)
    empty = part.model_copy(update={"text": ""})
    yield ResponseContentPartAddedEvent(type="response.content_part.added", part=empty, **at)
    for delta in _pieces(part.text):
        yield ResponseTextDeltaEvent(type="response.output_text.delta", delta=delta, logprobs=[], **at)
    yield ResponseTextDoneEvent(type="response.output_text.done", text=part.text, logprobs=[], **at)
    yield ResponseContentPartDoneEvent(type="response.content_part.done", part=part, **at)


def _arguments(item: ResponseFunctionToolCall, at: dict[str, Any]) -> Iterator[ResponseStreamEvent]:
    for delta in _pieces(item.arguments):
        yield ResponseFunctionCallArgumentsDeltaEvent(type="response.function_call_arguments.delta", delta=delta, **at)
    yield ResponseFunctionCallArgumentsDoneEvent(
        type="response.function_call_arguments.done", name=item.name, arguments=item.arguments, **at
    )


def _pieces(text: str) -> list[str]:
    # About three words each; more of a long text, because nothing else runs meanwhile.
    words = max(3, len(text) // 2_000)
    return re.findall(rf"(?:\s*\S+){{1,{words}}}\s*|\s+", text)
