"""Delivers the messages between agents: calls of `send_message`, in one process or by the queue."""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

from agency_swarm.agent.tools import _attach_one_call_guard
from agency_swarm.tools.send_message import SendMessage
from agents.tool import invoke_function_tool

from agency_lambda.framework.delivery import plain_items
from agency_lambda.framework.isolation import copy_recipient, copy_tool
from agency_lambda.framework.memory import Fork, Memory, Pair
from agency_lambda.framework.message_deadline import MessageDeadline
from agency_lambda.framework.models import AnswerIncomplete
from agency_lambda.framework.tool_call import ToolCall
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.protocol.messages import Message, failure_text, late_reason
from agency_lambda.protocol.types import Item

if TYPE_CHECKING:
    from agents.tool_context import ToolContext

    from agency_lambda.framework.context import RunContext

MAX_BATCH = 100  # messages of one model answer to one recipient
_CIRCLE = "Error: The message was not sent, as nobody could ever answer it. These agents wait for each other: {circle}."
_TOO_MANY = "Error: The message was not sent: one answer may send {most} messages to '{recipient}'."


@dataclass(frozen=True, kw_only=True)
class SentMessage:
    """One call of `send_message`.

    call: its key is the same in every attempt. memory: the sender's. batch, number: the answer, and the call in it.
    """

    tool: SendMessage
    context: "ToolContext[Any]"
    arguments: str
    call: ToolCall
    memory: Memory
    batch: str
    number: int
    recipient: str

    @property
    def pair(self) -> Pair:
        return self.tool.sender_agent.name, self.recipient

    def fork(self) -> Fork:
        return self.memory.fork(self.batch, self.number, self.pair)


async def send(run: "RunContext", tool: SendMessage, context: Any, arguments: str, call: ToolCall) -> Any:
    """Return the recipient's answer, or a text that says why there is none."""
    sent, row = _sent(run, tool, context, arguments, call), run.journal.find_row(Row.MESSAGE.key(call.key))
    if row and "output" in row:
        return _answered(run, sent, row)
    if sent is None:
        return await invoke_function_tool(function_tool=tool, context=context, arguments=arguments)
    if fault := _circle(sent) or _excess(run, sent):
        return fault
    return await (_queue(run, sent, row) if row or _goes_by_queue(run, sent) else _deliver(run, sent))


def _goes_by_queue(run: "RunContext", sent: SentMessage) -> bool:
    # What has begun in memory stays there, whatever a deployment has changed: its answers are in this run's journal.
    is_own = sent.memory.root is run.memory and run.transport(*sent.pair) == "queue"
    return is_own and not run.journal.has_answers_within(sent.call.key)


async def _queue(run: "RunContext", sent: SentMessage, row: Mapping[str, Any] | None) -> Any:
    """Raises RunWaits: there is no answer yet, and nothing else of the run can go on."""
    message = _message(run, sent)
    if row is None:
        before = plain_items(sent.fork().before[run.recalled :])
        shared = run.shared.changed(sent.context.context.user_context) if run.shared else {}
        row = await run.send(message, before, shared)
    return _answered(run, sent, row) if "output" in row else await run.calls.wait(message)


def _answered(run: "RunContext", sent: SentMessage | None, row: Mapping[str, Any]) -> Any:
    run.builder.add_items(row.get("items", ()))
    run.meter.add_message(row.get("usage", {}), row.get("by_model", {}))
    if incomplete := row.get("incomplete"):
        raise AnswerIncomplete(incomplete["reason"], incomplete.get("detail"))
    if sent is None:  # a deployment has removed the recipient
        return row["output"]
    sent.memory.restore(sent.batch, sent.number, sent.pair, _with_own_ids(run, sent, row["memory"]))
    if run.shared and (shared := row.get("shared")):
        run.shared.join(sent.context.context.user_context, sent.batch, sent.number, shared)
    return row["output"]


