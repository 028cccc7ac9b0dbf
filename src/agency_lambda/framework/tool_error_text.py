"""Tells a model the text of an error that a tool raised, with every version of the SDK.

openai-agents 0.24 tells a model only that there was an error, so that it cannot correct what it asked for. A tool that
must not tell its errors has a `failure_error_function` of its own.
"""

from functools import partial
from typing import Any

from agency_swarm.tools import mcp_converter
from agency_swarm.tools.tool_factory_utils import base_tool_adapter
from agents import tool as sdk_tool
from agents.run_internal import tool_execution

_FAILURE_TEXT = "maybe_invoke_function_tool_failure_error_function"


def install() -> None:
    """Have the SDK and the framework tell the text, where the SDK's own sentence has none."""
    context: Any = None
    generic = sdk_tool.default_tool_error_function(context, ValueError("text"))
    if generic.endswith("text"):
        return
    for module in (base_tool_adapter, mcp_converter):
        vars(module)["default_tool_error_function"] = partial(_error_text, generic)
    sdk_function = getattr(sdk_tool, _FAILURE_TEXT)
    for module in (sdk_tool, tool_execution):
        vars(module)[_FAILURE_TEXT] = partial(_failure_text, sdk_function, generic)


def _error_text(generic: str, context: Any, error: BaseException) -> str:
    """Return what openai-agents 0.18 says. generic: the sentence of the newer SDK, the same one without the error."""
    return f"{generic} Error: {error}"


async def _failure_text(sdk_function: Any, generic: str, *, context: Any, error: BaseException, **call: Any) -> Any:
    text = await sdk_function(context=context, error=error, **call)
    return _error_text(generic, context, error) if text == generic else text
