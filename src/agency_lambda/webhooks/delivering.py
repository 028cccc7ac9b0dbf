"""What the worker does for webhooks: one attempt at a delivery, and the sweep for those that are due."""

import asyncio
import json
import logging
import random
import time
from dataclasses import replace
from weakref import WeakValueDictionary

from agency_lambda import telemetry
from agency_lambda.owner_digest import owner_digest
from agency_lambda.queue.messages import Delivery
from agency_lambda.store import Change, Conflict, Delete, Store
from agency_lambda.webhooks.model import (
    DUE,
    Endpoint,
    StoredDelivery,
    deliveries_partition,
    delivery_key,
    find_delivery,
    find_endpoint,
)
from agency_lambda.webhooks.posting import NotDelivered, post
from agency_lambda.webhooks.signatures import signed_headers
from agency_lambda.webhooks.targets import parse

logger = logging.getLogger(__name__)
_AT_ONCE, _AT_ONCE_OF_OWNER = 16, 4  # deliveries in one process
_FIRST_PAUSE, _PAUSE_FACTOR, _LONGEST_PAUSE = 10.0, 4.0, 6 * 3600.0  # seconds between attempts
_SLOW = 5.0  # seconds of an attempt, after which others of its owner wait
_SLOW_PAUSE = 60.0  # seconds that they wait
_MOST_DUE = 500  # that one sweep queues
_MOST_OWNERS = 10_000  # whose slowness a process remembers


class Deliverer:
    """One process's deliveries, few at once of each owner, so that a slow receiver delays only its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._working = set[str]()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._of_owners = WeakValueDictionary[str, asyncio.Semaphore]()
        self._slow_until = dict[str, float]()

    async def deliver(self, message: Delivery) -> None:
        """Make one attempt, if it is time for one. Raises StoreUnavailable."""
        if message.id in self._working:
            return
        self._working.add(message.id)
        of_owner = self._of_owners.setdefault(message.owner, asyncio.Semaphore(_AT_ONCE_OF_OWNER))
        try:
            async with of_owner, self._places:
                await self._deliver(message)
        finally:
            self._working.discard(message.id)

    async def _deliver(self, message: Delivery) -> None:
        delivery = await find_delivery(self._store, message.owner, message.id)
        if delivery is None or delivery.next_attempt_at is None or delivery.next_attempt_at > time.time():
            return
        endpoint = await find_endpoint(self._store, message.owner)
        if endpoint is None or delivery.event not in endpoint.events:  # it was deleted, or changed
            changes = _dropped(delivery)
        elif time.monotonic() < self._slow_until.get(message.owner, 0.0):
            changes = delivery.changes_to(_retried(delivery, _SLOW_PAUSE))
        else:
            changes = delivery.changes_to(await self._attempt(delivery, endpoint))
        try:
            await self._store.write(*changes)
        except Conflict:  # another process has made an attempt, or it was asked for again
            return

    async def _attempt(self, delivery: StoredDelivery, endpoint: Endpoint) -> StoredDelivery:
        begun, now, status, error = time.monotonic(), int(time.time()), None, None
        body = json.dumps(delivery.payload, separators=(",", ":")).encode()
        try:
            status = await post(parse(endpoint.url), signed_headers(delivery.id, now, body, endpoint.secrets), body)
        except (NotDelivered, ValueError) as failure:
            error = str(failure)
        if time.monotonic() - begun > _SLOW:
            self._mark_slow(delivery.owner)
        attempts = delivery.attempts + 1
        tried = replace(delivery, attempts=attempts, last_attempt_at=now, last_status=status, last_error=error)
        if status is not None and 200 <= status < 300:
            return replace(tried, status="delivered", next_attempt_at=None, due="")
        return _retried(tried, min(_FIRST_PAUSE * _PAUSE_FACTOR ** min(delivery.attempts, 10), _LONGEST_PAUSE))

    def _mark_slow(self, owner: str) -> None:
        if len(self._slow_until) >= _MOST_OWNERS:
            self._slow_until.clear()
        self._slow_until[owner] = time.monotonic() + _SLOW_PAUSE

    async def due(self) -> list[Delivery]:
        """Return what is to be tried now: retries, and new ones whose messages were lost."""
        records = await self._store.query(DUE, before=f"{int(time.time()):010d}", limit=_MOST_DUE)
        return [Delivery(**record.body) for record in records]


def _retried(delivery: StoredDelivery, pause: float) -> StoredDelivery:
    """Return the delivery as it waits for `pause` seconds, or as it has failed if its time is over."""
    at = int(time.time() + pause * random.uniform(1.0, 1.1))
    if at <= delivery.retry_until:
        return replace(delivery, next_attempt_at=at, due=delivery.due_at(at))
    telemetry.log_webhook_failure(
        event_id=delivery.id,
        event=delivery.event,
        response_id=delivery.response_id,
        owner=owner_digest(delivery.owner),
        attempts=delivery.attempts,
        webhook_failed=delivery.last_error or f"status {delivery.last_status}",
    )
    return replace(delivery, status="failed", next_attempt_at=None, due="")


def _dropped(delivery: StoredDelivery) -> list[Change]:
    partition, key = deliveries_partition(delivery.owner), str(delivery_key(delivery.id))
    return [Delete(partition, key, delivery.version), Delete(DUE, delivery.due)]
