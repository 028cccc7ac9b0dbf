"""What does not fit together is refused before anything is kept or asked."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agency_lambda.errors import InvalidRequest
from agency_lambda.history import is_empty
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.protocol.types import Item

if TYPE_CHECKING:
    from agency_swarm import Agency
    from openai.types.responses import FunctionTool


def refuse_clashes(agency: "Agency", entry: str, request: CreateResponse) -> None:
    """What the client declares must not stand in for what is the agent's own.

    Raises:
        InvalidRequest: names the parameter.
    """
    wanted = request.text.format.type if request.text and request.text.format else "text"
    if wanted != "text" and agency.agents[entry].output_type not in (None, str):
        raise InvalidRequest(f"{entry} has an output type of its own.", param="text.format")
    state = agency._agent_runtime_state.get(entry)
    own = {tool.name for tool in agency.agents[entry].tools}
    own |= {tool.name for tool in state.send_message_tools.values()} if state else set()
    for number, tool in enumerate(request.function_tools):
        if tool.name in own:
            raise InvalidRequest(f"There is a tool {tool.name!r} already: rename yours.", param=f"tools[{number}].name")
        own.add(tool.name)
        _refuse_schema(tool, f"tools[{number}].parameters")


def _refuse_schema(tool: "FunctionTool", param: str) -> None:
    """The SDK makes a strict schema stricter still, and fails in its own ways where that cannot be."""
    from agency_lambda.framework.client_tools import ClientTool

    try:
        ClientTool(tool)
    except Exception as error:
        raise InvalidRequest("This schema cannot be strict: send 'strict': false.", param=param) from error


def refuse_empty(added: Sequence[Item]) -> None:
    """Refuse input that adds nothing for the agents: blank messages, reasoning, calls that were cut off.

    added: the input as the agents take it.

    Raises:
        InvalidRequest: names `input`.
    """
    if is_empty(added):
        raise InvalidRequest("'input' must not be empty: nothing of it is for the agents.", param="input")


def refuse_loose_ends(history: Sequence[Item], given: Sequence[Item], added: Sequence[Item]) -> None:
    """Refuse calls of the client's functions without an output, outputs without a call, and second outputs.

    A server may have given several calls the same id: then each of them may have an output.

    given: the input as the client sent it. added: the same as the agents take it.

    Raises:
        InvalidRequest: names the parameter and the call.
    """
    told = [item for item in [*history, *added] if item.get("callerAgent") is None]
    calls = Counter(item["call_id"] for item in told if item.get("type") == "function_call")
    outputs = Counter(item["call_id"] for item in told if item.get("type") == "function_call_output")
    for number, item in enumerate(given):
        if item["type"] == "function_call_output" and outputs[item["call_id"]] > calls[item["call_id"]]:
            said = f"No function call with call_id {item['call_id']!r} was found for this output."
            if item["call_id"] in calls:
                said = f"The function call with call_id {item['call_id']!r} has more than one output."
            raise InvalidRequest(said, param=f"input[{number}].call_id")
    if missing := sorted(calls.keys() - outputs.keys()):
        raise InvalidRequest(f"No output was sent for the function call {missing[0]!r}.", param="input")
