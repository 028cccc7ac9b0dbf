"""A model without latency or network: the Agents SDK's `Model`, answered from a plan."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

from agents import Model, ModelResponse, Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
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

type Say = str | tuple[str, dict[str, Any]]  # a text, or a tool's name and its arguments
type Plan = Callable[[str, int], Say]  # the last user message, and how many calls were answered since


class InstantModel(Model):
    """Says what its plan says, and waits for nothing."""

    model = "instant"  # the framework reads a model's name here

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        usage = Usage(requests=1, input_tokens=100, output_tokens=10, total_tokens=110)
        return ModelResponse(output=[self._item(input)], usage=usage, response_id=None)

    async def stream_response(
        self, system_instructions: Any, input: Any, *_: Any, **__: Any
    ) -> AsyncIterator[ResponseStreamEvent]:
        item = self._item(input)
        whole = _response(item)
        events = [
            ResponseCreatedEvent(
                response=whole.model_copy(update={"output": [], "status": "in_progress", "usage": None}),
                type="response.created",
                sequence_number=0,
            ),
            *(_message_events(item) if isinstance(item, ResponseOutputMessage) else _call_events(item)),
            ResponseCompletedEvent(response=whole, type="response.completed", sequence_number=0),
        ]
        for number, event in enumerate(events):
            event.sequence_number = number
            yield event

    def _item(self, given: Any) -> ResponseOutputMessage | ResponseFunctionToolCall:
        say = self._plan(*_last_turn(given))
        if isinstance(say, str):
            text = ResponseOutputText(type="output_text", text=say, annotations=[], logprobs=[])
            return ResponseOutputMessage(
                id=f"msg_{uuid4().hex}", type="message", role="assistant", status="completed", content=[text]
            )
        name, arguments = say
        return ResponseFunctionToolCall(
            id=f"fc_{uuid4().hex}",
            call_id=f"call_{uuid4().hex}",
            type="function_call",
            name=name,
            arguments=json.dumps(arguments),
            status="completed",
        )


def _last_turn(given: Any) -> tuple[str, int]:
    if isinstance(given, str):
        return given, 0
    answered = 0
    for item in reversed(given):
        if item.get("role") == "user":
            return str(item["content"]), answered
        answered += item.get("type") == "function_call_output"
    return "", answered


def _response(item: Any) -> Response:
    return Response(
        id="resp_instant",
        object="response",
        created_at=0,
        status="completed",
        model=InstantModel.model,
        output=[item],
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=ResponseUsage(
            input_tokens=100,
            input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
            output_tokens=10,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            total_tokens=110,
        ),
    )


def _message_events(item: ResponseOutputMessage) -> Iterator[Any]:
    # Word by word.
    part = item.content[0]
    assert isinstance(part, ResponseOutputText)
    place: dict[str, Any] = {"item_id": item.id, "output_index": 0, "content_index": 0, "sequence_number": 0}
    begun = item.model_copy(update={"content": [], "status": "in_progress"})
    yield ResponseOutputItemAddedEvent(item=begun, output_index=0, sequence_number=0, type="response.output_item.added")
    empty = part.model_copy(update={"text": ""})
    yield ResponseContentPartAddedEvent(part=empty, type="response.content_part.added", **place)
    for word in part.text.split(" "):
        delta = word if word == part.text.rpartition(" ")[2] else f"{word} "
        yield ResponseTextDeltaEvent(delta=delta, logprobs=[], type="response.output_text.delta", **place)
    yield ResponseTextDoneEvent(text=part.text, logprobs=[], type="response.output_text.done", **place)
    yield ResponseContentPartDoneEvent(part=part, type="response.content_part.done", **place)
    yield ResponseOutputItemDoneEvent(item=item, output_index=0, sequence_number=0, type="response.output_item.done")


def _call_events(item: ResponseFunctionToolCall) -> Iterator[Any]:
    place: dict[str, Any] = {"item_id": item.id, "output_index": 0, "sequence_number": 0}
    begun = item.model_copy(update={"arguments": "", "status": "in_progress"})
    yield ResponseOutputItemAddedEvent(item=begun, output_index=0, sequence_number=0, type="response.output_item.added")
    yield ResponseFunctionCallArgumentsDeltaEvent(
        delta=item.arguments, type="response.function_call_arguments.delta", **place
    )
    yield ResponseFunctionCallArgumentsDoneEvent(
        arguments=item.arguments, name=item.name, type="response.function_call_arguments.done", **place
    )
    yield ResponseOutputItemDoneEvent(item=item, output_index=0, sequence_number=0, type="response.output_item.done")
