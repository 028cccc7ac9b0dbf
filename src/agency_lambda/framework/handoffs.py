"""Handoffs whose input the model got wrong: the agent that called is told so and goes on, as with any other tool."""

from typing import Any

from agents import HandoffOutputItem, ItemHelpers, ModelBehaviorError, ToolCallOutputItem
from agents.run_internal.run_steps import NextStepRunAgain, SingleStepResult

_UNUSABLE = "Error: The handoff was not made: {fault}"


async def execute(execute_handoffs: Any, step: dict[str, Any]) -> SingleStepResult:
    """Make a handoff, or return a step that tells the agent why its input does not fit the handoff's `input_type`.

    step: the keyword arguments of `execute_handoffs` of openai-agents 0.18.1, which would end the run.
    """
    try:
        return await execute_handoffs(**step)  # type: ignore[no-any-return]
    except ModelBehaviorError as error:
        if any(isinstance(item, HandoffOutputItem) for item in step["new_step_items"]):
            raise  # it was made, and something behind it failed
        return _refused(step, _UNUSABLE.format(fault=error.message))


def _refused(step: dict[str, Any], output: str) -> SingleStepResult:
    call = step["run_handoffs"][0].tool_call
    raw_item = ItemHelpers.tool_call_output_item(call, output)
    told = ToolCallOutputItem(output=output, raw_item=raw_item, agent=step["public_agent"])
    return SingleStepResult(
        original_input=step["original_input"],
        model_response=step["new_response"],
        pre_step_items=step["pre_step_items"],
        new_step_items=[*step["new_step_items"], told],
        next_step=NextStepRunAgain(),
        tool_input_guardrail_results=list(step.get("tool_input_guardrail_results") or []),
        tool_output_guardrail_results=list(step.get("tool_output_guardrail_results") or []),
    )
