import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from itertools import count
from typing import Any, Self

from agency_lambda.framework.call_journal import ToolCallJournal


class ToolCall:
    """One tool call. key: the same in every attempt. journal: None if each attempt repeats it."""

    def __init__(
        self,
        key: str,
        agent: str,
        tool: str,
        journal: ToolCallJournal | None,
        recording: AbstractContextManager[None],
        *,
        parent_call: ContextVar[str],
        authorize: Callable[[], Awaitable[None]],
    ) -> None:
        self.key, self.agent, self.tool = key, agent, tool
        self._journal, self._recording = journal, recording
        self._parent_call, self._authorize = parent_call, authorize
        self._numbers: dict[str, count[int]] = {}
        self.finished: bool
        self.output: Any
        self.finished, self.output = journal.find_tool_output(key) if journal else (False, None)

    async def __aenter__(self) -> Self:
        await self._authorize()
        self._recording.__enter__()
        self._token = self._parent_call.set(self.key)
        self._outer = current_tool_call.set(self)
        self.loop = asyncio.get_running_loop()
        self._started_at = time.time()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        current_tool_call.reset(self._outer)
        self._parent_call.reset(self._token)
        self._recording.__exit__(*failure)

    @property
    def is_journaled(self) -> bool:
        return self._journal is not None

    def next_number(self, name: str) -> int:
        """Return 1, 2, ... for each name."""
        return next(self._numbers.setdefault(name, count(1)))  # from any thread

    async def save(self, output: Any) -> Any:
        """Store the output and return the stored one, maybe another attempt's."""
        if self._journal is None:
            return output
        return await self._journal.save_tool_output(self.key, output, self.tool, self._started_at)


current_tool_call: ContextVar[ToolCall | None] = ContextVar("current_tool_call", default=None)
