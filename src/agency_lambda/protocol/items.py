"""Input items: what a client may send, what the agents are given of it, and what is shown of it later.

Checked with the `openai` package's own types. Only what is in the request itself is read: a link would make the model's
server fetch an address that the caller chose, and a file id would reach into the account behind our key.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import to_json

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.bounds import InputBudget
from agency_lambda.protocol.ids import new_id
from agency_lambda.protocol.item_types import refuse_unknown, type_label, validate
from agency_lambda.protocol.lazy_types import without_nulls
from agency_lambda.protocol.types import Item

#: their models in openai.types.responses, each of which is imported when one is sent
_ITEMS = {
    "function_call": "ResponseFunctionToolCall",
    "function_call_output": "response_input_item.FunctionCallOutput",
    "reasoning": "ResponseReasoningItem",
    "compaction": "ResponseCompactionItem",
    "image_generation_call": "response_input_item.ImageGenerationCall",
}
_SPOKEN = {"output_text": "ResponseOutputText", "refusal": "ResponseOutputRefusal"}
_HEARD = {"input_text": "ResponseInputText", "input_image": "ResponseInputImage", "input_file": "ResponseInputFile"}
#: of the items that we answer with, and that clients send back
_OURS = frozenset({"agent", "parent", "recipient", "tool"})
_STATUSES = ("in_progress", "completed", "incomplete")
_MESSAGE = frozenset({"type", "role", "content", "phase", "id", "status"})
_DEFAULTS: dict[str, Item] = {
    "input_image": {"detail": "auto"},
    "output_text": {"annotations": []},
    "reasoning": {"id": "rs_", "summary": []},
    "compaction": {"id": "cmp_"},
    "image_generation_call": {"id": "ig_", "result": None, "status": "completed"},
}


def parse_items(given: str | Sequence[Any], param: str = "input") -> list[Item]:
    """The items in their public form: complete, each under an id of its own.

    Raises:
        InvalidRequest, UnsupportedParameter: names the item and the field.
    """
    if isinstance(given, str):  # as most requests have it: nothing to check, and nothing to import for that
        return [_fitting(_kept({"role": "user"}, [{"type": "input_text", "text": given}]), param)]
    if len(given) > bounds.ITEMS:
        raise bounds.over_limit(param, "items", bounds.ITEMS)
    budget = InputBudget()
    return [
        _fitting(_item(item, f"{param}[{number}]", budget), f"{param}[{number}]") for number, item in enumerate(given)
    ]


def to_agent_input(items: Sequence[Item]) -> list[Item]:
    """The items as the framework takes them. Reasoning stays with the model that made it; a call that was cut off is
    not made.
    """
    return [told for item in items for told in _for_agents(item)]


def _for_agents(item: Item) -> Iterator[Item]:
    kind = item["type"]
    if kind == "message":
        told = {key: item[key] for key in ("type", "role", "content", "phase") if item.get(key) is not None}
        yield told | {"content": _plain(told)}
    elif kind == "function_call" and item.get("status") != "incomplete":
        yield {key: item[key] for key in ("type", "call_id", "name", "arguments")}
    elif kind == "function_call_output":
        yield {key: item[key] for key in ("type", "call_id", "output")}
    elif kind == "compaction":
        yield from to_agent_input(decode_compaction(item, "input"))


def _plain(message: Item) -> str | list[Item]:
    """A text alone as the framework writes it itself: each part costs it several copies in every later turn."""
    content: str | list[Item] = message["content"]
    match content:
        case [{"type": "input_text", "text": str(text), **more}] if not more:
            return text
    return content


def encode_compaction(summary: str, last: Sequence[Item]) -> Item:
    """A summary of the older turns and the last items word for word, as one item that can be sent back.

    It holds nothing that its owner has not sent or been answered, so it is opaque but no secret.
    """
    content = json.dumps({"summary": summary, "last": list(last)}).encode()
    return {
        "type": "compaction",
        "id": new_id("compaction"),
        "encrypted_content": "v1." + base64.urlsafe_b64encode(zlib.compress(content)).decode(),
    }


def decode_compaction(item: Item, param: str, budget: InputBudget | None = None, level: int = 1) -> list[Item]:
    """Return the items of a compaction, the summary first, as a message; those of compactions within it, in its place.

    Raises:
        InvalidRequest: it was not made here, or it is over a bound.
    """
    budget = budget or InputBudget()
    if level > bounds.COMPACTIONS:
        raise bounds.over_limit(param, "levels of compactions", bounds.COMPACTIONS)
    try:
        held = json.loads(_unzipped(item["encrypted_content"], param, budget).decode())
        summary, last = held["summary"], held["last"]
        if not isinstance(last, list) or not isinstance(summary, str):
            raise TypeError
        to_json(held)  # refuses halves of surrogate pairs, as those of a body are
    except (ValueError, KeyError, TypeError, binascii.Error, zlib.error, RecursionError):
        raise InvalidRequest("This compaction was not made by POST /v1/responses/compact here.", param=param) from None
    items = [
        _message({"role": "developer", "content": f"Summary of the conversation so far:\n{summary}"}, param, budget)
    ]
    for each in last:
        if isinstance(each, dict) and each.get("type") == "compaction":
            budget.take_item(param)
            items += decode_compaction(_compaction(each, param), param, budget, level + 1)
        else:
            items.append(_item(each, param, budget))
    return items


def _compaction(given: Item, param: str) -> Item:
    return validate(_ITEMS["compaction"], {**_DEFAULTS["compaction"], **without_nulls(given)}, param, _OURS)


def _unzipped(content: str, param: str, budget: InputBudget) -> bytes:
    version, _, compressed = content.partition(".")
    if version != "v1":
        raise ValueError(version)
    unzip, most = zlib.decompressobj(), len(compressed) + budget.expansion
    text = unzip.decompress(base64.urlsafe_b64decode(compressed), most)
    if unzip.unconsumed_tail:
        raise bounds.over_limit(
            param, "bytes that the compactions unpack to, beyond their own length", bounds.EXPANSION
        )
    budget.expansion = min(budget.expansion, most - len(text))
    budget.take_text(text, param)
    return text


def text_of(content: str | Sequence[Item] | None) -> str:
    """The text of a string or of content parts; images and files have none."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in content)


