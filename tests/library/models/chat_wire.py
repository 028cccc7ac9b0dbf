"""Chat Completions in and out of the Responses shapes, for tests/library/model_server.py."""

import re
from collections.abc import Iterator
from typing import Any

from openai.types.responses import Response, ResponseFunctionToolCall

from agency_lambda.offline.turn import text_of


def as_items(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages as Responses input items."""
    return [item for message in messages for item in _items(message)]


def _items(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        output = text_of(message["content"])
        yield {"type": "function_call_output", "call_id": message["tool_call_id"], "output": output}
    elif message.get("content"):
        yield {"role": message["role"], "content": message["content"]}
    for call in message.get("tool_calls") or []:
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


def completion(answer: Response) -> dict[str, Any]:
    calls = _tool_calls(answer)
    message = {"role": "assistant", "content": answer.output_text or None, "tool_calls": calls or None}
    choice = {"index": 0, "message": message, "finish_reason": _reason(answer, calls)}
    return {**_head(answer), "object": "chat.completion", "choices": [choice], "usage": _usage(answer)}


def completion_chunks(answer: Response) -> Iterator[dict[str, Any]]:
    head = {**_head(answer), "object": "chat.completion.chunk"}
    calls = _tool_calls(answer)
    for word in re.findall(r"\S+\s*|\s+", answer.output_text):
        yield {**head, "choices": [_choice({"role": "assistant", "content": word})]}
    for index, call in enumerate(calls):
        yield {**head, "choices": [_choice({"role": "assistant", "tool_calls": [{"index": index, **call}]})]}
    yield {**head, "choices": [_choice({}, _reason(answer, calls))]}
    yield {**head, "choices": [], "usage": _usage(answer)}


def _choice(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": reason}


def _head(answer: Response) -> dict[str, Any]:
    return {"id": answer.id.replace("resp_", "chatcmpl-"), "created": 0, "model": answer.model}


def _tool_calls(answer: Response) -> list[dict[str, Any]]:
    calls = [item for item in answer.output if isinstance(item, ResponseFunctionToolCall)]
    return [
        {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}}
        for item in calls
    ]


def _reason(answer: Response, calls: list[Any]) -> str:
    return "length" if answer.status == "incomplete" else "tool_calls" if calls else "stop"


def _usage(answer: Response) -> dict[str, Any]:
    assert answer.usage
    return {
        "prompt_tokens_details": {"cached_tokens": answer.usage.input_tokens_details.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.usage.output_tokens_details.reasoning_tokens},
        "prompt_tokens": answer.usage.input_tokens,
        "completion_tokens": answer.usage.output_tokens,
        "total_tokens": answer.usage.total_tokens,
    }
