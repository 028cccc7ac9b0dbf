import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class FinishedCall:
    tool: str
    arguments: dict[str, Any]
    output: str


@dataclass(frozen=True)
class Turn:
    """message: the latest user-role text, of the user or a calling agent. earlier: those before, oldest first.
    calls: the tool calls since `message`. tools: name -> JSON schema, without hosted tools; {} if forbidden.
    attached: unreadable parts of the message, such as "1 image, 2 files".
    client_tools, client_calls: the same for functions that the client declares and runs.
    """

    message: str
    calls: list[FinishedCall] = field(default_factory=list)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    earlier: list[str] = field(default_factory=list)
    attached: str = ""
    client_tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    client_calls: list[FinishedCall] = field(default_factory=list)


def read_turn(items: str | Iterable[Any], tools: Mapping[str, dict[str, Any]]) -> Turn:
    # Unknown kinds of items (reasoning, hosted calls, system messages) are passed over.
    messages: list[object] = []
    called: list[Mapping[str, Any]] = []
    outputs: dict[str, str] = {}
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        if not isinstance(item, Mapping):
            continue
        if item.get("role") == "user":
            messages.append(item.get("content"))
            called.clear()
        elif item.get("type") == "function_call":
            called.append(item)
        elif item.get("type") == "function_call_output":
            outputs[str(item.get("call_id"))] = text_of(item.get("output"))
    calls = [_call(item, outputs.get(str(item.get("call_id")), "")) for item in called]
    *earlier, message = messages or [""]
    return Turn(text_of(message), calls, dict(tools), [text_of(one) for one in earlier], _attached(message))


def without_client(turn: Turn, declared: Mapping[str, dict[str, Any]]) -> Turn:
    """Move calls that are none of the agent's to the client's part."""
    own = [call for call in turn.calls if call.tool in turn.tools]
    others = [call for call in turn.calls if call.tool not in turn.tools]
    return replace(turn, calls=own, client_tools=dict(declared), client_calls=others)


def text_of(content: object) -> str:
    """Return the text of a string or of content parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _parts(content) if "text" in part)


def _attached(content: object) -> str:
    kinds = [part.get("type") for part in _parts(content)]
    counted = [(kinds.count("input_image"), "image"), (kinds.count("input_file"), "file")]
    return ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for count, kind in counted if count)


def _parts(content: object) -> list[Mapping[str, Any]]:
    parts = content if isinstance(content, list) else [content]
    return [part for part in parts if isinstance(part, Mapping)]


def _call(item: Mapping[str, Any], output: str) -> FinishedCall:
    try:
        arguments = json.loads(item.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return FinishedCall(str(item.get("name")), arguments if isinstance(arguments, dict) else {}, output)