def _with_own_ids(run: "RunContext", sent: SentMessage, items: Sequence[Item]) -> Sequence[Item]:
    # Servers that repeat ids give the same ones to several runs.
    journal, agent = run.journal, sent.tool.sender_agent.name
    keys = [journal.tool_call_key(agent, call.call_id) for call in journal.calls_before(sent.context.tool_call_id)]
    rows = [row for key in keys if (row := journal.find_row(Row.MESSAGE.key(key)))]
    before = [item for row in rows for item in row.get("memory", ())]
    for ids in (journal.call_ids, journal.item_ids):
        items = ids.join(items, before, sent.call.key)
    return items


def _message(run: "RunContext", sent: SentMessage) -> Message:
    return Message(
        key=sent.call.key,
        batch=sent.batch,
        number=sent.number,
        sender=sent.pair[0],
        recipient=sent.recipient,
        tool=sent.tool.name,
        arguments=sent.arguments,
        call_id=sent.context.tool_call_id,
        activity=run.builder.current_activity,
        enclosing=sent.memory.pairs,
        output_tokens=run.meter.client_tokens_left,
    )


def _sent(run: "RunContext", tool: SendMessage, context: Any, arguments: str, call: ToolCall) -> SentMessage | None:
    # None for what the framework refuses, and for a memory of the agency's own.
    memory = getattr(context.context, "thread_manager", None)
    recipient = tool.recipients.get(_recipient_key(arguments))
    if recipient is None or not isinstance(memory, Memory):
        return None
    batch, number = run.journal.place(context.tool_call_id) or (context.tool_call_id, 0)
    return SentMessage(
        tool=tool,
        context=context,
        arguments=arguments,
        call=call,
        memory=memory,
        batch=batch,
        number=number,
        recipient=recipient.name,
    )


def _recipient_key(arguments: str) -> str:
    return str(json.loads(arguments or "{}").get("recipient_agent") or "").lower()


def _circle(sent: SentMessage) -> str | None:
    pairs, pair = sent.memory.pairs, sent.pair
    if pair not in pairs:
        return None
    circle, last = "", ""
    for sender, recipient in (*pairs[pairs.index(pair) :], pair):
        begin = "" if sender == last else f"{', ' if circle else ''}{sender}"  # after a handoff another one sends
        circle, last = f"{circle}{begin} -> {recipient}", recipient
    return _CIRCLE.format(circle=circle)


def _excess(run: "RunContext", sent: SentMessage) -> str | None:
    if sent.number < MAX_BATCH:
        return None
    calls = run.journal.calls_before(sent.context.tool_call_id)
    same = [each for each in calls if each.name == sent.tool.name]
    before = sum(_recipient_key(each.arguments) == sent.recipient.lower() for each in same)
    return None if before < MAX_BATCH else _TOO_MANY.format(most=MAX_BATCH, recipient=sent.recipient)


async def _deliver(run: "RunContext", sent: SentMessage) -> Any:
    fork = sent.fork()
    deadline = MessageDeadline(run.message_seconds)
    output: Any = None
    try:
        with deadline:
            async with run.message_slots.slot(sent.recipient):
                run.calls.check()
                output = await invoke(sent, fork)
    finally:
        if not deadline.has_passed:
            fork.join()
    if deadline.has_passed:
        text = failure_text(sent.recipient, late_reason(run.message_seconds))
        row = await run.journal.add_row(Row.MESSAGE.key(sent.call.key), {"output": text, "memory": []})
        return row["output"]
    return output


async def invoke(sent: SentMessage, memory: Memory) -> Any:
    """Invoke the framework's tool, with a recipient that no other message shares."""
    key, context = sent.recipient.lower(), copy(sent.context)
    context.context, recipient = copy_recipient(sent.tool.recipients[key], context.context)
    context.context.thread_manager = memory
    tool: Any = copy_tool(sent.tool)
    tool.recipients = {**tool.recipients, key: recipient}
    # The framework binds the tool's method, and a guard around it, to the tool.
    tool.on_invoke_tool = MethodType(type(tool).on_invoke_tool, tool)
    if getattr(tool, "_one_call_guard_installed", False):
        tool._one_call_guard_installed = False
        _attach_one_call_guard(tool, tool.sender_agent)
    return await invoke_function_tool(function_tool=tool, context=context, arguments=sent.arguments)
