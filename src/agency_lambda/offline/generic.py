"""The behaviour of an agent without a script: call every tool, then report the outputs."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agency_lambda.offline.example import example
from agency_lambda.offline.turn import Turn

type PlannedCall = tuple[str, dict[str, Any]]
"""(tool name, arguments)"""

MARK = "[offline model]"
_FARTHEST = 3  # colleagues asking colleagues: in a large agency where everyone knows everyone it would take for ever
_LONGEST = 400  # characters of one tool's output in the generic answer
_ASKED_BY = re.compile(r"\n\[asked by (.+)\]\Z")
# What example() may stumble over in a schema that nobody has checked.
_BROKEN_SCHEMA = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, re.PatternError)


def possible_calls(agent: str, turn: Turn) -> Iterator[PlannedCall]:
    """Yield a call of every tool and every colleague."""
    text, asked_by = _without_trail(turn.message)
    for tool, schema in turn.tools.items():
        recipients = schema.get("properties", {}).get("recipient_agent", {}).get("enum")
        if recipients is None:
            yield tool, example(schema, text)
        elif len(asked_by) < _FARTHEST:
            message = f"{text}\n[asked by {' > '.join([*asked_by, agent])}]"
            for name in (name for name in recipients if name not in asked_by):
                call = {"recipient_agent": name, "message": message, "additional_instructions": ""}
                known = {key: value for key, value in call.items() if key in schema["properties"]}
                yield tool, example(schema, text) | known


def client_call(turn: Turn, tool: str) -> PlannedCall:
    # A schema that cannot be used gets no arguments.
    try:
        arguments = example(turn.client_tools[tool], _without_trail(turn.message)[0], trusted=False)
    except _BROKEN_SCHEMA:
        arguments = {}
    return tool, arguments if isinstance(arguments, dict) else {}


def report(agent: str, turn: Turn, unused: tuple[str, ...]) -> str:
    lines = [f"{MARK} {agent} was asked: {_question(turn)}"]
    lines += [answer_line(call.arguments.get("recipient_agent", call.tool), call.output) for call in turn.calls]
    if unused:
        lines.append(f"Not called offline: {', '.join(unused)}.")
    return "\n".join(lines)


def structured(turn: Turn, schema: Mapping[str, Any], *, trusted: bool = True) -> str:
    """Return JSON of a schema; {} for a stranger's invalid one."""
    text = f"{MARK} {_without_trail(turn.message)[0]}"
    try:
        return json.dumps(example({**schema}, text, trusted=trusted), ensure_ascii=False)
    except _BROKEN_SCHEMA:
        if trusted:
            raise
        return "{}"


def thought(agent: str, turn: Turn, calls: Iterable[PlannedCall]) -> str:
    """Return the summary of a reasoning item."""
    tools = ", ".join(dict.fromkeys(tool for tool, _ in calls))
    following = f"calls {tools}" if tools else "answers"
    return f"{MARK} {agent} has no model to reason with.\nIt was asked: {_question(turn)}\nNext: {following}."


def answer_line(name: str, output: str) -> str:
    return f"{name} answered: {_clipped(output) or '(no text)'}"


def _without_trail(message: str) -> tuple[str, list[str]]:
    # Who asked whom is in the message itself: nothing else reaches the colleague.
    trail = _ASKED_BY.search(message)
    text = message[: trail.start()] if trail else message
    return text or "(no text)", trail[1].split(" > ") if trail else []


def _question(turn: Turn) -> str:
    text = _clipped(_without_trail(turn.message)[0])
    return f"{text} (with {turn.attached})" if turn.attached else text


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
