"""Input items: validation, and what the agents get of them."""

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

#: An item's type -> its model in openai.types.responses.
_ITEM_MODELS = {
    "function_call": "ResponseFunctionToolCall",
    "function_call_output": "response_input_item.FunctionCallOutput",
    "reasoning": "ResponseReasoningItem",
    "compaction": "ResponseCompactionItem",
    "image_generation_call": "response_input_item.ImageGenerationCall",
    "mcp_approval_request": "response_input_item.McpApprovalRequest",
}
#: Fields that this service adds to output items. Clients send them back, and they are ignored.
_ADDED_FIELDS = frozenset({"agent", "parent", "recipient", "tool"})
#: Fields of newer types than the pinned ones: with these values they say nothing, or they are read over.
_FIXED = {"async": False, "caller": {"type": "direct"}}
_READ_OVER = {
    "mcp_approval_request": frozenset({"kind", "status"}),  # of our answers
    "function_call": frozenset(_FIXED),
    "function_call_output": frozenset({*_FIXED, "name", "namespace"}),
    "image_generation_call": frozenset(
        {*("error", "action", "background", "output_format", "quality", "revised_prompt", "size", "svg_usage")}
    ),
}
PARAGRAPH = "\n\n"  # between the parts of a summary, and the messages of a run
SIGNED = "r1."  # how encrypted reasoning begins that this service has signed
_STATUSES = ("in_progress", "completed", "incomplete")
_MESSAGE_FIELDS = frozenset({"type", "role", "content", "phase", "id", "status"})
_DEFAULTS: dict[str, Item] = {
    "reasoning": {"id": "rs_", "summary": []},
    "compaction": {"id": "cmp_"},
    "image_generation_call": {"id": "ig_", "result": None, "status": "completed"},
}


def parse_items(items: str | Sequence[Any], param: str = "input", budget: InputBudget | None = None) -> list[Item]:
    """Return validated, complete items with new ids. budget: gets the files that they name.

    Raises:
        InvalidRequest, UnsupportedParameter: names the field.
    """
    if isinstance(items, str):  # as in most requests; it imports nothing
        return [_check_size(_complete_message({"role": "user"}, [{"type": "input_text", "text": items}]), param)]
    if len(items) > bounds.ITEMS:
        raise bounds.over_limit(param, "items", bounds.ITEMS)
    budget = budget or InputBudget()
    named = [(item, f"{param}[{number}]") for number, item in enumerate(items)]
    return [_check_size(_parse_item(item, name, budget), name) for item, name in named]


def to_agent_input(items: Sequence[Item], *, with_signed: bool = False) -> list[Item]:
    """Leave out incomplete calls and reasoning. with_signed: keep reasoning that this service has signed."""
    return [each for item in items for each in _agent_input(item, with_signed)]


def _agent_input(item: Item, with_signed: bool) -> Iterator[Item]:
    kind = item["type"]
    if kind == "reasoning" and with_signed and str(item.get("encrypted_content")).startswith(SIGNED):
        yield {key: item[key] for key in ("type", "summary", "encrypted_content")}
    elif kind == "message":
        message = {key: item[key] for key in ("type", "role", "content", "phase") if item.get(key) is not None}
        content = _plain_content(message)
        yield message | {"content": content} | _mark_links(content)
    elif kind == "function_call" and item.get("status") != "incomplete":
        yield {key: item[key] for key in ("type", "call_id", "name", "arguments")}
    elif kind == "function_call_output":
        yield {key: item[key] for key in ("type", "call_id", "output")} | _mark_links(item["output"])
    elif kind == "compaction":
        yield from to_agent_input(decode_compaction(item, "input"))


def _mark_links(parts: str | list[Item]) -> Item:
    # A tool's own links are the agency's matter, so those of clients are told apart.
    if isinstance(parts, str):
        return {}
    from agency_lambda.protocol.links import link_of  # in most requests there is but a text

    return {"linked": True} if any(map(link_of, parts)) else {}


def _plain_content(message: Item) -> str | list[Item]:
    # The framework copies each part several times in every later turn, so a single text becomes a string.
    content: str | list[Item] = message["content"]
    match content:
        case [{"type": "input_text", "text": str(text), **others}] if not others:
            return text
    return content


def encode_compaction(summary: str, last: Sequence[Item]) -> Item:
    """last: items that are kept unchanged."""
    # It is not encrypted, as its owner has sent or received all of it.
    content = json.dumps({"summary": summary, "last": list(last)}).encode()
    return {
        "type": "compaction",
        "id": new_id("compaction"),
        "encrypted_content": "v1." + base64.urlsafe_b64encode(zlib.compress(content)).decode(),
    }


def decode_compaction(item: Item, param: str, budget: InputBudget | None = None, level: int = 1) -> list[Item]:
    """Return the summary as a message, and the last items."""
    budget = budget or InputBudget()
    if level > bounds.COMPACTIONS:
        raise bounds.over_limit(param, "levels of compactions", bounds.COMPACTIONS)
    try:
        content = json.loads(_decompress(item["encrypted_content"], param, budget).decode())
        summary, last = content["summary"], content["last"]
        if not isinstance(last, list) or not isinstance(summary, str):
            raise TypeError
        to_json(content)  # refuses halves of surrogate pairs
    except (ValueError, KeyError, TypeError, binascii.Error, zlib.error, RecursionError):
        raise InvalidRequest("This compaction was not made by POST /v1/responses/compact here.", param=param) from None
    text = f"Summary of the conversation so far:\n{summary}"
    named = len(budget.files)
    items = [_parse_message({"role": "developer", "content": text}, param, budget)]
    for each in last:
        if isinstance(each, dict) and each.get("type") == "compaction":
            budget.take_item(param)
            items += decode_compaction(_parse_compaction(each, param), param, budget, level + 1)
        else:
            items.append(_parse_item(each, param, budget))
    del budget.files[named:]  # they were checked when they were sent, and may have expired since
    return items


