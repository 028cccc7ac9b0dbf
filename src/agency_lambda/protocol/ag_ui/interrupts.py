"""What a run asks a person, as interrupts, and the answers to these as items."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ag_ui.core import ResumeEntry

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.types import Item

_APPROVED: dict[str, Any] = {"approved": {"type": "boolean"}, "reason": {"type": "string"}}
_TYPES: dict[str, type] = {"approved": bool, "reason": str, "answer": str, "editedArgs": dict}
_OUR_NAMES = {"approve": "approved", "arguments": "editedArgs"}  # as POST /v1/approvals has them


def interrupt(
    approval_id: str, request: ApprovalRequest, response_id: str, expires_at: int, *, shows_content: bool
) -> dict[str, Any]:
    """shows_content: the owner may decide, and sees arguments."""
    arguments = _arguments(request.arguments) if shows_content else {}
    return {
        "id": approval_id,
        "reason": "input_required" if request.kind == "question" else "confirmation",
        "message": _message(request, arguments),
        "responseSchema": _schema(request, arguments),
        "expiresAt": datetime.fromtimestamp(expires_at, UTC).isoformat().replace("+00:00", "Z"),
        "metadata": {
            "agent": request.agent,
            "name": request.name,
            "kind": request.kind,
            "arguments": arguments,
            "response_id": response_id,
        },
    }


def answer_item(entry: ResumeEntry, request: ApprovalRequest, param: str) -> Item:
    """Return a `mcp_approval_response`. Raises InvalidRequest."""
    answer = {"approve": False} if entry.status == "cancelled" else _answer(entry.payload, request, param)
    return {"type": "mcp_approval_response", "approval_request_id": entry.interrupt_id, **answer}


def _answer(payload: Any, request: ApprovalRequest, param: str) -> dict[str, Any]:
    if isinstance(payload, bool):
        payload = {"approved": payload}
    elif isinstance(payload, str) and request.kind == "question":
        payload = {"answer": payload}
    if not isinstance(payload, dict):
        raise InvalidRequest("The payload is an object as in 'responseSchema' of the interrupt.", param=param)
    given = {_OUR_NAMES.get(name, name): value for name, value in payload.items() if value is not None}
    for name, kind in _TYPES.items():
        if name in given and not isinstance(given[name], kind):
            raise InvalidRequest(f"must be of type {kind.__name__}", param=f"{param}.{name}")
    approves = given.get("approved", True if "answer" in given else None)
    if approves is None:
        field = "answer" if request.kind == "question" else "approved"
        raise InvalidRequest(f"The payload has no {field!r}.", param=f"{param}.{field}")
    fields = {"reason": given.get("answer", given.get("reason")), "arguments": given.get("editedArgs")}
    return {"approve": approves, **{name: value for name, value in fields.items() if value is not None}}


def _schema(request: ApprovalRequest, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if request.kind == "question":
        choices = arguments.get("choices")
        answer = {"type": "string", **({"enum": choices} if choices else {})}
        return {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}
    edited = {"editedArgs": request.schema} if request.schema is not None else {}
    return {"type": "object", "properties": {**_APPROVED, **edited}, "required": ["approved"]}


def _message(request: ApprovalRequest, arguments: Mapping[str, Any]) -> str:
    call = f"{request.name}({', '.join(f'{name}={json.dumps(value)}' for name, value in arguments.items())})"
    if request.kind == "question":
        return str(arguments.get("question", ""))
    if request.kind == "repeat":
        return f"Whether {call} was carried out is unknown. Shall {request.agent} call it again?"
    return f"{request.agent} wants to call {call}."


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
