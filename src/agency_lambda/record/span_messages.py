"""Contents of a trace in the JSON of OpenTelemetry's conventions for generative AI."""

import json
from collections.abc import Mapping
from typing import Any

from agency_lambda.record.nodes import Node

Message = dict[str, Any]


def contents(node: Node) -> dict[str, str | None]:
    if "output" not in node:
        return {}
    if node["type"] == "model_call":
        instructions = node["instructions"]
        return {
            "gen_ai.system_instructions": _json([_text(instructions)]) if instructions else None,
            "gen_ai.input.messages": _json(_messages(node["input"])),
            "gen_ai.output.messages": _json([{**each, "finish_reason": "stop"} for each in _messages(node["output"])]),
        }
    return {
        "gen_ai.tool.call.id": node["call_id"],
        "gen_ai.tool.call.arguments": _as_text(node["arguments"]),
        "gen_ai.tool.call.result": _as_text(node["output"]),
    }


def _messages(items: Any) -> list[Message]:
    if items is None:
        return []
    return [{"role": "user", "parts": [_text(items)]}] if isinstance(items, str) else list(map(_message, items))


def _message(item: Mapping[str, Any]) -> Message:
    kind = item.get("type", "message")
    if "output" in item:  # of a tool
        part = {"type": "tool_call_response", "id": item.get("call_id"), "response": item["output"]}
        return {"role": "tool", "parts": [part]}
    if kind == "function_call":
        part = {"type": "tool_call", "id": item.get("call_id"), "name": item.get("name")}
        return {"role": "assistant", "parts": [part | {"arguments": item.get("arguments")}]}
    if kind == "message":
        return {"role": item.get("role", "user"), "parts": _parts(item.get("content"))}
    if kind == "reasoning":
        parts = [{"type": "reasoning", "content": each.get("text", "")} for each in item.get("summary") or []]
        return {"role": "assistant", "parts": parts}
    return {"role": "assistant", "parts": [{**item, "type": kind}]}


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [_text(content)]
    return [
        _text(part.get("text") or part.get("refusal") or "") if "text" in part or "refusal" in part else dict(part)
        for part in content or []
    ]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
