"""The events of a run that is running here: numbered, followed from any of them, handed to whoever keeps them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from agency_lambda.protocol.types import Event


class EventLog:
    """Events in their order. Nobody who follows slows down who emits."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended = False
        self._kept = 0
        self._news = asyncio.Event()

    def emit(self, kind: str, **fields: Any) -> None:
        """The next event."""
        self.events.append(self.next(kind, **fields))
        self._tell()

    def next(self, kind: str, **fields: Any) -> Event:
        """What the next event would be."""
        return {"type": kind, "sequence_number": len(self.events), **fields}

    def restore(self, events: list[Event]) -> None:
        """Those that an interrupted attempt has told, and that are kept already."""
        self.events, self._kept = list(events), len(events)

    def end(self) -> None:
        """There is no next event."""
        self.ended = True
        self._tell()

    def unkept(self) -> list[Event]:
        """Those that no store has yet; `kept(n)` says how many of them it has now."""
        return self.events[self._kept :]

    @property
    def last_kept(self) -> int:
        """Return the number of the last event that the store has, -1 for none."""
        return self._kept - 1

    def kept(self, count: int) -> None:
        """So many more are in the store."""
        self._kept += count

    async def follow(self) -> AsyncGenerator[Event]:
        """Every event, from the first to the last."""
        number = 0
        while True:
            while number < len(self.events):
                yield self.events[number]
                number += 1
            if self.ended:
                return
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
