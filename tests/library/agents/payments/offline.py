"""What the agents do without a model: what the message says, step by step.

"pay ann & pay bob; Colleague: Auditor: pay eve; Partner! pay dan": `;` divides steps, `&` the calls of a step, `:`
stands behind a colleague who is asked to do the rest, `!` behind one who gets the conversation.
"""

from collections.abc import Callable, Sequence
from typing import Any

type Calls = list[tuple[str, dict[str, Any]]]


def next_step(agent: str, message: str, outputs: Sequence[str]) -> str | Calls:
    """Return the calls that follow after so many outputs, or what the agent says in the end."""
    partner, marked, rest = message.partition("! ")
    if marked and agent == "Entry":
        return [(f"transfer_to_{partner}", {"recipient_agent": partner})]
    done = 0
    for step in (rest if marked else message).split("; "):
        calls = [_call(action) for action in step.split(" & ")]
        if not all(calls):
            break
        if len(outputs) < (done := done + len(calls)):
            return [call for call in calls if call]
    return f"{agent}: {' | '.join(outputs) or message}"


def _call(action: str) -> tuple[str, dict[str, Any]] | None:
    colleague, asks, message = action.partition(": ")
    if asks:
        return "send_message", {"recipient_agent": colleague, "message": message, "additional_instructions": ""}
    verb, _, what = action.partition(" ")
    return {"pay": ("pay", {"to": what, "amount": 1}), "look": ("look", {"at": what})}.get(verb)


def _agent(name: str) -> Callable[[Any], str | Calls]:
    def answer(turn: Any) -> str | Calls:
        outputs = [call.output for call in turn.calls if not call.tool.startswith("transfer_to_")]
        return next_step(name, turn.message, outputs)

    return answer


SCRIPT = {name: _agent(name) for name in ("Entry", "Colleague", "Auditor", "Partner")}