def _item(given: Any, param: str, budget: InputBudget) -> Item:
    budget.take_item(param)
    if not isinstance(given, dict):
        raise InvalidRequest("An item is an object.", param=param)
    given = without_nulls(given)
    kind = given.get("type") or ("message" if "role" in given else None)
    if kind == "message":
        return _message(given, param, budget)
    if not isinstance(kind, str) or kind not in _ITEMS:
        raise UnsupportedParameter(f"Items of type {type_label(kind)} are not supported.", param=f"{param}.type")
    output = given.get("output")
    outline = {"output": ""} if isinstance(output, list) else {}
    item = validate(_ITEMS[kind], {**_DEFAULTS.get(kind, {}), **given, **outline}, param, _OURS)
    if isinstance(output, list):
        item["output"] = _parts(output, _HEARD, f"{param}.output", budget)
    if kind == "compaction":
        decode_compaction(item, f"{param}.encrypted_content", budget)
    if kind == "function_call":
        budget.take_text(item["arguments"].encode(), f"{param}.arguments")
    _check_shown(given, param)
    status = {} if kind == "compaction" else {"status": item.get("status") or "completed"}
    return {**item, "id": new_id(kind), **status}


def _message(given: Item, param: str, budget: InputBudget) -> Item:
    role, content = given.get("role"), given.get("content")
    spoken = role == "assistant"
    if isinstance(content, str):
        content = [{"type": "output_text" if spoken else "input_text", "text": content}]
    if not isinstance(content, list):
        raise InvalidRequest("The content is a text or a list of parts.", param=f"{param}.content")
    parts = _parts(content, {**_HEARD, **_SPOKEN} if spoken else _HEARD, f"{param}.content", budget)
    if spoken:  # the framework's other dialect, Chat Completions, knows no other part of an assistant's message
        parts = [
            {**_DEFAULTS["output_text"], **part, "type": "output_text"} if "text" in part else part for part in parts
        ]
    outline = {"role": role, "content": "", "phase": given.get("phase")}
    message = validate("EasyInputMessage", outline, param)
    refuse_unknown(given, _MESSAGE | _OURS, param)
    _check_shown(given, param)
    if given.get("status", "completed") not in _STATUSES:
        raise InvalidRequest(f"must be one of {', '.join(_STATUSES)}", param=f"{param}.status")
    return _kept(message, parts)


def _check_shown(given: Item, param: str) -> None:
    """Refuse what no answer of ours has in the fields that are read over: a client has mixed something up."""
    for name in ("id", *_OURS):
        if not isinstance(given.get(name, ""), str):
            raise InvalidRequest("must be a string", param=f"{param}.{name}")


def _kept(message: Item, parts: list[Item]) -> Item:
    return {**message, "id": new_id("message"), "type": "message", "status": "completed", "content": parts}


def _parts(given: list[Any], kinds: dict[str, str], param: str, budget: InputBudget) -> list[Item]:
    budget.take_parts(len(given), param)
    return [_part(part, kinds, f"{param}[{number}]") for number, part in enumerate(given)]


def _part(given: Any, kinds: dict[str, str], param: str) -> Item:
    given = without_nulls(given)
    kind = given.get("type") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise UnsupportedParameter(f"Content of type {type_label(kind)} is not supported here.", param=f"{param}.type")
    part = validate(kinds[kind], {**_DEFAULTS.get(kind, {}), **given}, param)
    for name in ("file_id", "file_url"):
        if part.get(name) is not None:
            raise UnsupportedParameter(
                f"{name} is not supported: send the content as a data URL.", param=f"{param}.{name}"
            )
    if kind == "input_image" and not str(part.get("image_url")).startswith("data:image/"):
        raise UnsupportedParameter("Only data URLs of images are supported.", param=f"{param}.image_url")
    if kind == "input_file" and not str(part.get("file_data")).startswith("data:"):
        raise InvalidRequest("A file is sent as file_data, a data URL.", param=f"{param}.file_data")
    return part


def _fitting(item: Item, param: str) -> Item:
    """Refuse an item that could never be read back."""
    if (found := bounds.size(item)) > bounds.RESOURCE:
        raise InvalidRequest(
            f"The item takes {found:,} bytes in an answer, where quotes and backslashes are escaped: at most "
            f"{bounds.RESOURCE:,} can be read back.",
            param=param,
        )
    return item
