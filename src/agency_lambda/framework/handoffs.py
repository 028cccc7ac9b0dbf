"""Returns an error to the model for malformed handoff input."""

from typing import Any

from agents import HandoffOutputItem, ItemHelpers, ModelBehaviorError, ToolCallOutputItem
from agents.run_internal.run_steps import NextStepRunAgain, SingleStepResult

_UNUSABLE = "Error: The handoff was not made: {fault}"


async def execute(execute_handoffs: Any, step: dict[str, Any]) -> SingleStepResult:
    """Execute a handoff, or return an error to the model. step: arguments of the SDK's function."""
    try:
        return await execute_handoffs(**step)  # type: ignore[no-any-return]
    except ModelBehaviorError as error:
        if any(isinstance(item, HandoffOutputItem) for item in step["new_step_items"]):
            raise  # it was made, and something behind it failed
        return _step_with_error(step, _UNUSABLE.format(fault=error.message))


def _step_with_error(step: dict[str, Any], output: str) -> SingleStepResult:
    call = step["run_handoffs"][0].tool_call
    raw_item = ItemHelpers.tool_call_output_item(call, output)
    error = ToolCallOutputItem(output=output, raw_item=raw_item, agent=step["public_agent"])
    return SingleStepResult(
        original_input=step["original_input"],
        model_response=step["new_response"],
        pre_step_items=step["pre_step_items"],
        new_step_items=[*step["new_step_items"], error],
        next_step=NextStepRunAgain(),
        tool_input_guardrail_results=list(step.get("tool_input_guardrail_results") or []),
        tool_output_guardrail_results=list(step.get("tool_output_guardrail_results") or []),
    )
