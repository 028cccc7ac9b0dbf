"""What an agent does next when there is no model to ask: its own script, or the generic behaviour."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from handler.offline.example import example
from handler.offline.turn import Turn

type Plan = str | list[tuple[str, dict[str, Any]]]
"""A final text, or the tool calls to make now: (tool name, arguments)."""

type Script = Callable[[Turn], Plan]

MARK = "[offline model]"
_MOST_CALLS = 50  # of one script for one message: a script that waits for what never comes must end
_FARTHEST = 3  # colleagues asking colleagues: in a large agency where everyone knows everyone it would take for ever
_LONGEST = 400  # characters of one tool's output in the generic answer
_ASKED_BY = re.compile(r"\n\[asked by (.+)\]\Z")


def decide(
    agent: str,
    turn: Turn,
    script: Script | None = None,
    *,
    output_schema: Mapping[str, Any] | None = None,
    unused: tuple[str, ...] = (),
) -> Plan:
    """One step of one agent. The same arguments always give the same plan.

    output_schema: the final text must be JSON of this schema.
    unused: what the offline model cannot call (hosted tools, handoffs); a generic answer mentions them.
    A script's text is kept as written; only where it nowhere says "offline model" the mark is put before it.

    Raises:
        RuntimeError: the script calls tools without end.
        TypeError: the script returned neither a text nor tool calls.
    """
    if script is not None:
        plan = _checked(agent, script(turn), len(turn.calls))
        if not isinstance(plan, str) and turn.tools:
            return plan
        if isinstance(plan, str):
            return plan if output_schema or "offline model" in plan.lower() else f"{MARK} {plan}"
    for tool, arguments in _possible_calls(agent, turn):
        if not _made(turn, tool, arguments.get("recipient_agent")):
            return [(tool, arguments)]
    return _structured(turn, output_schema) if output_schema else _report(agent, turn, unused)


def _checked(agent: str, plan: Any, made: int) -> Plan:
    if isinstance(plan, str):
        return plan
    if not isinstance(plan, list) or not plan:
        raise TypeError(
            f"the offline script of {agent} must return a text or a list of (tool, arguments), not {plan!r}"
        )
    if made + len(plan) > _MOST_CALLS:
        raise RuntimeError(f"the offline script of {agent} wants more than {_MOST_CALLS} tool calls for one message")
    return plan


def _possible_calls(agent: str, turn: Turn) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every tool once, every colleague once."""
    text, asked_by = _without_trail(turn.message)
    for tool, schema in turn.tools.items():
        recipients = schema.get("properties", {}).get("recipient_agent", {}).get("enum")
        if recipients is None:
            yield tool, example(schema, text)
        elif len(asked_by) < _FARTHEST:
            message = f"{text}\n[asked by {' > '.join([*asked_by, agent])}]"
            for name in (name for name in recipients if name not in asked_by):
                told = {"recipient_agent": name, "message": message, "additional_instructions": ""}
                known = {key: value for key, value in told.items() if key in schema["properties"]}
                yield tool, example(schema, text) | known


def _without_trail(message: str) -> tuple[str, list[str]]:
    """The trail of who asked whom travels in the message itself: nothing else reaches the colleague."""
    trail = _ASKED_BY.search(message)
    text = message[: trail.start()] if trail else message
    return text or "(no text)", trail[1].split(" > ") if trail else []


def _made(turn: Turn, tool: str, recipient: str | None) -> bool:
    return any(call.tool == tool and call.arguments.get("recipient_agent") == recipient for call in turn.calls)


def _report(agent: str, turn: Turn, unused: tuple[str, ...]) -> str:
    lines = [f"{MARK} {agent} was asked: {_clipped(_without_trail(turn.message)[0])}"]
    for call in turn.calls:
        lines.append(f"{call.arguments.get('recipient_agent', call.tool)} answered: {_clipped(call.output)}")
    if unused:
        lines.append(f"Not called offline: {', '.join(unused)}.")
    return "\n".join(lines)


def _structured(turn: Turn, schema: Mapping[str, Any]) -> str:
    return json.dumps(example({**schema}, f"{MARK} {_without_trail(turn.message)[0]}"), ensure_ascii=False)


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
