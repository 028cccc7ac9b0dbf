"""One item of the agents' memory, reduced to what every provider accepts.

`origin` names the model that can read its reasoning.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

Item = dict[str, Any]

_METADATA = (
    *("agent", "callerAgent", "timestamp", "agent_run_id", "parent_run_id"),
    *("run_trace_id", "message_origin", "history_protocol", "origin", "linked"),
)
"""What the framework and we note beside an item; no provider is sent it."""
_HEARD = frozenset({"user", "system", "developer"})
_HOSTED = frozenset(
    {
        *("action", "queries", "results", "code", "outputs", "revised_prompt"),
        *("server_label", "name", "arguments", "output", "error"),
    }
)
"""Fields of a hosted tool's call that another provider is sent; its id, and images, are not."""
REQUEST, RESPONSE, CALL_AT_SERVER = "mcp_approval_request", "mcp_approval_response", "mcp_call"
_APPROVALS = {
    REQUEST: ("id", "server_label", "name", "arguments"),
    RESPONSE: ("approval_request_id", "approve", "reason"),
    CALL_AT_SERVER: ("id", "server_label", "name", "arguments", "output", "error", "approval_request_id"),
}
_LONGEST = 20_000  # characters of a hosted tool's call as text
_NO_OUTPUT = "(no output)"
_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def plain(item: Item) -> Item | None:
    """Return None if nothing is left without metadata."""
    kind = item.get("type") or "message"
    if kind == "message":
        return _message(item)
    if kind == "function_call":
        return _call(item)
    if kind == "function_call_output":
        return {"type": kind, "call_id": item.get("call_id"), "output": _output(item.get("output"))}
    if kind == "reasoning":
        return _reasoning(item)
    if kind == "compaction":
        return _bound(item, "encrypted_content")
    if is_call(kind) or is_output(kind):
        core = {key: value for key, value in item.items() if key != "id" and key not in _METADATA}
        return core | _own_id(kind, item)
    if kind in _APPROVALS and (kind != CALL_AT_SERVER or item.get("approval_request_id")):
        return _approval(kind, item)
    return as_text(item) if kind.endswith("_call") else None


def is_empty(items: Iterable[Item]) -> bool:
    return all(plain(item) is None for item in items)


def as_function(form: Item) -> Item:
    kind = form["type"]
    if kind.startswith("function_call") or not (is_call(kind) or is_output(kind)):
        return form
    rest = {key: value for key, value in form.items() if key not in ("type", "call_id", "id", "status", "name")}
    if is_output(kind):
        return {"type": "function_call_output", "call_id": form["call_id"], "output": _output_text(rest.get("output"))}
    name = form.get("name") or kind.removesuffix("_call")
    return {
        "type": "function_call",
        "call_id": form["call_id"],
        "name": name,
        "arguments": json.dumps(rest, default=str),
    }


def _output_text(output: Any) -> str:
    if isinstance(output, dict):  # a screenshot
        return _NO_OUTPUT
    return output if isinstance(output, str) else json.dumps(output, default=str)[:_LONGEST]


def _own_id(kind: str, item: Item) -> Item:
    prefix = {"computer_call": "cu_", "local_shell_call": "lsh_"}.get(kind)
    digest = hashlib.sha256(str(item.get("call_id")).encode()).hexdigest()[:32]
    return {"id": f"{prefix}{digest}"} if prefix else {}


def with_metadata(form: Item, item: Item) -> Item:
    for name in _METADATA:
        if name in item:
            form[name] = item[name]
    return form


def is_call(kind: str | None) -> bool:
    return kind in _PAIRS


def is_made(form: Item) -> bool:
    """Return whether a model made it."""
    return form.get("role") == "assistant" or is_call(form["type"]) or form["type"] in (REQUEST, CALL_AT_SERVER)


def is_output(kind: str | None) -> bool:
    return kind in _OUTPUTS


_PAIRS = frozenset(
    {
        *("function_call", "custom_tool_call", "computer_call"),
        *("shell_call", "local_shell_call", "apply_patch_call"),
    }
)
_OUTPUTS = frozenset(f"{kind}_output" for kind in _PAIRS)


def _message(item: Item) -> Item | None:
    role, content = item.get("role"), item.get("content")
    if role == "assistant":
        core: Item = {"type": "message", "role": role, "content": list(_spoken(content))}
        if item.get("phase"):
            core["phase"] = item["phase"]
    elif role in _HEARD:
        core = {"type": "message", "role": role, "content": _heard(content)}
    else:
        return None
    return core if core["content"] else None


def _spoken(content: Any) -> Iterable[Item]:
    parts = [content] if isinstance(content, str) else content or ()
    for part in parts:
        text = part if isinstance(part, str) else part.get("text") or part.get("refusal") or ""
        if text.strip():
            yield {"type": "output_text", "text": text, "annotations": []}


def _heard(content: Any) -> Any:
    if isinstance(content, str):
        return content if content.strip() else None
    return [part for part in content or () if part.get("type") != "input_text" or part.get("text", "").strip()]


def _call(item: Item) -> Item:
    name = item.get("name") or "tool"
    core = {
        "type": "function_call",
        "call_id": item.get("call_id"),
        "name": _NAME.sub("_", name[:64]),
        "arguments": _arguments(item.get("arguments")),
    }
    if item.get("namespace"):
        core["namespace"] = item["namespace"]
    own = {key: value for key, value in (item.get("provider_data") or {}).items() if key != "response_id"}
    if own.keys() - {"model"}:  # the SDK notes the model on every call; only a signature has to go back
        core["provider_data"] = own
    return core


def _arguments(given: Any) -> str:
    text = given if isinstance(given, str) else ""
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        read = None
    return (text or "{}") if isinstance(read, dict) else json.dumps({"malformed_arguments": text})


def _output(given: Any) -> Any:
    if isinstance(given, str):
        return given
    if isinstance(given, list):
        return _heard(given) or _NO_OUTPUT
    return _NO_OUTPUT if given is None else json.dumps(given, default=str)


def _reasoning(item: Item) -> Item | None:
    core = _bound(item, "encrypted_content", "provider_data")
    if core is None:
        return None
    core["summary"] = item.get("summary") or []
    if core.get("provider_data") and item.get("content"):  # thinking that is signed is sent back word for word
        core["content"] = item["content"]
    return core


def _bound(item: Item, *fields: str) -> Item | None:
    found = {name: item[name] for name in fields if item.get(name)}
    return {"type": item["type"], **found} if found and item.get("origin") else None


def _approval(kind: str, item: Item) -> Item | None:
    fields = {name: item[name] for name in _APPROVALS[kind] if item.get(name) is not None}
    is_whole = "approve" in fields if kind == RESPONSE else fields.get("id")
    return {"type": kind, **fields} if is_whole and (kind == REQUEST or fields.get("approval_request_id")) else None


def as_text(item: Item) -> Item:
    """Return a hosted tool's call as a message."""
    fields = {name: item[name] for name in sorted(_HOSTED) if item.get(name)}
    kind = item["type"].removesuffix("_call")
    text = f"[{kind}: {json.dumps(fields, ensure_ascii=False, default=str)[:_LONGEST]}]"
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
