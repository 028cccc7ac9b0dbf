"""The events of a response as an attempt emits them, for its client and for the store."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from agency_lambda.protocol.output import OutputBuilder
from agency_lambda.protocol.types import Event, Item


class EventLog:
    """The numbered events of one response, and the output that they build.

    records_events: False if no client asked for a stream; then only the output is kept.
    """

    def __init__(self, response_id: str, *, records_events: bool) -> None:
        self.records_events, self.events = records_events, list[Event]()
        self.output = OutputBuilder(self.emit, response_id)
        self.ended = False
        self._saved = 0
        self._news = asyncio.Event()

    def emit(self, kind: str, **fields: Any) -> None:
        if self.records_events:
            self.events.append(self.next(kind, **fields))
            self._notify()

    def emit_start(self, response: Mapping[str, Any]) -> None:
        """Emit the two first events, where an earlier attempt has not."""
        known = {event["type"] for event in self.events[:3]}
        for kind in ("response.created", "response.in_progress"):
            if kind not in known:
                self.emit(kind, response=dict(response))

    def next(self, kind: str, **fields: Any) -> Event:
        """Return the event that would be emitted now, without emitting it."""
        return {"type": kind, "sequence_number": len(self.events), **fields}

    def restore(self, events: list[Event], item_ids: set[str], items: list[Item]) -> None:
        """Begin with what earlier attempts have stored. items: the output so far, for a run without events."""
        if self.records_events:
            self.events, self._saved = list(events), len(events)
            self.output.restore(events, item_ids)
        else:
            self.output.restore_items(items)

    def end(self) -> None:
        self.ended = True
        self._notify()

    def unsaved(self) -> list[Event]:
        return self.events[self._saved :]

    @property
    def last_saved(self) -> int:
        return self._saved - 1

    def mark_saved(self, count: int) -> None:
        """Note that `count` more events are stored."""
        self._saved += count

    async def follow(self) -> AsyncGenerator[Event]:
        """Yield all events, also later ones, until the attempt has ended."""
        number = 0
        while True:
            while number < len(self.events):
                yield self.events[number]
                number += 1
            if self.ended:
                return
            await self._news.wait()

    def _notify(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
