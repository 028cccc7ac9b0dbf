"""Functions that a client declares in its request: the agent may call them, the client runs them."""

from copy import deepcopy
from typing import Any

from agents import FunctionTool
from agents.tool_context import ToolContext
from openai.types.responses import FunctionTool as DeclaredTool

HANDED_OVER = "The client runs this function; its output comes with the next request."


class ClientTool(FunctionTool):
    """A declared function as a tool of the entry agent. Calling it ends the run: control returns to the client."""

    def __init__(self, declared: DeclaredTool) -> None:
        super().__init__(
            name=declared.name,
            description=declared.description or "",
            params_json_schema=deepcopy(declared.parameters or {}) or {"type": "object", "properties": {}},
            on_invoke_tool=_hand_over,
            strict_json_schema=bool(declared.strict),
        )


async def _hand_over(context: ToolContext[Any], arguments: str) -> str:
    return HANDED_OVER
