"""Sends tool calls of a run through its journal, and adds the client's functions.

The SDK's functions are replaced because runs may share agents and tools. Outside of a run they work unchanged.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from agency_swarm.tools.send_message import SendMessage
from agents import (
    FunctionTool,
    FunctionToolResult,
    GuardrailFunctionOutput,
    ModelBehaviorError,
    OutputGuardrailResult,
    RunContextWrapper,
    Tool,
    ToolsToFinalOutputResult,
)
from agents import run as sdk_run
from agents import tool as sdk_tool
from agents.run_internal import guardrails, run_loop, tool_execution, turn_preparation, turn_resolution
from agents.tool import invoke_function_tool

from agency_lambda import tool_idempotency
from agency_lambda.framework import handoffs, mailbox, mcp_servers, unsaved_items
from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.context import RunContext, current_run
from agency_lambda.framework.interruptions import ProcessExitRaised, RepeatRefused, contain_exits
from agency_lambda.framework.tool_arguments import arguments_fault, message_fault
from agency_lambda.framework.tool_call import ToolCall
from agency_lambda.framework.tool_output import to_sendable, with_arguments

_UNUSABLE = "Error: Invalid arguments for tool {tool}: {fault}. The tool was not called."
_WITH_METADATA = "_invoke_function_tool_with_metadata"
_LIMIT_REACHED = "This tool was not called: the response's max_tool_calls is used up."


class _SdkFunctions(NamedTuple):
    get_all_tools: Any
    invoke: Any
    final_output: Any
    output_guardrail: Any
    handoffs: Any
    single_step: Any


def install() -> None:
    _sdk()
    for module in (sdk_run, run_loop):  # openai-agents 0.24 has it in run_loop alone
        if hasattr(module, "get_all_tools"):
            vars(module)["get_all_tools"] = _get_all_tools
    if hasattr(tool_execution, "invoke_function_tool"):
        vars(tool_execution)["invoke_function_tool"] = _invoke_function_tool
    else:  # openai-agents 0.24
        with_metadata: Any = getattr(tool_execution, _WITH_METADATA)
        vars(tool_execution)[_WITH_METADATA] = partial(_invoke_with_metadata, with_metadata)
    turn_resolution.check_for_final_output_from_tools = _check_final_output
    guardrails.run_single_output_guardrail = _run_output_guardrail
    turn_resolution.execute_handoffs = _execute_handoffs
    run_loop.get_single_step_result_from_response = _get_single_step


@cache
def _sdk() -> _SdkFunctions:
    # Must be called once before they are replaced.
    return _SdkFunctions(
        turn_preparation.get_all_tools,
        invoke_function_tool,
        turn_resolution.check_for_final_output_from_tools,
        guardrails.run_single_output_guardrail,
        turn_resolution.execute_handoffs,
        turn_resolution.get_single_step_result_from_response,
    )


async def _get_all_tools(agent: Any, context_wrapper: RunContextWrapper[Any]) -> Sequence[Tool]:
    run = current_run()
    if run is not None:
        await mcp_servers.connect([agent])  # an agent inside a tool is not prepared with the run
    tools = await _sdk().get_all_tools(agent, context_wrapper)
    return tools if run is None else [*tools, *run.client_tools(agent)]


async def _invoke_function_tool(*, function_tool: FunctionTool, context: Any, arguments: str) -> Any:
    # An output that an earlier attempt stored is returned without a call.
    run = current_run()
    if run is None:
        return await _sdk().invoke(function_tool=function_tool, context=context, arguments=arguments)
    with unsaved_items.within_tool() as calling:
        if isinstance(function_tool, ClientTool):
            output = await _sdk().invoke(function_tool=function_tool, context=context, arguments=arguments)
        else:
            note_output = partial(calling.note_output, context.tool_call_id)
            output = await _invoke(function_tool, run, context, arguments, note_output)
    calling.note_output(context.tool_call_id, output)
    return output


async def _invoke_with_metadata(sdk_function: Any, **call: Any) -> Any:
    # openai-agents 0.24 also returns whether the SDK made the output of an error.
    if current_run() is None:
        return await sdk_function(**call)
    return SimpleNamespace(output=await _invoke_function_tool(**call), is_sdk_generated_error=False)


async def _invoke(
    tool: FunctionTool, run: RunContext, context: Any, arguments: str, note_output: Callable[[Any], None]
) -> Any:
    if not await run.allows_call(context.agent.name, context.tool_call_id):
        return _LIMIT_REACHED
    given = run.given_arguments(context.agent.name, context.tool_call_id)
    arguments = arguments if given is None else given
    async with run.tool_call(context.agent.name, tool, arguments, context.tool_call_id) as call:
        if call.finished:
            run.meter.replay_tool_call()
            await run.show_files(call.key)
            return call.output
        token = tool_idempotency.current.set(f"{run.response_id}/{call.key}")
        try:
            output = to_sendable(await _output(tool, run, context, arguments, call))
            output = output if given is None else with_arguments(output, given)
        finally:
            tool_idempotency.current.reset(token)
        run.calls.check()
        note_output(output)  # before it is stored: a parallel tool's failure may cancel this one meanwhile
        return await call.save(output)


async def _output(tool: FunctionTool, run: RunContext, context: Any, arguments: str, call: ToolCall) -> Any:
    # Malformed arguments return an error text to the model.
    # SendMessage of Agency Swarm 1.11 raises on them outside of its own `try`.
    if isinstance(tool, SendMessage) and (fault := message_fault(arguments)):
        return _UNUSABLE.format(tool=tool.name, fault=fault)
    try:
        with contain_exits():
            if isinstance(tool, SendMessage):
                return await mailbox.send(run, tool, context, arguments, call)
            if getattr(tool, "one_call_at_a_time", False):
                memory = getattr(context.context, "thread_manager", None)
                async with run.exclusive_tools.call(context.agent.name, tool.name, memory):
                    return await _sdk().invoke(function_tool=tool, context=context, arguments=arguments)
            return await _sdk().invoke(function_tool=tool, context=context, arguments=arguments)
    except RepeatRefused as refused:
        return str(refused)
    except Exception as error:
        if (fault := arguments_fault(arguments)) is not None:
            return _UNUSABLE.format(tool=tool.name, fault=fault)
        if not isinstance(error, ProcessExitRaised):
            raise
        text = await sdk_tool.maybe_invoke_function_tool_failure_error_function(
            function_tool=tool, context=context, error=error
        )
        if text is None:
            raise
        return text


async def _check_final_output(
    agent: Any, tool_results: list[FunctionToolResult], context_wrapper: RunContextWrapper[Any]
) -> ToolsToFinalOutputResult:
    # A call that the client has to answer ends the run.
    run = current_run()
    if run is not None and any(isinstance(result.tool, ClientTool) for result in tool_results):
        run.client_calls_tool = True
        return ToolsToFinalOutputResult(is_final_output=True, final_output="")
    return await _sdk().final_output(agent, tool_results, context_wrapper)  # type: ignore[no-any-return]


async def _run_output_guardrail(guardrail: Any, agent: Any, agent_output: Any, context: Any) -> OutputGuardrailResult:
    # A run that ends with a client's call has no final output to check.
    run = current_run()
    if run is not None and run.client_calls_tool:
        passed = GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)
        return OutputGuardrailResult(guardrail=guardrail, agent=agent, agent_output=agent_output, output=passed)
    return await _sdk().output_guardrail(guardrail, agent, agent_output, context)  # type: ignore[no-any-return]


async def _execute_handoffs(**step: Any) -> Any:
    execute = _sdk().handoffs
    return await (execute(**step) if current_run() is None else handoffs.execute(execute, step))


async def _get_single_step(**step: Any) -> Any:
    # An error gets the items of the unusable answer as `model_output`.
    try:
        return await _sdk().single_step(**step)
    except ModelBehaviorError as error:
        vars(error).setdefault("model_output", step["new_response"].output)
        raise
