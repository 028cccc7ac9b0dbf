"""Which response a client's messages continue, and which of them it has not seen."""

# A client sends the whole conversation in every run, and has ids of ours where a response has spoken. A response keeps
# in its metadata which messages came before it, so it is continued only if these and its output are as they were.

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from agency_lambda.protocol.ag_ui.messages import conversation
from agency_lambda.protocol.ag_ui.request import Message, RunInput
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.types import Item

THREAD, RUN, _BEFORE = "ag_ui_thread_id", "ag_ui_run_id", "ag_ui_messages"
_ID = re.compile(r"[a-z]+_([0-9a-f]{32})[0-9a-f]{16}")


def message_id(response_id: str, item_id: str) -> str:
    """Return the id of a response's item as a message."""
    # After an approval a response has items of the one before, whose texts a client would append to.
    kind, _, rest = item_id.partition("_")
    return f"{kind}_{response_id.partition('_')[2]}{rest[-16:]}"


def response_of(message: Message) -> str | None:
    """Return the id of the response that has made a message."""
    found = _ID.fullmatch(message["id"])
    return found and f"resp_{found[1]}"


def responses_of(messages: Iterable[Message]) -> list[str]:
    """Return their ids, the last one first."""
    found = (response_of(message) for message in reversed(list(messages)))
    return list(dict.fromkeys(each for each in found if each))


def metadata(body: RunInput) -> dict[str, str]:
    before = "".join(map(_flat, conversation(body.known)))
    return {THREAD: body.thread_id, RUN: body.run_id, _BEFORE: f"{len(before)} {_digest(before)}"}


def rest_behind(messages: Sequence[Message], response: Mapping[str, Any]) -> list[Message] | None:
    """Return the messages behind a response; None if those before it, or its own, have changed."""
    length, _, digest = response["metadata"].get(_BEFORE, "").partition(" ")
    messages = conversation(messages)
    flat = list(map(_flat, messages))
    ends = [n + 1 for n, message in enumerate(messages) if response_of(message) == response["id"]]
    if not length.isdecimal():
        return None
    end = ends[-1] if ends else _count_until(int(length), flat)
    text = "".join(flat[:end])
    before, own = text[: int(length)], text[int(length) :]
    if _digest(before) != digest or own != (_flat_output(response["output"]) if ends else ""):
        return None
    return messages[end:]


def request_key(body: RunInput, model: str) -> str:
    """Return what is the same when a client repeats a run, which may have a part of the answer by then."""
    asked = [_flat(message) for message in body.known if message["role"] in ("user", "tool", "system", "developer")]
    resume = [entry.model_dump(mode="json") for entry in body.resume or []]
    return _digest(json.dumps([model, body.thread_id, body.run_id, asked, resume]))


def unanswered_calls(output: Sequence[Item]) -> list[str]:
    return [item["call_id"] for item in output if item["type"] == "function_call"]


def _count_until(length: int, flat: Sequence[str]) -> int:
    so_far = 0
    for number, each in enumerate(flat):
        if so_far >= length:
            return number
        so_far += len(each)
    return len(flat)


def _flat(message: Message) -> str:
    # Without what clients change: ids, and how an answer is divided into messages.
    match message["role"]:
        case "assistant":
            calls = (each["function"] | {"id": each["id"]} for each in message.get("toolCalls") or [])
            return _words(message.get("content") or "") + "".join(map(_call, calls))
        case "reasoning" | "activity":
            return ""
        case role:
            fields = [role, message["content"], message.get("toolCallId"), message.get("error")]
            return f"\0{json.dumps(fields, sort_keys=True)}\0"


def _flat_output(output: Sequence[Item]) -> str:
    return "".join(_flat_items(output))


def _flat_items(output: Sequence[Item]) -> Iterator[str]:
    for item in output:
        if item["type"] == "message":
            yield _words(text_of(item["content"]))
        elif item["type"] == "function_call":
            yield _call({"id": item["call_id"], "name": item["name"], "arguments": item["arguments"]})


def _call(call: Mapping[str, str]) -> str:
    return f"\0{json.dumps([call['id'], call['name'], _words(call['arguments'])])}\0"


def _words(text: str) -> str:
    return "".join(text.split()).replace("\0", "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
