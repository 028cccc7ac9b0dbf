"""Approvals as forms that a client shows its person."""

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


def form(request: ApprovalRequest) -> dict[str, Any]:
    """Return the parameters of `elicitation/create`."""
    schema = request.question_schema if request.kind == "question" else _DECISION
    message = request.sentence(shows_content=True, longest=_LONGEST)
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
