"""Journals calls of tools that are no functions."""

import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from agents import ToolCallOutputItem
from agents.run_internal import tool_actions
from pydantic_core import to_jsonable_python

from agency_lambda.framework.approvals import always_asking
from agency_lambda.framework.context import current_run
from agency_lambda.framework.interruptions import contain_exits

ACTIONS = ("CustomToolAction", "LocalShellAction", "ShellAction", "ApplyPatchAction", "ComputerAction")


def install() -> None:
    for name in ACTIONS:
        action = getattr(tool_actions, name)
        action.execute = _with_journal(action.execute)


def _with_journal(execute: Callable[..., Any]) -> Callable[..., Any]:
    # `execute` is bound to its class; it takes the agent, and the call as `call` or `action`.
    async def execute_once(*, agent: Any, **arguments: Any) -> Any:
        run = current_run()
        if run is None:
            return await execute(agent=agent, **arguments)
        call = run.journal.tool_call_key(agent.name, _field(arguments, "call_id"))
        finished, output = run.journal.find_tool_output(call)
        if not finished:
            await run.authorize()
            started_at = time.time()
            if run.journal.was_asked(call):
                arguments = _with_asking_tools(arguments)
            with contain_exits(), run.calls.call():
                item = await execute(agent=agent, **arguments)
            run.calls.check()
            made = {"raw_item": to_jsonable_python(item.raw_item), "output": str(item.output)}
            output = await run.journal.save_tool_output(call, made, _tool(arguments), started_at)
            if output is made:
                return item
        return ToolCallOutputItem(agent=agent, raw_item=output["raw_item"], output=output["output"])

    return execute_once


def _with_asking_tools(arguments: dict[str, Any]) -> dict[str, Any]:
    # A decision holds for its call, whatever a function of the arguments returns by now.
    if (call := arguments.get("call")) is None:
        return arguments
    names = [each.name for each in fields(call) if each.name.endswith("_tool")]
    tools = {name: always_asking(getattr(call, name)) for name in names}
    return {**arguments, "call": replace(call, **tools)}


def _tool(arguments: dict[str, Any]) -> str:
    return _field(arguments, "name") or _field(arguments, "type").removesuffix("_call")


def _field(arguments: dict[str, Any], name: str) -> str:
    call = (arguments.get("call") or arguments["action"]).tool_call
    return str((call.get(name) if isinstance(call, dict) else getattr(call, name, None)) or "")
