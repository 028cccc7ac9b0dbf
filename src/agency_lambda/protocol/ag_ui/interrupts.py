"""What a run asks a person, as interrupts, and the answers to these as items."""

from datetime import UTC, datetime
from typing import Any

from ag_ui.core import ResumeEntry

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.approvals import ApprovalRequest, arguments_object
from agency_lambda.protocol.types import Item

_APPROVED: dict[str, Any] = {"approved": {"type": "boolean"}, "reason": {"type": "string"}}
_TYPES: dict[str, type] = {"approved": bool, "reason": str, "answer": str, "editedArgs": dict}
#: A field of POST /v1/approvals -> that of a payload.
DECISION_NAMES = {"approve": "approved", "arguments": "editedArgs"}


def interrupt(
    approval_id: str, request: ApprovalRequest, response_id: str, expires_at: int, *, may_decide: bool
) -> dict[str, Any]:
    """Return an approval as an interrupt. may_decide: a client that may not sees no arguments, and gets no form."""
    arguments = arguments_object(request.arguments) if may_decide else None
    return {
        "id": approval_id,
        "reason": "input_required" if request.kind == "question" else "confirmation",
        "message": request.sentence(shows_content=may_decide),
        **({"responseSchema": _schema(request)} if may_decide else {}),
        "expiresAt": datetime.fromtimestamp(expires_at, UTC).isoformat().replace("+00:00", "Z"),
        "metadata": {
            "agent": request.agent,
            "name": request.name,
            "kind": request.kind,
            "arguments": arguments or {},
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
    given = {DECISION_NAMES.get(name, name): value for name, value in payload.items() if value is not None}
    for name, kind in _TYPES.items():
        if name in given and not isinstance(given[name], kind):
            raise InvalidRequest(f"must be of type {kind.__name__}", param=f"{param}.{name}")
    approves = given.get("approved", True if "answer" in given else None)
    if approves is None:
        field = "answer" if request.kind == "question" else "approved"
        raise InvalidRequest(f"The payload has no {field!r}.", param=f"{param}.{field}")
    fields = {"reason": given.get("answer", given.get("reason")), "arguments": given.get("editedArgs")}
    return {"approve": approves, **{name: value for name, value in fields.items() if value is not None}}


def _schema(request: ApprovalRequest) -> dict[str, Any]:
    if request.kind == "question":
        return request.question_schema
    edited = {"editedArgs": request.schema} if request.schema is not None else {}
    return {"type": "object", "properties": {**_APPROVED, **edited}, "required": ["approved"]}
