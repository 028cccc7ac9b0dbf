"""Checks a model's answer, and plays a recorded one as a stream."""

from collections.abc import AsyncGenerator
from typing import Any

from agents import ModelResponse, Usage
from openai.types.responses import Response, ResponseOutputMessage, ResponseStreamEvent, ResponseUsage

from agency_lambda.framework.models.calls import ModelAnswer
from agency_lambda.framework.models.endings import Ending
from agency_lambda.framework.models.events import stream_events
from agency_lambda.framework.models.failure_kinds import kind_of_code
from agency_lambda.framework.models.failures import ModelUnavailable


def checked_answer(response: ModelResponse, ending: Ending) -> ModelAnswer:
    """Return a response with the reason if the provider broke it off.

    Raises:
        ModelUnavailable: the provider failed, or the output holds no valid items.
    """
    if ending.failed:
        raise ModelUnavailable(kind=kind_of_code(ending.failed))
    if not isinstance(response.output, list) or not all(map(_is_item, response.output)):
        raise ModelUnavailable
    if any(getattr(item, "status", None) == "incomplete" for item in response.output):
        return ModelAnswer(response, ending.incomplete or "max_output_tokens")
    if ending.finished and not response.output:  # the SDK drops a chat's message without words
        response.output.append(_empty_message())
    return ModelAnswer(response, ending.incomplete)


def model_response(ended: Response) -> ModelResponse:
    return ModelResponse(output=ended.output, usage=_usage(ended.usage), response_id=ended.id)


async def replayed_events(answer: ModelAnswer) -> AsyncGenerator[ResponseStreamEvent]:
    """Yield a recorded answer as stream events."""
    response = answer.response
    usage, status = response.usage, "completed" if answer.complete else "incomplete"
    whole = Response.model_construct(
        id=response.response_id or "",
        object="response",
        created_at=0,
        status=status,
        model="",
        output=response.output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        usage=ResponseUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.total_tokens,
            input_tokens_details=usage.input_tokens_details,
            output_tokens_details=usage.output_tokens_details,
        ),
    )
    for event in stream_events(whole):
        yield event


def _is_item(item: Any) -> bool:
    # `openai` parses any JSON as an answer; the SDK reads these fields without checking.
    kind = getattr(item, "type", None)
    if kind == "message" or isinstance(item, ResponseOutputMessage):  # which `openai` makes of a type it does not know
        return kind == "message" and isinstance(getattr(item, "content", None), list)
    if kind == "function_call":
        return isinstance(item.arguments, str | None) and isinstance(getattr(item, "name", None), str)
    return isinstance(kind, str)


def _empty_message() -> ResponseOutputMessage:
    return ResponseOutputMessage(id="msg_", type="message", role="assistant", status="completed", content=[])


def _usage(usage: ResponseUsage | None) -> Usage:
    if usage is None:
        return Usage(requests=1)
    return Usage(
        requests=1,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_details=usage.input_tokens_details,
        output_tokens_details=usage.output_tokens_details,
    )
