"""The history that a run continues: logs, to which turns are only appended."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agency_lambda.errors import InvalidRequest, NotFound
from agency_lambda.protocol import bounds
from agency_lambda.protocol.surrogates import to_json_bytes
from agency_lambda.protocol.types import Item
from agency_lambda.store import ABSENT, Delete, Put, Record, Store

_AT_ONCE = 25  # changes in one write
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def sort_key(number: int) -> str:
    """number: -1 sorts before all."""
    return f"{number:09d}" if number >= 0 else ""


def is_valid_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True)
class Span:
    """The first `turns` turns of a log."""

    log: str
    turns: int


@dataclass(frozen=True)
class HistoryCursor:
    """Names a history: the turns of all spans. A new turn is appended to the last span's log."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def from_json(cls, stored: Sequence[Sequence[Any]]) -> "HistoryCursor":
        return cls(tuple(Span(log, turns) for log, turns in stored))

    @property
    def as_json(self) -> list[tuple[str, int]]:
        return [(span.log, span.turns) for span in self.spans]

    @property
    def next(self) -> "HistoryCursor":
        *before, last = self.spans
        return HistoryCursor((*before, Span(last.log, last.turns + 1)))

    def without_last(self, turns: int) -> "HistoryCursor":
        spans = list(self.spans)
        while turns and spans:
            last = spans.pop()
            kept = max(last.turns - turns, 0)
            turns -= last.turns - kept
            spans += [Span(last.log, kept)] if kept else []
        return HistoryCursor(tuple(spans))

    def branch(self, log: str) -> "HistoryCursor":
        # Other turns were appended behind these: the next one begins a log of its own.
        return HistoryCursor((*(span for span in self.spans if span.turns), Span(log, 0)))


@dataclass(frozen=True)
class Turn:
    """What one run or request added: `items` as clients see them, `history` as agents do.

    replaces: the number of turns before it whose history is a part of this one's.
    """

    items: list[Item]
    history: list[Item]
    replaces: int = 0

    @property
    def parts(self) -> int:
        return sum(map(_objects, self.history)) - len(self.history) + sum(map(_in_arguments, self.history))

    @property
    def size(self) -> int:
        return 0 if self.is_mark else len(to_json_bytes([self.items, self.history]))

    @property
    def is_mark(self) -> bool:
        """Return whether it only says that earlier turns were rewritten."""
        return not self.items and not self.history

    def put(self, cursor: HistoryCursor, expires: int | None) -> Put:
        last = cursor.spans[-1]
        return self.put_at(last.log, last.turns, expires)

    def put_at(self, log: str, number: int, expires: int | None) -> Put:
        body: dict[str, Any] = {"items": self.items, "history": self.history}
        if self.replaces:
            body["replaces"] = self.replaces
        return Put(log, sort_key(number), body, expires, expected=ABSENT)


MARK = Turn([], [])


async def load_turns(store: Store, cursor: HistoryCursor) -> list[Turn]:
    """Raises NotFound if some have expired."""
    loaded = await asyncio.gather(*(load_records(store, span) for span in cursor.spans if span.turns))
    return [Turn(**record.body) for records in loaded for record in records]


def check_history(items: int, size: int, parts: int) -> None:
    if items > bounds.HISTORY_ITEMS or size > bounds.HISTORY or parts > bounds.HISTORY_PARTS:
        raise InvalidRequest(
            f"What was said before has {items:,} items with {parts:,} parts, and {size:,} bytes: at most "
            f"{bounds.HISTORY_ITEMS:,} with {bounds.HISTORY_PARTS:,}, and {bounds.HISTORY:,} can be continued. "
            "Compact it (POST /v1/responses/compact), or begin anew.",
            code="conversation_too_long",
        )


def _objects(value: Any) -> int:
    kind, found = type(value), 0
    if kind is dict:
        value, found = value.values(), 1
    elif kind is not list:
        return 0
    for each in value:
        if type(each) is list or type(each) is dict:
            found += _objects(each)
    return found


def _in_arguments(item: Item) -> int:
    arguments = item.get("arguments")
    return sum(map(arguments.count, ",[{")) // bounds.ARGUMENT_VALUES if isinstance(arguments, str) else 0


async def load_records(store: Store, span: Span) -> list[Record]:
    """Raises NotFound if some have expired."""
    records = await store.query(span.log, before=sort_key(span.turns))
    if len(records) != span.turns:
        raise NotFound("What was said before is not kept any more: it has expired or was deleted.")
    return records


async def delete_partition(store: Store, partition: str, *with_last: Delete) -> None:
    """Delete all records in order. with_last: is deleted with the last one."""
    deletes = [Delete(each.partition, each.sort) for each in await store.query(partition)]
    if deletes:
        deletes += with_last
    # A write has as many as it may; the first has what is left over, so that the last ones are together.
    for end in range(len(deletes) % _AT_ONCE or _AT_ONCE, len(deletes) + 1, _AT_ONCE):
        await store.write(*deletes[max(end - _AT_ONCE, 0) : end])
