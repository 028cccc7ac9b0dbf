"""Approvals as forms that a client shows its person."""

import json
from typing import Any

from agency_lambda.protocol.approvals import ApprovalRequest, Decision

_LONGEST = 4_000  # characters of arguments in a form

_DECISION = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve", "description": "Whether the call may be made"},
        "reason": {  # the default, as some clients would send null
            "type": "string",
            "title": "Reason",
            "description": "What the agent gets to know if it may not",
            "default": "",
        },
    },
    "required": ["approve"],
}
_VERBS = {"tool": "wants to call", "repeat": "does not know whether it has called, and may call again,"}


def form(request: ApprovalRequest) -> dict[str, Any]:
    """Return the parameters of `elicitation/create`."""
    message, schema = _question(request) if request.kind == "question" else (_call_message(request), _DECISION)
    return {"mode": "form", "message": message, "requestedSchema": schema}


def decision_of(request: ApprovalRequest, result: Any) -> Decision | None:
    """Return what a client's person has decided, None for nothing: the form was closed, or does not match."""
    action = result.get("action") if isinstance(result, dict) else None
    if action == "decline":
        return Decision(approve=False)
    content = result.get("content") if action == "accept" else None
    if not isinstance(content, dict):
        return None
    if request.kind == "question":
        answer = content.get("answer")
        return Decision(approve=True, reason=answer) if isinstance(answer, str) and answer.strip() else None
    approve, reason = content.get("approve"), content.get("reason")
    if not isinstance(approve, bool) or not isinstance(reason, str | None):
        return None
    return Decision(approve=approve, reason=None if approve else reason)


def summary(request: ApprovalRequest, *, shows_content: bool) -> str:
    """Return in a few words what is asked."""
    if request.kind == "question" and shows_content:
        return f"{request.agent} asks: {_arguments(request).get('question', '')}"
    return f"{request.agent} asks to call {request.name}" if request.kind != "question" else f"{request.agent} asks"


def _call_message(request: ApprovalRequest) -> str:
    shown = json.dumps(_arguments(request), ensure_ascii=False, indent=2)[:_LONGEST]
    return f"{request.agent} {_VERBS[request.kind]} {request.name} with\n{shown}"


def _question(request: ApprovalRequest) -> tuple[str, dict[str, Any]]:
    arguments = _arguments(request)
    answer: dict[str, Any] = {"type": "string", "title": "Answer", "minLength": 1}
    choices = arguments.get("choices")
    if isinstance(choices, list) and choices and all(isinstance(each, str) for each in choices):
        answer = {"type": "string", "title": "Answer", "enum": choices}
    schema = {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}
    return f"{request.agent} asks: {arguments.get('question', '')}", schema


def _arguments(request: ApprovalRequest) -> dict[str, Any]:
    try:
        value = json.loads(request.arguments or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
