"""OpenAI's Chat Completions: an answer, and its chunks."""

import json
from typing import Any

from benchmarks.provider.plan import Say

_USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def answer(model: str, name: str, say: Say) -> dict[str, Any]:
    """Return the completion. name: what its ids end in."""
    message: dict[str, Any] = {"role": "assistant", "content": say if isinstance(say, str) else None, "refusal": None}
    if not isinstance(say, str):
        message["tool_calls"] = [_call(name, *say)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(say)}
    return {**_envelope(model, name, "chat.completion"), "choices": [choice], "usage": _USAGE}


def before(model: str, name: str, say: Say) -> bytes:
    delta: dict[str, Any] = {"role": "assistant", "content": ""}
    if not isinstance(say, str):
        call = _call(name, say[0], {})
        call["function"]["arguments"] = ""
        delta = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **call}]}
    return _chunk(model, name, delta)


def token(model: str, name: str, say: Say, text: str) -> bytes:
    if isinstance(say, str):
        return _chunk(model, name, {"content": text})
    return _chunk(model, name, {"tool_calls": [{"index": 0, "function": {"arguments": text}}]})


def after(model: str, name: str, say: Say, usage: bool) -> bytes:
    """Return the last chunks. usage: whether the request has asked for it."""
    end = _chunk(model, name, {}, _reason(say))
    if usage:
        end += _line({**_envelope(model, name, "chat.completion.chunk"), "choices": [], "usage": _USAGE})
    return end + b"data: [DONE]\n\n"


def _chunk(model: str, name: str, delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    return _line({**_envelope(model, name, "chat.completion.chunk"), "choices": [choice]})


def _line(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _envelope(model: str, name: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{name}", "object": kind, "created": 1_764_000_000, "model": model}


def _call(name: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"call_{name}", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}


def _reason(say: Say) -> str:
    return "stop" if isinstance(say, str) else "tool_calls"
