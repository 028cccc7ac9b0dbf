"""Answers to approvals among the items of an input (`mcp_approval_response`).

A client that keeps the whole conversation sends it back in front of them, with the requests that they answer. What
stands before those requests is known: it is neither read nor checked again.
"""

from collections.abc import Sequence
from typing import Any

_REQUEST, _ANSWER = "mcp_approval_request", "mcp_approval_response"
_ID = "mcpr_"  # of a request, and so of a reference to one


def answers_approvals(items: str | list[Any]) -> bool:
    """Return whether an input decides something: it ends with an answer, or has one whose request it has not."""
    if isinstance(items, str) or not any(map(is_answer, items)):
        return False
    asked = _asked(items)
    return is_answer(items[-1]) or any(is_answer(item) and _answered(item) not in asked for item in items)


def first_answer(items: Sequence[Any]) -> int:
    """Return where the answers begin: behind the last request, or at 0 where the client sends none back."""
    return max((number + 1 for number, item in enumerate(items) if _request_id(item)), default=0)


def without_answers(items: str | list[Any]) -> str | list[Any]:
    """Return an input without answers that were given before, and without the requests that they answer."""
    if isinstance(items, str) or not any(map(is_answer, items)):
        return items
    answered = {_answered(item) for item in items if is_answer(item)}
    return [item for item in items if not is_answer(item) and _request_id(item) not in answered]


def is_answer(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == _ANSWER


def _asked(items: Sequence[Any]) -> set[str]:
    return {name for item in items if (name := _request_id(item))}


def _answered(item: dict[str, Any]) -> str:
    return str(item.get("approval_request_id"))


def _request_id(item: Any) -> str | None:
    """Return the id of an approval's request, or of a reference to one; else None."""
    name = item.get("id") if isinstance(item, dict) and item.get("type") in (_REQUEST, "item_reference", None) else None
    return name if isinstance(name, str) and name.startswith(_ID) else None
