"""Keeps calls of a tool with `one_call_at_a_time` apart where messages run side by side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from agency_lambda.framework.message_slots import MessageSlots


class ExclusiveTools:
    """Tools with `one_call_at_a_time`: calls of messages that are worked on side by side wait for one another.

    Within one message the framework itself refuses a second call.
    """

    def __init__(self) -> None:
        self._slots = MessageSlots(1)
        self._memories: dict[str, object] = {}  # of the messages whose calls are made

    @asynccontextmanager
    async def call(self, agent: str, tool: str, memory: object) -> AsyncIterator[None]:
        name, enclosing = f"{agent}/{tool}", _enclosing.get()
        if name in enclosing or (name in self._memories and self._memories[name] is memory):
            yield
            return
        async with self._slots.slot_at_any_depth(name):
            self._memories[name] = memory
            token = _enclosing.set((*enclosing, name))
            try:
                yield
            finally:
                _enclosing.reset(token)
                if self._memories.get(name) is memory:
                    del self._memories[name]


_enclosing: ContextVar[tuple[str, ...]] = ContextVar("exclusive_tools", default=())
