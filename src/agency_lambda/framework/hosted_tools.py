"""Tools that are no functions (custom tools, shells, patches, computers), journaled as functions are.

`install` changes openai-agents 0.18.1: what a call of such a tool has returned is kept, so that a run that is taken up
again after a crash does nothing twice. Outside of a run the SDK does what it did.
"""

from collections.abc import Callable
from typing import Any

from agents import ToolCallOutputItem
from agents.run_internal import tool_actions
from pydantic_core import to_jsonable_python

from agency_lambda.framework.context import current_run
from agency_lambda.framework.interruptions import contain_exits

ACTIONS = ("CustomToolAction", "LocalShellAction", "ShellAction", "ApplyPatchAction", "ComputerAction")


def install() -> None:
    """Have the calls of these tools go through the run that makes them. Imports the SDK."""
    for name in ACTIONS:
        action = getattr(tool_actions, name)
        action.execute = _journaled(action.execute)


def _journaled(execute: Callable[..., Any]) -> Callable[..., Any]:
    """execute: bound to its class; takes the agent, and the call as `call` or `action`."""

    async def executed(*, agent: Any, **more: Any) -> Any:
        run = current_run()
        if run is None:
            return await execute(agent=agent, **more)
        call = run.journal.tool_call_key(agent.name, _call_id(more))
        finished, kept = run.journal.find_tool_output(call)
        if not finished:
            await run.authorize()
            with contain_exits():
                item = await execute(agent=agent, **more)
            if not isinstance(item, ToolCallOutputItem):  # it waits for an approval
                return item
            ours = {"raw_item": to_jsonable_python(item.raw_item), "output": str(item.output)}
            kept = await run.journal.save_tool_output(call, ours)
            if kept is ours:
                return item
        return ToolCallOutputItem(agent=agent, raw_item=kept["raw_item"], output=kept["output"])

    return executed


def _call_id(more: dict[str, Any]) -> str:
    call = (more.get("call") or more["action"]).tool_call
    return str(call["call_id"] if isinstance(call, dict) else call.call_id)
