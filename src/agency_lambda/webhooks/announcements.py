import asyncio
import time
from collections.abc import Collection, Sequence
from typing import get_args

from agency_lambda.errors import StoreUnavailable
from agency_lambda.store import Store
from agency_lambda.webhooks import WebhookEvent
from agency_lambda.webhooks.model import StoredDelivery, find_endpoint

_FRESH = 10.0  # seconds that a process uses what it has read of an owner's endpoint
_MOST_OWNERS = 10_000  # whose endpoints a process remembers
_READ_TIMEOUT = 2.0  # seconds; the end of a run does not wait for longer
_ANY: Collection[str] = get_args(WebhookEvent)


class Announcements:
    """Which events owners want to get. An owner without an endpoint costs one read in `_FRESH` seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted: dict[str, tuple[float, Collection[str]]] = {}  # owner -> when they were read, and which

    async def announce(
        self, owner: str, event: WebhookEvent, response_id: str, approvals: Sequence[str] = ()
    ) -> StoredDelivery | None:
        """Return the delivery of an event, if its owner wants it.

        Write its `new_changes()` with what the event says, so that neither is stored without the other, and queue its
        `message` afterwards. The sweep queues it again if it is lost.
        """
        if not await self._wants(owner, event):
            return None
        return StoredDelivery.new(owner, event, response_id, approvals)

    def forget(self, owner: str) -> None:
        """Read the owner's endpoint again."""
        self._wanted.pop(owner, None)

    async def _wants(self, owner: str, event: WebhookEvent) -> bool:
        read_at, events = self._wanted.get(owner, (0.0, _ANY))
        if not 0 <= time.time() - read_at < _FRESH:
            try:
                async with asyncio.timeout(_READ_TIMEOUT):
                    endpoint = await find_endpoint(self._store, owner)
            except (StoreUnavailable, TimeoutError):  # a delivery that nobody wants is dropped by the worker
                return event in events
            events = endpoint.events if endpoint else ()
            if len(self._wanted) >= _MOST_OWNERS:
                self._wanted.clear()
            self._wanted[owner] = time.time(), events
        return event in events
