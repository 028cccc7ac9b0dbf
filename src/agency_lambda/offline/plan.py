from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agency_lambda.offline.generic import (
    MARK,
    PlannedCall,
    answer_line,
    client_call,
    possible_calls,
    report,
    structured,
)
from agency_lambda.offline.turn import Turn

type Plan = str | list[PlannedCall]
"""A final text, or the tool calls to make now: (tool name, arguments)."""

type Script = Callable[[Turn], Plan]

_MOST_CALLS = 50  # of one script for one message: a script that waits for what never comes must end


def decide(
    agent: str,
    turn: Turn,
    script: Script | None = None,
    *,
    output_schema: Mapping[str, Any] | None = None,
    unused: tuple[str, ...] = (),
    tool_choice: str | None = None,
    parallel: bool = True,
) -> Plan:
    """Return an agent's next step. Equal arguments give equal plans.

    The client's functions come first, each once a message; their outputs end the final text.
    output_schema: JSON schema of the final text. unused: tools that cannot be called offline, named in the report.
    tool_choice: as in the API, once a message. parallel: whether to call all the client's functions at once.

    Raises:
        RuntimeError: the script calls tools without end.
        TypeError: the script returned neither text nor calls.
    """
    if tool_choice == "none":
        turn = replace(turn, tools={}, client_tools={})
    if calls := _client_calls(turn, tool_choice):
        return calls if parallel else calls[:1]
    plan = _own_plan(agent, turn, script, output_schema, unused)
    if demanded := _demanded(agent, turn, plan, tool_choice):
        return demanded
    if isinstance(plan, list) or output_schema or not turn.client_calls:
        return plan
    return "\n".join([f"{plan}\n", *(answer_line(call.tool, call.output) for call in turn.client_calls)])


def _client_calls(turn: Turn, choice: str | None) -> list[PlannedCall]:
    made = _made(turn)
    if choice in turn.tools and choice not in made:
        return []  # they wait for the agent's own tool
    if choice in turn.client_tools and choice not in made:
        return [client_call(turn, choice)]
    return [client_call(turn, tool) for tool in turn.client_tools if tool not in made]


def _own_plan(
    agent: str, turn: Turn, script: Script | None, output_schema: Mapping[str, Any] | None, unused: tuple[str, ...]
) -> Plan:
    if script is not None:
        plan = _checked(agent, script(turn), len(turn.calls))
        if not isinstance(plan, str) and turn.tools:
            return plan
        if isinstance(plan, str):
            return plan if output_schema or "offline model" in plan.lower() else f"{MARK} {plan}"
    made = [(call.tool, call.arguments.get("recipient_agent")) for call in turn.calls]
    for tool, arguments in possible_calls(agent, turn):
        if (tool, arguments.get("recipient_agent")) not in made:
            return [(tool, arguments)]
    return structured(turn, output_schema) if output_schema else report(agent, turn, unused)


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


def _demanded(agent: str, turn: Turn, plan: Plan, choice: str | None) -> list[PlannedCall]:
    # Unless it was made already or is in the plan.
    called = _made(turn) | (set() if isinstance(plan, str) else {tool for tool, _ in plan})
    if choice in called or (choice == "required" and called):
        return []
    call = next((call for call in possible_calls(agent, turn) if choice in ("required", call[0])), None)
    return [call] if call else []


def _made(turn: Turn) -> set[str]:
    return {call.tool for call in [*turn.calls, *turn.client_calls]}
