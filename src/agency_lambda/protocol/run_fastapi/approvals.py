"""Approvals for clients that know texts only: what a response asks as a sentence, and a text that answers it."""

import re
from collections.abc import Sequence
from itertools import takewhile

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.ids import item_id
from agency_lambda.protocol.items import text_of
from agency_lambda.protocol.response_object import ResponseObject, open_requests
from agency_lambda.protocol.types import Item

_REQUEST, _ANSWER = "mcp_approval_request", "mcp_approval_response"
_DECISION = re.compile(r"(approve|refuse)(?:\s*[:.,](.*))?", re.DOTALL | re.IGNORECASE)
_HOW = 'Answer "approve", or "refuse: " and why.'


def sentence(response: ResponseObject, *, shows_content: bool) -> Item | None:
    """Return a message that says what a response asks a person, or None. shows_content: its owner may decide."""
    requests = open_requests(response)
    if not requests:
        return None
    how = [_HOW] if shows_content and not any(map(_is_question, requests)) else []
    asked = [_request(each).sentence(shows_content=shows_content) for each in requests]
    part = {"type": "output_text", "text": "\n".join([*asked, *how]), "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "role": "assistant",
        "id": item_id("message", response["id"], "approvals"),
        "status": "completed",
        "content": [part],
        "agent": requests[-1]["agent"],
    }


def asked_last(history: Sequence[Item]) -> list[Item]:
    """Return what was asked, and neither answered nor followed by a message of the user."""
    since = takewhile(lambda item: item.get("role") != "user" and item.get("type") != _ANSWER, reversed(history))
    return [item for item in since if item.get("type") == _REQUEST][::-1]


def answers(requests: Sequence[Item], message: Sequence[Item]) -> list[Item]:
    """Return the answers that a client has sent, as items or as a text, if there are any.

    Raises:
        InvalidRequest: something was asked, and the text is no answer.
    """
    if any(item.get("type") == _ANSWER for item in message):
        return list(message)
    if not requests:
        return []
    text = "\n".join(text_of(item.get("content")) for item in message)
    if len(requests) == 1 and _is_question(requests[0]):
        return [_answer(requests[0], True, text)]
    found = _DECISION.fullmatch(text.strip())
    if not found or any(map(_is_question, requests)):
        raise InvalidRequest(f"The agents wait for a person. {_HOW} Or send an {_ANSWER} for each.", param="message")
    return [_answer(each, found[1].lower() == "approve", found[2] and found[2].strip()) for each in requests]


def _answer(request: Item, approve: bool, reason: str | None) -> Item:
    approval_id = request.get("approval_request_id") or request.get("id")
    answer = {"type": _ANSWER, "approval_request_id": approval_id, "approve": approve}
    return answer | ({"reason": reason} if reason else {})


def _is_question(request: Item) -> bool:
    return request.get("kind") == "question"


def _request(item: Item) -> ApprovalRequest:
    return ApprovalRequest(key=item["id"], **{name: item[name] for name in ("agent", "name", "arguments", "kind")})
