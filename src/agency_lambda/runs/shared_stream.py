"""The stream of a root run that waits for other agents: their runs add to it what they do."""

import asyncio
import random
from dataclasses import dataclass

from agency_lambda.protocol.types import Event, Item
from agency_lambda.runs.model import Run, event_row, expiry, response_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import ABSENT, Change, Conflict, Delete, Put, Store

_OPEN = "stream"  # the record that lets child runs add events: it is there while the root's own attempts do not
_ADDED, _DONE = "response.output_item.added", "response.output_item.done"
_TRIES, _PAUSE = 5, 0.1  # of one write that conflicts with other child runs', and seconds at most between two


def opened(run: Run, events: int, items: int) -> list[Change]:
    """Return the change by which a root run that begins to wait lets others add events. events, items: so far."""
    if run.stored.sending or not run.stored.is_streamed:
        return []
    return [Put(response_partition(run.owner, run.id), _OPEN, {"events": events, "items": items}, expiry())]


async def close(store: Store, run: Run) -> None:
    """Let nobody else add events any more, before an attempt reads them."""
    if run.stored.is_streamed and not run.stored.sending and run.lease and run.lease.attempts_before_wait:
        await store.write(Delete(response_partition(run.owner, run.id), _OPEN))


class SharedStream:
    """Shows what one child run does in the stream of its root. run_id: the root's."""

    def __init__(self, store: Store, owner: str, run_id: str) -> None:
        self._store, self._responses = store, Responses(store, owner)
        self._run_id, self._partition = run_id, response_partition(owner, run_id)
        self._items: _ShownItems | None = None
        self._shown = 0  # of the child run's events

    async def show(self, events: list[Event]) -> None:
        """Add what is new. While the root's own attempt is at work that is left to a later call, or to its journal."""
        new = [event for event in events[self._shown :] if "item" in event or "item_id" in event]
        for _ in range(_TRIES if new else 0):
            if (record := await self._store.get(self._partition, _OPEN)) is None:
                return
            items = self._items.copy() if self._items else await self._known()
            number, count = record.body["events"], record.body["items"]
            added, count = items.add(new, number, count)
            body = {"events": number + len(added), "items": count}
            changes: list[Change] = [Put(self._partition, _OPEN, body, expiry(), expected=record.version)]
            if added:
                changes.append(Put(self._partition, event_row(number), added, expiry(), expected=ABSENT))
            try:
                await self._store.write(*changes)
            except Conflict:  # another child run was faster, or the root goes on
                await asyncio.sleep(random.uniform(0, _PAUSE))
                continue
            self._shown, self._items = len(events), items
            return

    async def show_items(self, items: list[Item]) -> None:
        await self.show([{"type": kind, "item": item} for item in items for kind in (_ADDED, _DONE)])

    async def _known(self) -> "_ShownItems":
        items = _ShownItems({}, set())
        for event in await self._responses.stored_events(self._run_id):
            items.note(event)
        return items


@dataclass(frozen=True)
class _ShownItems:
    """indexes: an item's id -> its place in the root's output. events: an item's id and the type of one of its events.

    The items of a child run are activities and requests: each of their events comes once.
    """

    indexes: dict[str, int]
    events: set[tuple[str, str]]

    def copy(self) -> "_ShownItems":
        return _ShownItems({**self.indexes}, {*self.events})

    def note(self, event: Event) -> None:
        if "output_index" in event:
            self.indexes[_item_id(event)] = event["output_index"]
            self.events.add((_item_id(event), event["type"]))

    def add(self, events: list[Event], number: int, count: int) -> tuple[list[Event], int]:
        """Return the events that the root's stream lacks, and how many items it has then.

        number: of the next event. count: of items so far. An interrupted attempt may have added some of them.
        """
        added: list[Event] = []
        for event in events:
            item_id = _item_id(event)
            if (item_id, event["type"]) in self.events:
                continue
            if event["type"] == _ADDED:
                self.indexes[item_id], count = count, count + 1
            elif item_id not in self.indexes:
                continue
            place = {"sequence_number": number + len(added), "output_index": self.indexes[item_id]}
            added.append({**event, **place})
            self.note(added[-1])
        return added, count


def _item_id(event: Event) -> str:
    item_id: str = event["item"]["id"] if "item" in event else event["item_id"]
    return item_id
