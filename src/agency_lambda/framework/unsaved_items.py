"""Stores the answers and tool outputs of a run that an exception ends."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from agency_swarm.agent import execution, execution_helpers
from agency_swarm.messages import MessageFormatter
from agents import ItemHelpers, ModelResponse
from pydantic import BaseModel

from agency_lambda.history import is_call, is_output

Run = Callable[..., Awaitable[Any]]


class UnsavedItems:
    """Answers and outputs of one agent. for_user: as in `ModelRequest`."""

    def __init__(self, for_user: bool) -> None:
        self.for_user = for_user
        self._input: Any = ()
        self._answers: list[tuple[str, ModelResponse]] = []
        self._outputs: dict[str, Any] = {}

    def note_input(self, items: Any) -> None:
        """Note a model's input, which holds earlier outputs."""
        self._input = items

    def note_answer(self, agent: str, response: ModelResponse) -> None:
        self._answers.append((agent, response))

    def note_output(self, call_id: str, output: Any) -> None:
        """Note an output that no model's input may have yet."""
        self._outputs[call_id] = output

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Return (agent, item) of answers with calls and of their outputs."""
        # An answer without calls is the final one, which the execution stores.
        seen = () if isinstance(self._input, str) else self._input
        known = {item["call_id"]: item for item in seen if is_output(item.get("type")) and item.get("call_id")}
        found = []
        for agent, response in self._answers:
            calls = [item for item in response.output if is_call(item.type)]
            outputs = [known.get(call.call_id) or self._output(call) for call in calls]  # type: ignore[union-attr]
            items = [*map(_as_input, response.output), *outputs] if calls else []
            found += [(agent, item) for item in items if item]
        return found

    def _output(self, call: Any) -> Any:
        if call.call_id not in self._outputs:
            return None
        return ItemHelpers.tool_call_output_item(call, self._outputs[call.call_id])


current_unsaved: ContextVar[UnsavedItems | None] = ContextVar("unsaved", default=None)
# of the agent that runs in this context; None within a tool
_execution: ContextVar[dict[str, Any]] = ContextVar("execution")


@contextmanager
def within_tool() -> Iterator[UnsavedItems]:
    # Yields the items of the calling agent.
    calling = current_unsaved.get()
    token = current_unsaved.set(None)
    try:
        yield calling or UnsavedItems(for_user=False)
    finally:
        current_unsaved.reset(token)


def _as_input(item: Any) -> Any:
    return item.model_dump(exclude_unset=True) if isinstance(item, BaseModel) else dict(item)


def install() -> None:
    vars(execution)["run_with_guardrails"] = _noting_execution(execution_helpers.run_with_guardrails)
    vars(execution_helpers)["perform_single_run"] = _storing_unsaved(execution_helpers.perform_single_run)


def _noting_execution(run_with_guardrails: Run) -> Run:
    @wraps(run_with_guardrails)
    async def noting(**execution: Any) -> Any:
        token = _execution.set(execution)
        try:
            return await run_with_guardrails(**execution)
        finally:
            _execution.reset(token)

    return noting


def _storing_unsaved(perform_single_run: Run) -> Run:
    @wraps(perform_single_run)
    async def storing(**arguments: Any) -> Any:
        execution = _execution.get()
        unsaved = UnsavedItems(for_user=execution["sender_name"] is None)
        token = current_unsaved.set(unsaved)
        try:
            return await perform_single_run(**arguments)
        except BaseException:
            _store(unsaved.items(), execution)
            raise
        finally:
            current_unsaved.reset(token)

    return storing


def _store(items: list[tuple[str, dict[str, Any]]], execution: dict[str, Any]) -> None:
    context = execution["agency_context"]
    if not items or context is None or not context.thread_manager:
        return
    context.thread_manager.add_messages(
        [
            MessageFormatter.add_agency_metadata(
                item,
                agent=agent,
                caller_agent=execution["sender_name"],
                agent_run_id=execution["current_agent_run_id"],
                parent_run_id=execution["parent_run_id"],
                run_trace_id=execution["run_trace_id"],
                history_protocol=MessageFormatter.resolve_history_protocol_for_agent_name(
                    agent, default_agent=execution["agent"], agency_context=context
                ),
            )
            for agent, item in items
        ]
    )