def _parse_compaction(item: Item, param: str) -> Item:
    complete = {**_DEFAULTS["compaction"], **without_nulls(item)}
    return validate(_ITEM_MODELS["compaction"], complete, param, _ADDED_FIELDS)


def _decompress(content: str, param: str, budget: InputBudget) -> bytes:
    version, _, compressed = content.partition(".")
    if version != "v1":
        raise ValueError(version)
    decompressor, max_length = zlib.decompressobj(), len(compressed) + budget.expansion
    text = decompressor.decompress(base64.urlsafe_b64decode(compressed), max_length)
    if decompressor.unconsumed_tail:
        raise bounds.over_limit(
            param, "bytes that the compactions unpack to, beyond their own length", bounds.EXPANSION
        )
    budget.expansion = min(budget.expansion, max_length - len(text))
    budget.take_text(text, param)
    return text


def text_of(content: str | Sequence[Item] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in content)


def summary_text(item: Item) -> str:
    return PARAGRAPH.join(part["text"] for part in item["summary"] if part["text"])


def _parse_item(item: Any, param: str, budget: InputBudget) -> Item:
    budget.take_item(param)
    if not isinstance(item, dict):
        raise InvalidRequest("An item is an object.", param=param)
    item = without_nulls(item)
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind == "message":
        return _parse_message(item, param, budget)
    if not isinstance(kind, str) or kind not in _ITEM_MODELS:
        raise UnsupportedParameter(f"Items of type {type_label(kind)} are not supported.", param=f"{param}.type")
    output = item.get("output")
    without_parts = {"output": ""} if isinstance(output, list) else {}
    known = {**_DEFAULTS.get(kind, {}), **_without_read_over(kind, item), **without_parts}
    valid = validate(_ITEM_MODELS[kind], known, param, _ADDED_FIELDS)
    if isinstance(output, list):
        from agency_lambda.protocol.parts import INPUT_PARTS, parse_parts

        valid["output"] = parse_parts(output, INPUT_PARTS, f"{param}.output", budget)
    if kind == "compaction":
        decode_compaction(valid, f"{param}.encrypted_content", budget)
    if kind == "function_call":
        budget.take_text(valid["arguments"].encode(), f"{param}.arguments")
    _check_ignored_fields(item, param)
    status = {} if kind == "compaction" else {"status": valid.get("status") or "completed"}
    return {**valid, "id": new_id(kind), **status}


def _without_read_over(kind: str, item: Item) -> Item:
    read_over = _READ_OVER.get(kind, frozenset())
    return {
        name: value
        for name, value in item.items()
        if name not in read_over or (name in _FIXED and value != _FIXED[name])
    }


def _parse_message(item: Item, param: str, budget: InputBudget) -> Item:
    role, content = item.get("role"), item.get("content")
    is_output = role == "assistant"
    if isinstance(content, str):
        content = [{"type": "output_text" if is_output else "input_text", "text": content}]
    if not isinstance(content, list):
        raise InvalidRequest("The content is a text or a list of parts.", param=f"{param}.content")
    from agency_lambda.protocol.parts import INPUT_PARTS, OUTPUT_PARTS, as_output_text, parse_parts

    kinds = {**INPUT_PARTS, **OUTPUT_PARTS} if is_output else INPUT_PARTS
    parts = parse_parts(content, kinds, f"{param}.content", budget)
    if is_output:
        parts = [as_output_text(part) for part in parts]
    without_parts = {"role": role, "content": "", "phase": item.get("phase")}
    message = validate("EasyInputMessage", without_parts, param)
    refuse_unknown(item, _MESSAGE_FIELDS | _ADDED_FIELDS, param)
    _check_ignored_fields(item, param)
    if item.get("status", "completed") not in _STATUSES:
        raise InvalidRequest(f"must be one of {', '.join(_STATUSES)}", param=f"{param}.status")
    return _complete_message(message, parts)


def _check_ignored_fields(item: Item, param: str) -> None:
    for name in ("id", *_ADDED_FIELDS):
        if not isinstance(item.get(name, ""), str):
            raise InvalidRequest("must be a string", param=f"{param}.{name}")


def _complete_message(message: Item, parts: list[Item]) -> Item:
    return {**message, "id": new_id("message"), "type": "message", "status": "completed", "content": parts}


def _check_size(item: Item, param: str) -> Item:
    """Raises InvalidRequest if the item is too large to be read back."""
    if (size := bounds.size(item)) > bounds.RESOURCE:
        raise InvalidRequest(
            f"The item takes {size:,} bytes in an answer, where quotes and backslashes are escaped: at most "
            f"{bounds.RESOURCE:,} can be read back.",
            param=param,
        )
    return item
