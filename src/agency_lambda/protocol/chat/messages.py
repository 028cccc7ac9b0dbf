"""Messages of a chat as items of a response's input."""

from collections.abc import Iterator, Sequence
from typing import Any

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol.item_types import refuse_unknown, type_label
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.types import Item

type Placed = tuple[str, Item]
"""An item, and its place in the request, such as `messages[1].tool_calls[0]`."""

#: Fields that answers have beside the words: clients send them back, and they are read over.
_READ_OVER: dict[str, type] = {"reasoning_content": str, "annotations": list, "images": list}
_FIELDS = {
    **dict.fromkeys(("system", "developer", "user"), frozenset({"role", "content", "name"})),
    "assistant": frozenset({"role", "content", "name", "refusal", "tool_calls", "function_call", *_READ_OVER}),
    "tool": frozenset({"role", "content", "name", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
}
#: a part's type -> the field with its content, the fields there, and the type of an item's part
_PARTS: dict[str, tuple[str, frozenset[str], str]] = {
    "image_url": ("image_url", frozenset({"url", "detail", "format"}), "input_image"),
    "file": ("file", frozenset({"file_data", "file_id", "filename"}), "input_file"),
}


def to_items(messages: Sequence[Any]) -> list[Placed]:
    """Raises InvalidRequest, UnsupportedParameter; each names the field as the client knows it."""
    placed, calls = list[Placed](), 0
    for number, message in enumerate(messages):
        param = f"messages[{number}]"
        checked = _checked(message, param)
        calls += "function_call" in checked
        placed += _items(checked, param, f"function_call_{calls}")  # a function's message answers the last one
    return placed


def _checked(message: Any, param: str) -> Item:
    message = _object(message, None, param)
    role = message.get("role")
    if not isinstance(role, str) or role not in _FIELDS:
        raise InvalidRequest(f"must be one of {', '.join(_FIELDS)}", param=f"{param}.role")
    refuse_unknown(message, _FIELDS[role], param)
    for name, kind in {"name": str, **_READ_OVER}.items():
        if not isinstance(message.get(name, kind()), kind):
            raise InvalidRequest(f"must be of type {kind.__name__}", param=f"{param}.{name}")
    return dict(message)


def _object(value: Any, known: frozenset[str] | None, param: str) -> Item:
    if not isinstance(value, dict):
        raise InvalidRequest("must be an object", param=param)
    found: Item = without_nulls(value)
    if known is not None:
        refuse_unknown(found, known, param)
    return found


def _items(message: Item, param: str, legacy: str) -> Iterator[Placed]:
    role, content = message["role"], message.get("content")
    if role == "assistant":
        yield from _assistant(message, param, legacy)
    elif role in ("tool", "function"):
        call_id = {"call_id": message.get("tool_call_id")} if role == "tool" else {"call_id": legacy}
        output = _parts(content, param) if isinstance(content, list) else content
        yield param, {"type": "function_call_output", **call_id, "output": output}
    else:
        yield param, {"role": role, "content": _parts(content, param) if isinstance(content, list) else content}


def _assistant(message: Item, param: str, legacy: str) -> Iterator[Placed]:
    content, refusal = message.get("content"), message.get("refusal")
    parts = _parts(content, param, of_assistant=True) if isinstance(content, list) else []
    if isinstance(content, str) and content:
        parts = [{"type": "output_text", "text": content}]
    elif content and not isinstance(content, str | list):
        raise InvalidRequest("The content is a text or a list of parts.", param=f"{param}.content")
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    if parts:  # an answer that has called functions, or was broken off, has no words
        yield param, {"role": "assistant", "content": parts}
    calls = message.get("tool_calls", [])
    if not isinstance(calls, list):
        raise InvalidRequest("must be a list", param=f"{param}.tool_calls")
    for number, call in enumerate(calls):
        place = f"{param}.tool_calls[{number}]"
        yield place, _tool_call(_object(call, frozenset({"id", "type", "function", "index"}), place), place)
    if "function_call" in message:
        yield _function_call(message["function_call"], f"{param}.function_call", legacy)


def _tool_call(call: Item, param: str) -> Item:
    if call.get("type", "function") != "function":
        message = f"Calls of type {type_label(call['type'])} are not supported."
        raise UnsupportedParameter(message, param=f"{param}.type")
    _, item = _function_call(call.get("function"), f"{param}.function", call.get("id"))
    return item


def _function_call(function: Any, param: str, call_id: Any) -> Placed:
    named = _object(function, frozenset({"name", "arguments"}), param)
    arguments = named.get("arguments") or "{}"  # some clients send "" where there are none
    return param, {"type": "function_call", "call_id": call_id, "name": named.get("name"), "arguments": arguments}


def _parts(content: list[Any], param: str, *, of_assistant: bool = False) -> list[Item]:
    return [_part(part, f"{param}.content[{number}]", of_assistant) for number, part in enumerate(content)]


def _part(part: Any, param: str, of_assistant: bool) -> Item:
    part = _object(part, None, param)
    kind = part.get("type")
    if kind == "text" or (kind == "refusal" and of_assistant):
        refuse_unknown(part, {"type", kind, *(("role", *_READ_OVER) if of_assistant else ())}, param)
        item_type = "refusal" if kind == "refusal" else "output_text" if of_assistant else "input_text"
        return {"type": item_type, kind: part.get(kind)}
    if not isinstance(kind, str) or kind not in _PARTS or of_assistant:
        message = f"Content of type {type_label(kind)} is not supported here."
        raise UnsupportedParameter(message, param=f"{param}.type")
    field, known, item_type = _PARTS[kind]
    refuse_unknown(part, {"type", field}, param)
    inner = _object(part.get(field), known, f"{param}.{field}")
    inner.pop("format", None)  # an image's, which its data URL says, too
    if "url" in inner:
        inner["image_url"] = inner.pop("url")
    return {"type": item_type, **inner}
