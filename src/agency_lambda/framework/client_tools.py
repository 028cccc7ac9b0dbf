"""A client's own functions, which it calls itself: they end a run, and the next request has their outputs."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from agents import FunctionTool
from agents.tool_context import ToolContext
from openai.types.responses import FunctionTool as DeclaredTool

from agency_lambda.errors import InvalidRequest
from agency_lambda.protocol.request import CreateResponse

if TYPE_CHECKING:
    from agency_swarm import Agency

OUTPUT_PENDING = "The client runs this function; its output comes with the next request."


class ClientTool(FunctionTool):
    """A client's function as a tool. A call of it ends the run."""

    def __init__(self, declared: DeclaredTool) -> None:
        super().__init__(
            name=declared.name,
            description=declared.description or "",
            params_json_schema=deepcopy(declared.parameters or {}) or {"type": "object", "properties": {}},
            on_invoke_tool=_return_placeholder,
            strict_json_schema=bool(declared.strict),
        )


async def _return_placeholder(context: ToolContext[Any], arguments: str) -> str:
    return OUTPUT_PENDING


def refuse_clashes(agency: "Agency", agent: str, request: CreateResponse) -> None:
    """Raise InvalidRequest if the request clashes with the agent's own tools or output type."""
    output_format = request.text.format.type if request.text and request.text.format else "text"
    if output_format != "text" and agency.agents[agent].output_type not in (None, str):
        raise InvalidRequest(f"{agent} has an output type of its own.", param="text.format")
    state = agency._agent_runtime_state.get(agent)
    names = {tool.name for tool in agency.agents[agent].tools}
    names |= {tool.name for tool in state.send_message_tools.values()} if state else set()
    for number, tool in enumerate(request.function_tools):
        if tool.name in names:
            raise InvalidRequest(f"There is a tool {tool.name!r} already: rename yours.", param=f"tools[{number}].name")
        names.add(tool.name)
        _refuse_schema(tool, f"tools[{number}].parameters")


def _refuse_schema(tool: DeclaredTool, param: str) -> None:
    # The SDK raises exceptions of several kinds for a schema that it cannot make strict.
    try:
        ClientTool(tool)
    except Exception as error:
        raise InvalidRequest("This schema cannot be strict: send 'strict': false.", param=param) from error
