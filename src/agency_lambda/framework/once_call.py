"""The rows of a call that `@once` protects: an intent before it is made, and its outcome."""

import asyncio
import hashlib
import inspect
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from agency_swarm import BaseTool
from agents import RunContextWrapper
from pydantic_core import to_jsonable_python

from agency_lambda.framework.context import RunContext, current_run
from agency_lambda.framework.interruptions import RepeatRefused
from agency_lambda.framework.tool_call import ToolCall, current_tool_call
from agency_lambda.framework.tool_output import from_journal_body, to_journal_body, to_sendable
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.journal_keys import Row
from agency_lambda.protocol.surrogates import replace_surrogates

_REFUSED = "It is unknown whether {name} was carried out: its process ended meanwhile. Do not call it again."

_METHOD = "run"  # of a BaseTool, whose name is its class's

type Body = dict[str, Any]


class CallFailed(RuntimeError):
    """The call raised in an earlier attempt, an exception with this text."""


class OnceCall:
    """Awaits only on the loop of the run, which is `loop`. begun: how often the call was begun."""

    def __init__(self, run: RunContext, call: ToolCall, function: Callable[..., Any], arguments: Any) -> None:
        self._run, self._tool_call = run, call
        self._name = call.tool if function.__name__ == _METHOD else function.__name__
        self._arguments = json.dumps(arguments, ensure_ascii=False, sort_keys=True)
        place = hashlib.sha256(f"{function.__qualname__}/{self._arguments}".encode()).hexdigest()[:32]
        self._key = f"{call.key}/{place}/{call.next_number(place)}"
        self.loop: asyncio.AbstractEventLoop = call.loop
        self.begun = 0
        while self._find(Row.ONCE, self.begun + 1):
            self.begun += 1

    def at_work(self) -> AbstractContextManager[None]:
        """Return a context in which the run is at work, unless the call waits for a person."""
        return self._run.calls.call()

    async def begin(self) -> bool:
        """Store the intent. Return False if another attempt has stored it."""
        self._run.calls.check()
        await self._run.authorize()
        self.begun += 1
        row = {"tool": self._tool_call.tool, "function": self._name, "started_at": round(time.time(), 3)}
        return await self._add(Row.ONCE, row) is row

    def find(self) -> Body | None:
        """Return the row of an outcome."""
        return self._find(Row.MADE, self.begun)

    async def save(self, output: Any) -> Any:
        row = to_journal_body(to_sendable(output))
        stored = await self._add(Row.MADE, row)
        return output if stored is row else result(stored)

    async def save_failure(self, error: Exception) -> None:
        await self._add(Row.MADE, {"error": replace_surrogates(str(error))})

    async def ask(self) -> None:
        """Return if a person wants the call made again. Raises RepeatRefused."""
        call = self._tool_call
        key = f"{self._key}/{self.begun:04d}"
        request = ApprovalRequest(key=key, agent=call.agent, name=self._name, arguments=self._arguments, kind="repeat")
        decision = await self._run.decision(request)
        if not decision.approve:
            raise RepeatRefused(f"{_REFUSED.format(name=self._name)} {decision.reason or ''}".strip())

    def _find(self, kind: Row, number: int) -> Body | None:
        return self._run.journal.find_row(kind.key(self._key, number))

    async def _add(self, kind: Row, row: Body) -> Body:
        row["attempt"] = self._run.journal.attempt
        return await self._run.journal.add_row(kind.key(self._key, self.begun), row)


def result(row: Body) -> Any:
    """Return an outcome. Raises CallFailed."""
    if "error" in row:
        raise CallFailed(row["error"])
    return from_journal_body(row)


def find_call(function: Callable[..., Any], args: Any, named: Any) -> OnceCall | None:
    """Return the call that a tool of a run makes; None elsewhere."""
    run, call = current_run(), current_tool_call.get()
    if run is None or call is None or not call.is_journaled:
        return None
    bound = inspect.signature(function).bind(*args, **named)
    bound.apply_defaults()
    values = {name: each for name, each in bound.arguments.items() if not isinstance(each, RunContextWrapper)}
    values |= vars(tool) if isinstance(tool := values.pop("self", None), BaseTool) else {}
    return OnceCall(run, call, function, replace_surrogates(to_jsonable_python(values, fallback=_type_name)))


def _type_name(value: object) -> str:
    return type(value).__qualname__
