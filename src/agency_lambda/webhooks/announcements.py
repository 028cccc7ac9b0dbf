import asyncio
from collections.abc import Collection, Sequence

from agency_lambda.errors import StoreUnavailable
from agency_lambda.owner_cache import OwnerCache
from agency_lambda.store import Store
from agency_lambda.webhooks import WebhookEvent
from agency_lambda.webhooks.model import StoredDelivery, find_endpoint

_READ_TIMEOUT = 2.0  # seconds; the end of a run does not wait for longer


class Announcements:
    """Which events owners want to get. An owner without an endpoint costs one read in ten seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wanted = OwnerCache[Collection[str]]()

    async def announce(
        self,
        owner: str,
        event: WebhookEvent,
        response_id: str,
        approvals: Sequence[str] = (),
        root_response_id: str | None = None,
    ) -> StoredDelivery | None:
        """Return the delivery of an event, if its owner wants it.

        Write its `new_changes()` with what the event says, so that neither is stored without the other, and queue its
        `message` afterwards. The sweep queues it again if it is lost.
        """
        if not await self._wants(owner, event):
            return None
        return StoredDelivery.new(owner, event, response_id, approvals, root_response_id)

    def forget(self, owner: str) -> None:
        """Read the owner's endpoint again."""
        self._wanted.forget(owner)

    async def _wants(self, owner: str, event: WebhookEvent) -> bool:
        events = self._wanted.fresh(owner)
        if events is None:
            try:
                async with asyncio.timeout(_READ_TIMEOUT):
                    endpoint = await find_endpoint(self._store, owner)
            except (StoreUnavailable, TimeoutError):  # a delivery that nobody wants is dropped by the worker
                known = self._wanted.last(owner)
                return known is None or event in known
            events = self._wanted.keep(owner, endpoint.events if endpoint else ())
        return event in events
