"""Messages as input items, and what else a client says of a run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agency_lambda.protocol.ag_ui.parts import to_content
from agency_lambda.protocol.ag_ui.request import Message, RunInput
from agency_lambda.protocol.client_names import Place
from agency_lambda.protocol.types import Item

_INSTRUCTING = ("system", "developer")
_PARTS = dict.fromkeys(("image_url", "file_data", "file_url", "file_id"), "source.value") | {
    "filename": "metadata.filename"
}
_OUTPUTS = {"call_id": "toolCallId", "output": "content", **_PARTS}
_CALLS = {"call_id": "id", "name": "function.name", "arguments": "function.arguments"}
_UNANSWERED = "(There is no result: the user went on without it.)"


def conversation(messages: Sequence[Message]) -> list[Message]:
    """Return the messages behind the leading instructions, which are those of one run."""
    start = next((n for n, message in enumerate(messages) if message["role"] not in _INSTRUCTING), len(messages))
    return list(messages[start:])


def instructions(body: RunInput) -> str | None:
    """Return the leading instructions, the context and the state."""
    leading = body.known[: len(body.known) - len(conversation(body.known))]
    sections = [message["content"] for message in leading]
    if body.context:
        entries = [f"- {each.description}: {each.value}" for each in body.context]
        sections.append("\n".join(["Context that the application gives:", *entries]))
    if body.state not in (None, {}, [], ""):
        sections.append(f"State of the application, as JSON:\n{json.dumps(body.state, ensure_ascii=False)}")
    return "\n\n".join(filter(None, sections)) or None


def tools(body: RunInput) -> list[dict[str, Any]]:
    return [
        {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in body.tools or []
    ]


type Placed = tuple[Place, Item]


def to_items(
    messages: Sequence[Message], first: int, files: Mapping[str, str], awaited: Sequence[str] = ()
) -> list[Placed]:
    """Return messages as items of the input.

    Args:
        first: the number of the first one among the client's.
        files: the caller's, by their ids: as which part each is sent.
        awaited: ids of earlier calls that have no result yet.
    """
    answered = {message["toolCallId"] for message in messages if message["role"] == "tool"}
    # Who sends results sends all of them, and is told if one is missing; a user may go on without any.
    goes_on = bool(messages) and messages[-1]["role"] != "tool"
    items = [_unanswered(call_id) for call_id in awaited if goes_on and call_id not in answered]
    for number, message in enumerate(messages, first):
        items += _items_of(message, f"messages[{number}]", files)
        calls = [call["id"] for call in message.get("toolCalls") or []]
        items += [_unanswered(call_id) for call_id in calls if goes_on and call_id not in answered]
    return items


def _items_of(message: Message, place: str, files: Mapping[str, str]) -> Iterator[Placed]:
    match message["role"]:
        case "user" | "system" | "developer" as role:
            yield (place, _PARTS), {"role": role, "content": to_content(message["content"], files)}
        case "assistant":
            if message.get("content"):
                yield (place, {}), {"role": "assistant", "content": message["content"]}
            for number, call in enumerate(message.get("toolCalls") or []):
                function = {name: call["function"][name] for name in ("name", "arguments")}
                item = {"type": "function_call", "call_id": call["id"], **function}
                yield (f"{place}.toolCalls[{number}]", _CALLS), item
        case "tool":
            output = {"type": "function_call_output", "output": _output(message, files)}
            yield (place, _OUTPUTS), {**output, "call_id": message["toolCallId"]}


def _output(message: Message, files: Mapping[str, str]) -> str | list[Item]:
    output, error = to_content(message["content"], files), message.get("error")
    if not error or output == error:
        return output
    parts: list[Item] = [{"type": "input_text", "text": output}] if isinstance(output, str) and output else []
    rest = parts if isinstance(output, str) else output
    return [{"type": "input_text", "text": f"Error: {error}"}, *rest]


def _unanswered(call_id: str) -> Placed:
    return ("messages", {}), {"type": "function_call_output", "call_id": call_id, "output": _UNANSWERED}
