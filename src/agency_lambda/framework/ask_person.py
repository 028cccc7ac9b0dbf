"""`ask_person`: a tool with which an agent asks a person."""

import json
from typing import Any

from agents import function_tool
from agents.tool_context import ToolContext

from agency_lambda.framework.context import current_run
from agency_lambda.protocol.approvals import ApprovalRequest, Decision

_APPROVED = "The person agreed, without an answer in words."
_OTHER = "The person answered with none of the choices: {answer}"
_REFUSED = "The person did not answer."


async def _is_outside_of_a_run(*_: Any) -> bool:
    # Within a run of the service the tool itself waits for the answer.
    return current_run() is None


@function_tool(needs_approval=_is_outside_of_a_run)
async def ask_person(context: ToolContext[Any], question: str, choices: list[str] | None) -> str:
    """Ask a person, and wait for the answer.

    Args:
        question: The question, with all that the person needs to know to answer it.
        choices: The possible answers; null for a free answer.
    """
    run = current_run()
    if run is None:
        return _APPROVED
    assert context.agent
    key = f"{run.journal.tool_call_key(context.agent.name, context.tool_call_id)}/question"
    asked = json.dumps({"question": question, "choices": choices}, ensure_ascii=False)
    request = ApprovalRequest(key=key, agent=context.agent.name, name=ask_person.name, arguments=asked, kind="question")
    return _answer(await run.decision(request), choices)


def _answer(decision: Decision, choices: list[str] | None) -> str:
    answer = (decision.reason or "").strip()
    if not decision.approve:
        return f"{_REFUSED} {answer}".strip()
    if not answer:
        return _APPROVED
    return _OTHER.format(answer=answer) if choices and answer not in choices else answer
