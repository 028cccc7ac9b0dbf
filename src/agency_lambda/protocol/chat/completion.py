"""A chat completion, made of the response of a run, and of those that continue it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agency_lambda.errors import ApprovalRequired, RunCancelled, RunGoesOn, RunUnanswered
from agency_lambda.protocol.approvals import activity_line
from agency_lambda.protocol.chat.request import CreateChatCompletion
from agency_lambda.protocol.chat.stop import StopSequences
from agency_lambda.protocol.file_links import FileLinks
from agency_lambda.protocol.items import PARAGRAPH, summary_text
from agency_lambda.protocol.response_object import FINAL, ResponseObject, open_requests
from agency_lambda.protocol.types import Item

_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


def completion(chat: CreateChatCompletion, responses: Sequence[ResponseObject], links: FileLinks) -> dict[str, Any]:
    """Return the completion of a response and of those that continue it, of which the last one is final."""
    items, stops = [item for each in responses for item in each["output"]], StopSequences(chat.stops)
    message = _message(items, stops, links)
    if chat.shows_reasoning and (lines := [line for item in items if (line := reasoning_line(item))]):
        message["reasoning_content"] = PARAGRAPH.join(lines)
    reason = finish_reason(responses[-1], calls="tool_calls" in message, stopped=stops.found)
    return {
        **head(chat, responses[0], "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": usage(responses),
        "service_tier": responses[0]["service_tier"],
        "system_fingerprint": None,
        **({"metadata": chat.metadata} if chat.metadata else {}),
    }


def head(chat: CreateChatCompletion, response: ResponseObject, kind: str) -> dict[str, Any]:
    return {"id": response["id"], "object": kind, "created": response["created_at"], "model": chat.model}


def _message(items: Sequence[Item], stops: StopSequences, links: FileLinks) -> dict[str, Any]:
    messages = [item for item in items if item["type"] == "message" and item["content"]]
    # An attempt that was interrupted has left the beginning of what the next one says.
    messages = [item for item in messages if item["status"] != "incomplete" or item is messages[-1]]
    texts = filter(None, (_joined(item, "text") for item in messages))
    text = stops.add(PARAGRAPH.join(texts)) + stops.end()
    calls = [] if stops.found else [tool_call(item) for item in items if is_call(item)]
    refusal = "".join(_joined(item, "refusal") for item in messages) or None
    found = [each for item in messages for each in annotations(item, links)]
    images = [image(item, number) for number, item in enumerate(filter(is_image, items))]
    return {
        "role": "assistant",
        "content": text or (None if calls or refusal else ""),
        "refusal": refusal,
        "annotations": found,
        **({"tool_calls": calls} if calls else {}),
        **({"images": images} if images else {}),
    }


def _joined(message: Item, field: str) -> str:
    return "".join(part.get(field) or "" for part in message["content"])


def is_call(item: Item) -> bool:
    return item["type"] == "function_call" and item.get("status") != "incomplete"


def tool_call(item: Item) -> dict[str, Any]:
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}


def is_image(item: Item) -> bool:
    return item["type"] == "image_generation_call" and bool(item.get("result"))


def image(item: Item, index: int) -> dict[str, Any]:
    """Return an image as OpenRouter and LiteLLM have it, as OpenAI's protocol has no form for it."""
    kind = item.get("output_format") or "png"
    return {
        "type": "image_url",
        "index": index,
        "image_url": {"url": f"data:image/{kind};base64,{item['result']}"},
    }


def annotations(message: Item, links: FileLinks) -> list[dict[str, Any]]:
    """Return what a message cites as pages, the only annotations that the protocol knows: files are their URLs."""
    fields = ("url", "title", "start_index", "end_index")
    cited = [each for part in message["content"] for each in part.get("annotations") or ()]
    pages = [each for each in cited if each.get("type") == "url_citation"]
    pages += [{**each, "title": each["filename"]} for each in links.citations(message)]
    return [{"type": "url_citation", "url_citation": {name: each[name] for name in fields}} for each in pages]


def reasoning_line(item: Item) -> str:
    """Return what an activity or a summary says, or ""."""
    if item["type"] == "mcp_approval_request":
        return approval_line(item)
    return summary_text(item) if item["type"] == "reasoning" else ""


def approval_line(item: Item) -> str:
    return f"{activity_line(item)} (POST /v1/approvals/{item['id']} decides)"


def finish_reason(response: ResponseObject, *, calls: bool, stopped: bool) -> str:
    if stopped:
        return "stop"
    if response["status"] == "incomplete":
        return _REASONS.get(str((response["incomplete_details"] or {}).get("reason")), "length")
    return "tool_calls" if calls else "stop"


def is_over(response: ResponseObject) -> bool:
    return response["status"] in FINAL and not _awaited(response)


def has_answer(response: ResponseObject) -> bool:
    return is_over(response) and response["status"] in ("completed", "incomplete")


def _awaited(response: ResponseObject) -> list[Item]:
    """Return what a run asks persons before it goes on."""
    has_ended = response["status"] in FINAL and response["background"]  # of what has gone on after a decision
    return [] if has_ended else open_requests(response)


def why_unanswered(response: ResponseObject, goes_on_as: str | None = None) -> RunUnanswered:
    """Return why there is no answer. goes_on_as: the id of another response that will have it."""
    response_id = goes_on_as or response["id"]
    if response["status"] == "cancelled":
        return RunCancelled(
            f"The run was cancelled: GET /v1/responses/{response_id} has its output so far.", response_id
        )
    found = f"GET /v1/responses/{response_id} has the answer then."
    if asked := [each["id"] for each in _awaited(response)]:
        paths = ", ".join(f"POST /v1/approvals/{each}" for each in asked)
        return ApprovalRequired(
            f"A person has to decide before this run goes on: {paths}. {found}", response_id, approvals=asked
        )
    return RunGoesOn(f"The run takes longer than this request may, and goes on without it. {found}", response_id)


def usage(responses: Iterable[ResponseObject]) -> dict[str, Any]:
    """Return what all of them have used, with the details that agencies do not have as zeros."""
    used = [each["usage"] for each in responses if each["usage"]]
    read = {name: _total(used, "input_tokens_details", name) for name in ("cached_tokens", "cache_write_tokens")}
    written = {"reasoning_tokens": _total(used, "output_tokens_details", "reasoning_tokens")}
    none = ("audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens")
    return {
        "prompt_tokens": sum(each["input_tokens"] for each in used),
        "completion_tokens": sum(each["output_tokens"] for each in used),
        "total_tokens": sum(each["total_tokens"] for each in used),
        "prompt_tokens_details": {**read, "audio_tokens": 0},
        "completion_tokens_details": {**written, **dict.fromkeys(none, 0)},
    }


def _total(used: Iterable[Mapping[str, Any]], details: str, name: str) -> int:
    return sum((each.get(details) or {}).get(name, 0) for each in used)
