"""What a strict provider refuses: what OpenAI's APIs are reported to refuse, and what their types do not have."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Item = dict[str, Any]
_FIELDS = {
    "message": {"type", "role", "content", "phase", "id", "status"},
    "function_call": {"type", "call_id", "name", "arguments", "id", "status"},
    "function_call_output": {"type", "call_id", "output", "id", "status"},
    "reasoning": {"type", "summary", "encrypted_content", "id", "status"},
}
_BODY = {
    *("model", "input", "instructions", "tools", "tool_choice", "stream", "store", "include", "truncation"),
    *("temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "reasoning", "text", "metadata"),
    *("prompt_cache_key", "user", "safety_identifier"),
}
_PREFIX = {"message": "msg_", "function_call": "fc_", "reasoning": "rs_", "function_call_output": "fco_"}
_PARTS = {"assistant": {"output_text", "refusal"}}
_HEARD = {"input_text", "input_image", "input_file"}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CHAT_FIELDS = {
    "system": {"role", "content"},
    "developer": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}


class Refused(Exception):
    """400. The message says which rule."""


def demand(rule: object, said: str) -> None:
    if not rule:
        raise Refused(said)


@dataclass
class Made:
    """What a provider remembers of what it has made. after: id or encrypted content -> the item that followed it."""

    after: dict[str, Any] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    def note(self, output: list[Item], model: str, stored: bool) -> None:
        for number, item in enumerate(output):
            if stored:
                self.ids.add(item["id"])
            if item["type"] == "reasoning":
                follower = output[number + 1] if number + 1 < len(output) else None
                self.after[f"{model}:{item.get('encrypted_content')}"] = self.after[item["id"]] = follower

    def forget(self) -> None:
        """As after 30 days: no id is known any more. What was encrypted holds what it holds."""
        self.ids.clear()


def check_responses(body: Item, made: Made) -> None:
    demand(not body.keys() - _BODY, f"Unknown parameter: {sorted(body.keys() - _BODY)}")
    items = body["input"]
    if isinstance(items, str):
        return demand(items, "empty input")
    demand(items, "empty input")
    for number, item in enumerate(items):
        _check_item(item, f"input[{number}]", made)
    _check_pairs([(i["type"].removesuffix("_output"), i["type"], i["call_id"]) for i in items if "call_id" in i], 64)
    _check_ids(items, made)
    _check_reasoning(items, made, body["model"])


def _check_item(item: Item, where: str, made: Made) -> None:
    kind = item.get("type") or "message"
    if kind not in _FIELDS:  # a hosted tool's call: by an id that is known
        return demand(item.get("id") in made.ids, f"Item with id {item.get('id')!r} not found.")
    demand(not item.keys() - _FIELDS[kind], f"Unknown parameter: {where}.{sorted(item.keys() - _FIELDS[kind])}")
    demand(item.get("status") in (None, "completed"), f"{where}.status is {item.get('status')}")
    if kind == "message":
        demand(item.get("role") in ("user", "assistant", "system", "developer"), f"{where}.role")
        _check_content(item["content"], _PARTS.get(item["role"], _HEARD), f"{where}.content")
    elif kind == "function_call":
        demand(_NAME.fullmatch(item["name"]), f"{where}.name does not match the pattern")
        demand(isinstance(json.loads(item["arguments"]), dict), f"{where}.arguments")
    elif kind == "function_call_output" and not isinstance(item["output"], str):
        _check_content(item["output"], _HEARD, f"{where}.output")


def _check_content(content: Any, kinds: set[str], where: str) -> None:
    demand(content, f"{where} is empty")
    for part in content if isinstance(content, list) else ():
        demand(part["type"] in kinds, f"{where} has a {part['type']}")
        text = part.get("text", part.get("refusal", "no text"))
        demand(text.strip(), f"{where} has an empty text")
        demand("logprobs" not in part, f"{where} has logprobs")
        for annotation in part.get("annotations", ()):
            demand("file_id" not in annotation, f"{where} names a file")


def _check_pairs(said: list[tuple[str, str, str]], longest: int) -> None:
    calls: Counter[str] = Counter()
    outputs: Counter[str] = Counter()
    for call, kind, call_id in said:
        demand(isinstance(call_id, str) and 0 < len(call_id) <= longest, f"call_id {call_id!r}: its length")
        if kind == call:
            calls[call_id] += 1
            demand(calls[call_id] == 1, f"Duplicate call_id {call_id!r}")
        else:
            outputs[call_id] += 1
            demand(calls[call_id], f"No tool call found for function call output with call_id {call_id}.")
            demand(outputs[call_id] == 1, f"Duplicate output of {call_id!r}")
    missing = calls.keys() - outputs.keys()
    demand(not missing, f"No tool output found for function call {sorted(missing)}.")


def _check_ids(items: list[Item], made: Made) -> None:
    seen: set[str] = set()
    for item in items:
        if (item_id := item.get("id")) is None:
            continue
        demand(len(item_id) <= 64, f"id {item_id!r}: string too long")
        demand(item_id.startswith(_PREFIX.get(item["type"], "")), f"id {item_id!r}: its prefix")
        demand(item_id not in seen, f"Duplicate item found with id {item_id}.")
        demand(item_id in made.ids, f"Item with id {item_id!r} not found.")
        seen.add(item_id)


def _check_reasoning(items: list[Item], made: Made, model: str) -> None:
    for number, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        known = f"{model}:{item['encrypted_content']}" if item.get("encrypted_content") else item.get("id")
        demand(known in made.after, "invalid_encrypted_content: The encrypted content could not be verified.")
        follower, there = made.after[known], items[number + 1] if number + 1 < len(items) else {}
        demand(follower, f"Item {known!r} of type 'reasoning' was provided without its required following item.")
        same = follower["type"] == there.get("type") and follower.get("name") == there.get("name")
        demand(same, f"Item {known!r} of type 'reasoning' was provided with another following item.")


def check_chat(body: Item) -> None:
    messages = body["messages"]
    demand(any(message["role"] == "user" for message in messages), "no user's message")
    open_calls: list[str] = []
    seen: set[str] = set()
    for number, message in enumerate(messages):
        role, where = message["role"], f"messages[{number}]"
        demand(not message.keys() - _CHAT_FIELDS[role], f"{where}: {message.keys() - _CHAT_FIELDS[role]}")
        if role == "tool":
            demand(message["tool_call_id"] in open_calls, f"{where}: tool must follow its tool_calls")
            open_calls.remove(message["tool_call_id"])
            continue
        demand(not open_calls, f"{where}: tool_calls must be followed by tool messages: {open_calls}")
        calls = message.get("tool_calls")
        demand(calls is None or calls, f"{where}.tool_calls is empty")
        demand(calls or _said(message.get("content")), f"{where} is empty")
        for call in calls or ():
            demand(0 < len(call["id"]) <= 40 and call["id"] not in seen, f"{where}: id {call['id']!r}")
            demand(_NAME.fullmatch(call["function"]["name"]), f"{where}: name")
            demand(isinstance(json.loads(call["function"]["arguments"]), dict), f"{where}: arguments")
            seen.add(call["id"])
            open_calls.append(call["id"])
    demand(not open_calls, f"tool_calls must be followed by tool messages: {open_calls}")


def _said(content: Any) -> bool:
    parts = [content] if isinstance(content, str) else [part.get("text", "no text") for part in content or ()]
    return bool(parts) and all(part.strip() for part in parts)
