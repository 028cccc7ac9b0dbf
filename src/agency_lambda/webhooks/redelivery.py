import logging

from agency_lambda.errors import InvalidRequest, NotFound
from agency_lambda.queue import Queue
from agency_lambda.store import Conflict, Store
from agency_lambda.webhooks.endpoints import get_endpoint
from agency_lambda.webhooks.model import StoredDelivery, find_delivery

logger = logging.getLogger(__name__)


async def redeliver(store: Store, queue: Queue, owner: str, event_id: str) -> StoredDelivery:
    """Begin the attempts at a delivery anew. Raises NotFound, InvalidRequest."""
    while True:
        delivery = await find_delivery(store, owner, event_id)
        if delivery is None:
            raise NotFound(f"Delivery with id {event_id[:99]!r} not found.")
        endpoint = await get_endpoint(store, owner)
        if delivery.event not in endpoint.events:
            raise InvalidRequest(f"The webhook does not get {delivery.event}: name it in its events.")
        again = delivery.renewed()
        try:
            await store.write(*delivery.changes_to(again))
        except Conflict:  # an attempt has ended meanwhile
            continue
        try:
            await queue.send(again.message)
        except Exception:  # then the sweep sends it
            logger.exception("the queue did not take a delivery")
        return again
