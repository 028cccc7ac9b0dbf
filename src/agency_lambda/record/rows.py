"""The rows of a run's journal, of this and earlier versions."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from agency_lambda.protocol.ids import created_microseconds
from agency_lambda.protocol.journal_keys import Row, row_key
from agency_lambda.runs.model import RETENTION
from agency_lambda.store import Record

Status = Literal["completed", "incomplete", "failed", "in_progress"]
_FIELDS = (
    *("agent", "identity", "model", "within", "attempt", "started_at", "ended_at"),
    *("instructions_digest", "instructions", "input"),
)


@dataclass(frozen=True, kw_only=True)
class ModelCallRow:
    """within: the enclosing tool call's key, or "". identity: see `ModelRequest`."""

    key: str
    status: Status
    agent: str = ""
    identity: str = ""
    model: str | None = None
    within: str = ""
    attempt: int | None = None
    started_at: float | None = None
    ended_at: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    output: list[dict[str, Any]] = field(default_factory=list)
    instructions_digest: str | None = None
    instructions: str | None = None
    input: Any = None

    @property
    def began(self) -> float:
        return self.started_at or self.ended_at or 0.0


@dataclass(frozen=True, kw_only=True)
class ApprovalRow:
    """asked: the model's arguments; `arguments` are those that replace them."""

    id: str
    kind: str
    status: str
    asked_at: int
    asked: str | None = None
    approve: bool | None = None
    reason: str | None = None
    arguments: str | None = None
    decided_by: str | None = None
    decided_at: int | None = None
    role: str | None = None
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class ToolCallRow:
    agent: str
    tool: str | None
    output: Any
    attempt: int | None
    started_at: float | None
    ended_at: float | None


@dataclass(frozen=True, kw_only=True)
class MessageRow:
    """run: the child run that works on it, if one does. output: what its sender's model got; None if nothing yet."""

    run: str | None = None
    output: str | None = None
    ended_at: float | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    by_model: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def sent_at(self) -> float:
        made = created_microseconds(self.run) if self.run else None
        return made / 10**6 if made else 0.0


class JournalRows:
    """scopes: model calls in order, by enclosing tool call. tools: finished ones. See `names_of_call` for the keys.

    approvals: what persons have decided, messages: what is known of those that runs have answered, by tool call.
    """

    def __init__(self, records: Iterable[Record], until: float = math.inf) -> None:
        """until: when the response ended of which these rows are, if another one has continued its journal."""
        rows = {row_key(record.sort): record for record in records}
        pending = rows.pop(Row.PENDING).body if Row.PENDING in rows and math.isinf(until) else {}
        self.approvals: defaultdict[str, list[ApprovalRow]] = defaultdict(list)
        for key, row in rows.items():
            if Row.DECISION.has(key):
                self.add_approval(Row.DECISION.rest(key), ApprovalRow(**row.body))
        self.tools = {_name(key): _tool_call(key, row) for key, row in rows.items() if Row.TOOL.has(key)}
        messages = {_name(key): _message(row) for key, row in rows.items() if Row.MESSAGE.has(key)}
        self.messages = {name: message for name, message in messages.items() if message.sent_at <= until}
        calls = [_answered(key, row) for key, row in rows.items() if Row.MODEL.has(key)]
        calls += [_failed(key, row) for key, row in rows.items() if Row.FAILED.has(key)]
        calls = [call for call in calls if call.began <= until]
        self.tools = {name: tool for name, tool in self.tools.items() if (tool.started_at or 0.0) <= until}
        known = {call.key for call in calls}
        if isinstance(pending, dict):  # earlier versions listed keys only
            calls += [_call(key, "in_progress", body) for key, body in pending.items() if key not in known]
        self.calls = sorted(calls, key=lambda call: (call.began, not any(map(is_call, call.output))))
        self.scopes: defaultdict[str, list[ModelCallRow]] = defaultdict(list)
        for call in self.calls:
            self.scopes[_name(call.within)].append(call)

    def attempts(self, since: float) -> int:
        """Return how many attempts have left rows since a time."""
        rows: list[ModelCallRow | ToolCallRow] = [*self.calls, *self.tools.values()]
        return max((row.attempt or 1 for row in rows if (row.started_at or since) >= since), default=0)

    def add_approval(self, key: str, row: ApprovalRow) -> None:
        """key: begins with that of the tool call, AGENT/PLACE."""
        agent, place, *more = key.split("/")
        name = _name(f"{agent}/{place}/1" if more[:1] == ["1"] else f"{agent}/{place}")
        self.approvals[name].append(row)


def names_of_call(row: ModelCallRow, number: int) -> list[str]:
    """Return a call's names in rows: by its place in the answer; in earlier versions by id."""
    place = hashlib.sha256(f"{row.key}/{number}".encode()).hexdigest()[:32]
    item = row.output[number]
    return [place, f"{item.get('call_id') or item.get('id')}/1"]


def is_call(item: Mapping[str, Any]) -> bool:
    return str(item.get("type")).endswith("_call")


def _name(key: str) -> str:
    # AGENT/PLACE, or AGENT/CALL_ID/1 of earlier versions
    *_, before, last = ["", *key.split("/")]
    return f"{before}/{last}" if last == "1" else last


def _answered(key: str, record: Record) -> ModelCallRow:
    body = record.body
    was_cut = body.get("incomplete") or body.get("complete") is False
    response = body["response"]
    written = {} if "ended_at" in body else {"ended_at": float((record.expires or RETENTION) - RETENTION)}
    answer = {"usage": response.get("usage") or {}, "output": response["output"]}
    return _call(key, "incomplete" if was_cut else "completed", body | written, **answer)


def _failed(key: str, record: Record) -> ModelCallRow:
    return _call(Row.FAILED.rest(key), "failed", record.body)


def _call(key: str, status: Status, body: Mapping[str, Any], **answer: Any) -> ModelCallRow:
    return ModelCallRow(key=key, status=status, **{name: body[name] for name in _FIELDS if name in body}, **answer)


def _tool_call(key: str, record: Record) -> ToolCallRow:
    body, agent = record.body, key.split("/")[1]
    known = {name: body.get(name) for name in ("tool", "attempt", "started_at", "ended_at")}
    return ToolCallRow(agent=agent, output=body["output"], **known)


def _message(record: Record) -> MessageRow:
    return MessageRow(**{each.name: record.body[each.name] for each in fields(MessageRow) if each.name in record.body})
