"""Delivers a message in the process of its child run, by the framework's own tool."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agents import InputGuardrailTripwireTriggered
from agents.tool_context import ToolContext
from pydantic_core import to_jsonable_python

from agency_lambda.errors import AgencyMisconfigured
from agency_lambda.framework.interruptions import contain_exits
from agency_lambda.protocol.messages import Message
from agency_lambda.protocol.surrogates import replace_surrogates
from agency_lambda.protocol.types import Item

if TYPE_CHECKING:
    from agency_swarm import Agency, Agent
    from agency_swarm.tools.send_message import SendMessage


async def deliver(agency: "Agency", message: Message) -> tuple[str, Exception | None]:
    """Return what the sender's model gets, and why the recipient has failed, if it has.

    Raises:
        AgencyMisconfigured: the agency has changed since the message was sent.
    """
    from agency_swarm.agent.execution_helpers import prepare_master_context

    tool, sender = _find_tool(agency, message), agency.agents[message.sender]
    context: ToolContext[Any] = ToolContext(
        context=prepare_master_context(sender, None, agency.get_agent_context(message.sender)),
        tool_name=message.tool,
        tool_call_id=message.call_id,
        tool_arguments=message.arguments,
        agent=sender,
    )
    with _failures(tool.recipients[message.recipient.lower()]) as failures, contain_exits():
        output = await tool.on_invoke_tool(context, message.arguments)
    return output, failures[0] if failures else None


def plain_items(items: Sequence[Any]) -> list[Item]:
    """Return items of an agency's memory as JSON values, which a store can take."""
    return list(replace_surrogates(to_jsonable_python(items, fallback=str)))


def _find_tool(agency: "Agency", message: Message) -> "SendMessage":
    state = agency._agent_runtime_state.get(message.sender)
    for tool in state.send_message_tools.values() if state else ():
        if tool.name == message.tool and message.recipient.lower() in tool.recipients:
            return tool
    raise AgencyMisconfigured(f"{message.sender} cannot send messages to {message.recipient} any more.")


@contextmanager
def _failures(recipient: "Agent") -> Iterator[list[Exception]]:
    # The tool turns every exception into a text.
    failures: list[Exception] = []
    get_response = recipient.get_response

    async def noting(*args: Any, **named: Any) -> Any:
        vars(recipient).pop("get_response")  # the agent may be asked again within the message
        try:
            return await get_response(*args, **named)
        except InputGuardrailTripwireTriggered:
            raise
        except Exception as error:
            failures.append(error)
            raise

    vars(recipient)["get_response"] = noting
    try:
        yield failures
    finally:
        vars(recipient).pop("get_response", None)
