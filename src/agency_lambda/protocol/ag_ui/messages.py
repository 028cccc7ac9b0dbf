"""Messages as input items, and what else a client says of a run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agency_lambda.protocol.ag_ui.parts import to_content
from agency_lambda.protocol.ag_ui.request import Message, RunInput
from agency_lambda.protocol.types import Item

_INSTRUCTING = ("system", "developer")
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


def to_items(messages: Sequence[Message], files: Mapping[str, str], awaited: Sequence[str] = ()) -> list[Item]:
    """files: see `to_content`. awaited: ids of earlier calls that have no result yet."""
    answered = {message["toolCallId"] for message in messages if message["role"] == "tool"}
    # Who sends results sends all of them, and is told if one is missing; a user may go on without any.
    goes_on = bool(messages) and messages[-1]["role"] != "tool"
    items = [_unanswered(call_id) for call_id in awaited if goes_on and call_id not in answered]
    for message in messages:
        items += _items_of(message, files)
        calls = [call["id"] for call in message.get("toolCalls") or []]
        items += [_unanswered(call_id) for call_id in calls if goes_on and call_id not in answered]
    return items


def _items_of(message: Message, files: Mapping[str, str]) -> Iterator[Item]:
    match message["role"]:
        case "user" | "system" | "developer" as role:
            yield {"role": role, "content": to_content(message["content"], files)}
        case "assistant":
            if message.get("content"):
                yield {"role": "assistant", "content": message["content"]}
            for call in message.get("toolCalls") or []:
                name, arguments = call["function"]["name"], call["function"]["arguments"]
                yield {"type": "function_call", "call_id": call["id"], "name": name, "arguments": arguments}
        case "tool":
            yield {"type": "function_call_output", "call_id": message["toolCallId"], "output": _output(message, files)}


def _output(message: Message, files: Mapping[str, str]) -> str | list[Item]:
    output, error = to_content(message["content"], files), message.get("error")
    if not error or output == error:
        return output
    parts: list[Item] = [{"type": "input_text", "text": output}] if isinstance(output, str) and output else []
    rest = parts if isinstance(output, str) else output
    return [{"type": "input_text", "text": f"Error: {error}"}, *rest]


def _unanswered(call_id: str) -> Item:
    return {"type": "function_call_output", "call_id": call_id, "output": _UNANSWERED}
