"""What the agents remember. A process reads and converts each turn once."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Container, Sequence
from functools import cached_property

from agency_lambda.history.replayable import restored, storable_form
from agency_lambda.history.turns import HistoryCursor, Span, Turn, check_history, load_records, sort_key
from agency_lambda.protocol import bounds
from agency_lambda.protocol.types import Item
from agency_lambda.store import Record, Store

_MOST = 4_000_000  # bytes of JSON of all turns that are held; as objects they take some four times as much


class LoadedTurn:
    """A stored turn, converted. It never changes."""

    def __init__(self, record: Record) -> None:
        self.version, self.expires, self.size = record.version, record.expires, record.size
        self.turn = Turn(**record.body)
        self.awaited = {item["call_id"] for item in self.turn.items if item["type"] == "function_call"}
        self.optional = {item["call_id"] for item in self.turn.history if item.get("optional")}

    @cached_property
    def parts(self) -> int:
        return self.turn.parts

    @cached_property
    def forms(self) -> list[Item | None]:
        return [storable_form(item) for item in self.turn.history]


class TurnCache:
    """The turns of the logs that were read last, by log, whose name begins with its owner."""

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._size = most, 0
        self._logs: OrderedDict[str, list[LoadedTurn]] = OrderedDict()

    def find(self, span: Span) -> list[LoadedTurn]:
        """Return the first turns of a log that are held; none if one has expired."""
        now, turns = int(time.time()), self._logs.get(span.log, [])[: span.turns]
        return [] if any(turn.expires is not None and turn.expires <= now for turn in turns) else turns

    def forget(self, log: str) -> None:
        self._size -= sum(turn.size for turn in self._logs.pop(log, []))

    def hold(self, log: str, turns: list[LoadedTurn]) -> None:
        before = self._logs.pop(log, [])
        if len(before) > len(turns) and before[len(turns) - 1] is turns[-1]:
            turns = before  # a run that goes on from an earlier turn has read these
        self._size += sum(turn.size for turn in turns) - sum(turn.size for turn in before)
        self._logs[log] = turns
        while self._size > self._most:
            _, dropped = self._logs.popitem(last=False)
            self._size -= sum(turn.size for turn in dropped)


async def load_history(
    store: Store, cursor: HistoryCursor, cache: TurnCache, answered: Container[str] = ()
) -> list[Item]:
    """Return a list that the caller may change. answered: ids of calls whose outputs follow.

    Raises:
        InvalidRequest: it is too long.
        NotFound: some turns have expired.
    """
    spans = [span for span in cursor.spans if span.turns]
    if len(spans) == 1:  # as nearly always; `gather` would cost a task
        loaded = [await _load(store, spans[0], cache)]
    else:
        loaded = await asyncio.gather(*(_load(store, span, cache) for span in spans))
    turns = [turn for each in loaded for turn in each]
    items, size = sum(len(turn.turn.items) for turn in turns), sum(turn.size for turn in turns)
    check_history(items, size, _parts(turns))
    counted = _not_replaced(turns)
    history = [item for turn in counted for item in turn.turn.history]
    optional = {call_id for turn in turns for call_id in turn.optional if call_id not in answered}
    awaited = {call_id for turn in turns for call_id in turn.awaited} - optional
    return restored(history, [form for turn in counted for form in turn.forms], awaited)


def _not_replaced(turns: list[LoadedTurn]) -> list[LoadedTurn]:
    replaced = {number - back for number, turn in enumerate(turns) for back in range(1, turn.turn.replaces + 1)}
    return [turn for number, turn in enumerate(turns) if number not in replaced] if replaced else turns


async def _load(store: Store, span: Span, cache: TurnCache) -> list[LoadedTurn]:
    # Turns are appended, or rewritten with a mark behind them, and a log that is deleted and begun anew has other
    # versions: while the last turn that is held is in the store with no mark behind it, those before it are the same.
    held, turns = cache.find(span), None
    if held:
        last = len(held) - 1
        records = await store.query(span.log, after=sort_key(last - 1), before=sort_key(span.turns))
        if len(records) == span.turns - last and records[0].version == held[last].version:
            read = [LoadedTurn(record) for record in records[1:]]
            if not any(turn.turn.is_mark for turn in read):
                turns = [*held, *read]
    if turns is None:
        turns = [LoadedTurn(record) for record in await load_records(store, span)]
    cache.hold(span.log, turns)
    return turns


def _parts(turns: Sequence[LoadedTurn]) -> int:
    total = 0
    for turn in turns:  # a turn that is over the bound is not counted to its end
        if total > bounds.HISTORY_PARTS:
            break
        total += turn.parts
    return total
