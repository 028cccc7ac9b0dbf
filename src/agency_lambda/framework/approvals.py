"""Asks a person where the SDK asks for approval, and gives the SDK the decision."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from agents import FunctionTool, FunctionToolResult, MCPToolApprovalRequest, RunContextWrapper, ToolApprovalItem
from agents import run as sdk_run
from agents.run_internal import guardrails, run_loop, tool_actions, tool_execution, tool_planning
from pydantic_core import to_jsonable_python

from agency_lambda.framework.context import RunContext, current_run
from agency_lambda.framework.interruptions import contain_exits
from agency_lambda.framework.isolation import copy_tool
from agency_lambda.protocol.approvals import ApprovalRequest, Decision

_LABELS = frozenset({"id", "type", "call_id", "name", "status", "server_label", "namespace", "created_by"})
"""Fields of a call that are not its arguments."""


def install() -> None:
    executor: Any = tool_execution._FunctionToolBatchExecutor
    for holder, name in (
        (sdk_run, "run_single_turn"),
        (run_loop, "run_single_turn_streamed"),
        (guardrails, "run_single_input_guardrail"),
    ):
        setattr(holder, name, _as_open_call(getattr(holder, name)))
    executor._run_single_tool = _as_open_call(executor._run_single_tool)
    executor._execute_single_tool_body = _with_given_arguments(executor._execute_single_tool_body)
    executor._maybe_execute_tool_approval = _asking(executor._maybe_execute_tool_approval)
    vars(tool_actions)["resolve_approval_status"] = _resolving(tool_execution.resolve_approval_status)
    tool_planning._collect_mcp_approval_plan = _answering_servers(tool_planning._collect_mcp_approval_plan)


def _as_open_call(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(function)
    async def called(*args: Any, **named: Any) -> Any:
        run = current_run()
        if run is None:
            return await function(*args, **named)
        with run.calls.call():
            return await function(*args, **named)

    return called


def _with_given_arguments(execute: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    # For guardrails and hooks. `tools` calls the tool with them; the model's own call stays in its memory.
    @wraps(execute)
    async def called(executor: Any, *, tool_context: Any, **call: Any) -> Any:
        run = current_run()
        given = run and run.given_arguments(executor.public_agent.name, tool_context.tool_call_id)
        if given is not None:
            tool_context.tool_arguments = given
        return await execute(executor, tool_context=tool_context, **call)

    return called


def _asking(maybe_approve: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(maybe_approve)
    async def called(executor: Any, *, func_tool: FunctionTool, tool_call: Any, **step: Any) -> Any:
        run, agent = current_run(), executor.public_agent.name
        was_asked = run is not None and run.was_asked(agent, tool_call.call_id)
        if run is None or (func_tool.needs_approval is False and not was_asked):
            return await maybe_approve(executor, func_tool=func_tool, tool_call=tool_call, **step)
        if not was_asked:
            with contain_exits():  # `needs_approval` may be code of the agency's
                result = await maybe_approve(executor, func_tool=func_tool, tool_call=tool_call, **step)
            if not _is_asked(result):
                return result
        # Who is asked decides, whatever a function of the arguments or a new version of the tool says by now.
        decision = await _decision(run, agent, func_tool, tool_call)
        step |= {"func_tool": always_asking(func_tool), "tool_call": tool_call}
        asked = await maybe_approve(executor, **step)
        if _is_asked(asked):
            _decide(decision, executor.context_wrapper, asked.run_item)
            asked = await maybe_approve(executor, **step)
        return replace(asked, tool=func_tool) if asked else None

    return called


def _is_asked(result: Any) -> bool:
    return isinstance(result, FunctionToolResult) and isinstance(result.run_item, ToolApprovalItem)


def always_asking[T: Any](tool: T) -> T:
    asking = copy_tool(tool)
    asking.needs_approval = True
    return asking


async def _decision(run: RunContext, agent: str, tool: FunctionTool, call: Any) -> Decision:
    if not await run.is_to_be_made(agent, call.call_id):
        return Decision(approve=True)  # the call returns what is stored, or that it is one too many
    key = run.journal.tool_call_key(agent, call.call_id)
    schema = tool.params_json_schema
    return await run.decision(
        ApprovalRequest(key=key, agent=agent, name=tool.name, arguments=call.arguments, schema=schema)
    )


def _decide(decision: Decision, context: RunContextWrapper[Any], item: ToolApprovalItem) -> None:
    if decision.approve:
        context.approve_tool(item)
    else:
        context.reject_tool(item, rejection_message=decision.reason)


def _resolving(resolve: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    # Of custom, shell and apply_patch tools. `on_approval` of the agency's own is asked first.
    @wraps(resolve)
    async def called(*, agent: Any, call_id: str, tool_name: str, raw_item: Any, **call: Any) -> Any:
        arguments = {"agent": agent, "call_id": call_id, "tool_name": tool_name, "raw_item": raw_item, **call}
        status, item = await resolve(**arguments)
        run = current_run()
        if run is None or status is not None:
            return status, item
        key = run.journal.tool_call_key(agent.name, call_id)
        request = ApprovalRequest(key=key, agent=agent.name, name=tool_name, arguments=_arguments(raw_item))
        _decide(await run.decision(request), call["context_wrapper"], item)
        return await resolve(**arguments)

    return called


def _arguments(call: Any) -> str:
    fields = to_jsonable_python(call)
    return json.dumps({name: value for name, value in fields.items() if name not in _LABELS and value is not None})


def _answering_servers(collect: Callable[..., Any]) -> Callable[..., Any]:
    # Requests of MCP servers at the provider, for which the agency has no `on_approval_request`.
    @wraps(collect)
    def called(*, processed_response: Any, agent: Any, **plan: Any) -> Any:
        if (run := current_run()) is not None:
            requests = processed_response.mcp_approval_requests
            processed_response.mcp_approval_requests = [_with_callback(run, agent.name, each) for each in requests]
        return collect(processed_response=processed_response, agent=agent, **plan)

    return called


def _with_callback(run: RunContext, agent: str, request: Any) -> Any:
    if request.mcp_tool.on_approval_request:
        return request

    async def ask(asked: MCPToolApprovalRequest) -> Any:
        item = asked.data
        key = run.journal.tool_call_key(agent, item.id)
        approval = ApprovalRequest(key=key, agent=agent, name=item.name, arguments=item.arguments)
        decision = await run.decision(approval)
        return {"approve": decision.approve, "reason": decision.reason}

    return replace(request, mcp_tool=replace(request.mcp_tool, on_approval_request=ask))
