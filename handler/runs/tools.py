"""The tools of an agent, as a run sees them called; and the functions that the client declared."""

import inspect
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from agency_swarm import Agent
from agents import (
    FunctionTool,
    FunctionToolResult,
    GuardrailFunctionOutput,
    OutputGuardrail,
    RunContextWrapper,
    Tool,
    ToolsToFinalOutputResult,
)
from agents.run_internal.turn_resolution import check_for_final_output_from_tools

import idempotency
from handler.client_tools import ClientTool
from handler.runs.seam import Seam, current_seam

_NO_MORE = "This tool was not called: the response's max_tool_calls is used up."


def watch(agent: Agent) -> None:
    """Have every call of the agent's tools go through the run that makes it. Nothing of a run stays with the agent."""
    agent.get_all_tools = partial(_all_tools, agent)
    if not _is(agent.tool_use_behavior, _after_tools):
        agent.tool_use_behavior = partial(_after_tools, agent.tool_use_behavior)
    agent.output_guardrails = [
        each if _is(each.guardrail_function, _unless_handed_over) else _last_words_only(each)
        for each in agent.output_guardrails
    ]


async def _all_tools(agent: Agent, context: RunContextWrapper[Any]) -> list[Tool]:
    tools: list[Tool] = await type(agent).get_all_tools(agent, context)
    seam = current_seam()
    if seam is None:
        return tools
    return [*(_watched(tool, agent.name, seam) for tool in tools), *seam.functions(agent.name)]


def _watched(tool: Tool, agent: str, seam: Seam) -> Tool:
    if not isinstance(tool, FunctionTool):
        return tool

    async def invoke(context: Any, arguments: str) -> Any:  # the SDK reads its signature at each call
        return await _invoke(tool, agent, seam, context, arguments)

    watched = object.__new__(type(tool))  # copy.copy() calls __init__, which a subclass may have changed
    vars(watched).update(vars(tool), on_invoke_tool=invoke)
    return watched


async def _invoke(tool: FunctionTool, agent: str, seam: Seam, context: Any, arguments: str) -> Any:
    if not seam.meter.begin_tool_call():
        return _NO_MORE
    async with seam.tool_call(agent, tool, arguments, getattr(context, "tool_call_id", "")) as call:
        if call.finished:
            return call.output
        token = idempotency.current.set(f"{seam.response}/{call.call}")
        try:
            output = await tool.on_invoke_tool(context, arguments)
        finally:
            idempotency.current.reset(token)
        return await call.keep(output)


async def _after_tools(
    own: Any, context: RunContextWrapper[Any], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """A function of the client's ends the run; else what the agent itself says holds."""
    seam = current_seam()
    if seam is not None and any(isinstance(result.tool, ClientTool) for result in results):
        seam.handed_over = True
        return ToolsToFinalOutputResult(is_final_output=True, final_output="")
    behavior: Any = SimpleNamespace(tool_use_behavior=own)
    return await check_for_final_output_from_tools(behavior, results, context)


def _last_words_only(guardrail: OutputGuardrail[Any]) -> OutputGuardrail[Any]:
    check = partial(_unless_handed_over, guardrail.guardrail_function)
    return replace(guardrail, guardrail_function=check, name=guardrail.get_name())


async def _unless_handed_over(check: Any, context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
    """A run that hands over to the client has no last words to check."""
    seam = current_seam()
    if seam is not None and seam.handed_over:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)
    checked = check(context, agent, output)
    result: GuardrailFunctionOutput = await checked if inspect.isawaitable(checked) else checked
    return result


def _is(function: Any, wrapper: Any) -> bool:
    return isinstance(function, partial) and function.func is wrapper
