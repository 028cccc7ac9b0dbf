import math
from typing import Any

from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework.interruptions import AnswerNotStored
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.runs.journal_rows import was_allowed
from agency_lambda.runs.journal_store import JournalStore
from agency_lambda.runs.message_rows import COUNTER, TOOL_CALLS
from agency_lambda.runs.model import expiry
from agency_lambda.store import Add, Conflict


class ToolCallLimit:
    """Which tool calls a client's `max_tool_calls` has allowed, alike in all attempts.

    counted_in: the partition that counts those of several runs together; "" where this one is alone.
    """

    def __init__(self, journal: JournalStore, counted_in: str) -> None:
        self._journal, self._counted_in = journal, counted_in
        self._allowed: set[str] = set()

    def restore(self) -> None:
        rows = self._journal.rows.items()
        self._allowed = {key.partition("/")[2] for key, body in rows if was_allowed(key, body)}

    async def allows(self, call: str, most: float) -> bool:
        """Return whether a call is among the first `most`."""
        if math.isinf(most) or call in self._allowed:
            return True
        if (decided := self._journal.rows.get(Row.ALLOWED.key(call))) is None:
            decided = await (self._count_together(call, most) if self._counted_in else self._count(call, most))
        return bool(decided["allowed"])

    async def _count(self, call: str, most: float) -> dict[str, Any]:
        if allowed := len(self._allowed) < most:
            self._allowed.add(call)
        return await self._journal.add(Row.ALLOWED.key(call), {"allowed": allowed})

    async def _count_together(self, call: str, most: float) -> dict[str, Any]:
        assert self._journal.store
        key, body = Row.ALLOWED.key(call), {"allowed": True}
        counted = Add(self._counted_in, COUNTER, {TOOL_CALLS: 1}, {TOOL_CALLS: int(most)}, expiry())
        try:
            await self._journal.store.write(self._journal.put(key, body), counted)
        except Conflict:  # the limit, or an attempt that has lost its lease
            return await self._journal.add(key, {"allowed": False})
        except StoreUnavailable as error:
            raise AnswerNotStored from error
        return body
