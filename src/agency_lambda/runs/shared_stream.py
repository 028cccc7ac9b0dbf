"""The stream of a root run that waits for other agents: their runs add to it what they do."""

from collections.abc import Iterable, Iterator
from typing import Any

from agency_lambda.protocol.types import Event
from agency_lambda.runs.model import Run, Sending, event_row, expiry, response_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import ABSENT, Change, Conflict, Delete, Put, Store

_OPEN = "stream"  # the record that lets child runs add events: it is there while the root's own attempts do not
_KINDS = ("response.output_item.added", "response.output_item.done")


def opened(run: Run, events: int, items: int) -> list[Change]:
    """Return the change by which a root run that begins to wait lets others add events. events, items: so far."""
    if run.stored.sending or not run.stored.is_streamed:
        return []
    return [Put(response_partition(run.owner, run.id), _OPEN, {"events": events, "items": items}, expiry())]


async def close(store: Store, run: Run) -> None:
    """Let nobody else add events any more, before an attempt reads them."""
    if run.stored.is_streamed and not run.stored.sending and run.lease and run.lease.forgiven:
        await store.write(Delete(response_partition(run.owner, run.id), _OPEN))


class SharedStream:
    """Shows the activities of one child run in its root's stream."""

    def __init__(self, store: Store, owner: str, sending: Sending) -> None:
        self._store, self._responses = store, Responses(store, owner)
        self._run_id, self._partition = sending.shown_in, response_partition(owner, sending.shown_in)
        self._indexes: dict[str, int] | None = None  # an item's id -> its place in the root's output
        self._shown = 0  # of the child run's events

    async def show(self, events: list[Event]) -> None:
        """Add what is new. While the root's own attempt is at work that is left to a later call, or to its journal."""
        new = [event for event in events[self._shown :] if event["type"] in _KINDS]
        if not new or (record := await self._store.get(self._partition, _OPEN)) is None:
            return
        indexes = {**(await self._known() if self._indexes is None else self._indexes)}
        number, items = record.body["events"], record.body["items"]
        added = [*_renumbered(new, indexes, number, items)]
        body = {"events": number + len(added), "items": max([items - 1, *indexes.values()]) + 1}
        changes: list[Change] = [Put(self._partition, _OPEN, body, expiry(), expected=record.version)]
        if added:
            changes.append(Put(self._partition, event_row(number), added, expiry(), expected=ABSENT))
        try:
            await self._store.write(*changes)
        except Conflict:  # another child run was faster, or the root goes on
            return
        self._shown, self._indexes = len(events), indexes

    async def _known(self) -> dict[str, int]:
        return _indexes(await self._responses.stored_events(self._run_id))


def _indexes(events: Iterable[Event]) -> dict[str, int]:
    return {event["item"]["id"]: event["output_index"] for event in events if event["type"] == _KINDS[0]}


def _renumbered(events: list[Event], indexes: dict[str, int], number: int, items: int) -> Iterator[Event]:
    """Yield the events that the root's stream lacks, and note the places of their items."""
    for event in events:
        item_id: str = event["item"]["id"]
        if event["type"] == _KINDS[0]:
            if item_id in indexes:  # by an attempt that was interrupted
                continue
            indexes[item_id], items = items, items + 1
        elif item_id not in indexes:
            continue
        place: dict[str, Any] = {"sequence_number": number, "output_index": indexes[item_id]}
        yield {**event, **place}
        number += 1
