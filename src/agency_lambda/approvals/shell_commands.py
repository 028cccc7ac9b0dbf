"""How to answer from a shell what a run asks: `make run` prints it."""

import json
import shlex
from dataclasses import replace
from typing import Any

from agency_lambda.approvals.model import Approval

_LONGEST = 300  # characters of arguments


def shell_commands(approval: Approval, url: str, *, has_keys: bool) -> str:
    """Return who asks what, and a command for each answer. has_keys: callers need one."""
    answers: dict[str, dict[str, Any]] = {
        "approve": {"approve": True},
        "refuse": {"approve": False, "reason": "Because ..."},
    }
    if approval.request.kind == "question":
        answers["approve"]["answer"] = _example(approval)
    key = ' -H "authorization: Bearer $KEY"' if has_keys else ""
    command = f"curl -s {url}/v1/approvals/{approval.id} -H 'content-type: application/json'{key} -d"
    lines = [f"{name + ':':8} {command} {shlex.quote(json.dumps(body))}" for name, body in answers.items()]
    goes_on = f" (goes on as {approval.continued_by})" if approval.continued_by else ""
    return "\n".join([f"\n{approval.response_id} waits{goes_on}: {_request(approval)}", *lines])


def _request(approval: Approval) -> str:
    request = replace(approval.request, agent=f"{approval.request.agent} of {approval.agency}")
    return _shown(request.sentence(shows_content=True))


def _shown(text: str) -> str:
    """Return a model's text on one line, without characters that a terminal obeys."""
    line = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}... (the rest: GET /v1/approvals)"


def _example(approval: Approval) -> str:
    return (*approval.request.choices, "...")[0]
