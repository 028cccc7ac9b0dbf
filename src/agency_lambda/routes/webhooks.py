from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agency_lambda.record.index_pages import read_page
from agency_lambda.routes.dependencies import Caller
from agency_lambda.routes.paging import CursorPage
from agency_lambda.routes.strict import StrictRoute
from agency_lambda.webhooks import WebhookEvent

# The routes import what they need, so that a start does not pay for what few clients ask for.
router = APIRouter(prefix="/v1/webhooks", route_class=StrictRoute)


def _valid_url(url: str) -> str:
    from agency_lambda.webhooks.targets import parse

    parse(url)
    return url


class Webhook(BaseModel):
    """Where an owner's events are sent. rotate_secret: make a new secret, and show it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Annotated[str, Field(max_length=2048), AfterValidator(_valid_url)]
    events: Annotated[list[WebhookEvent], Field(min_length=1, max_length=5)]
    rotate_secret: bool = False


@router.put("", response_model=None)
async def set_webhook(body: Webhook, caller: Caller) -> dict[str, Any]:
    """Set where events of the caller's responses are sent. The answer has the `secret` if it is new."""
    from agency_lambda.webhooks.endpoints import save_endpoint

    events = list(dict.fromkeys(body.events))
    saved, is_new = await save_endpoint(
        caller.runs.store, caller.owner, body.url, events, rotates_secret=body.rotate_secret
    )
    caller.runs.announcements.forget(caller.owner)
    return {**saved.resource, **({"secret": saved.secret} if is_new else {})}


@router.get("", response_model=None)
async def retrieve_webhook(caller: Caller) -> dict[str, Any]:
    """Return where events are sent, without the secret."""
    from agency_lambda.webhooks.endpoints import get_endpoint

    return (await get_endpoint(caller.runs.store, caller.owner)).resource


@router.delete("", response_model=None)
async def delete_webhook(caller: Caller) -> dict[str, Any]:
    """Send no more events. What has not been delivered is dropped."""
    from agency_lambda.webhooks.endpoints import remove_endpoint

    await remove_endpoint(caller.runs.store, caller.owner)
    caller.runs.announcements.forget(caller.owner)
    return {"object": "webhook", "deleted": True}


@router.get("/deliveries", response_model=None)
async def list_deliveries(caller: Caller, requested: CursorPage) -> dict[str, Any]:
    """List the events of the last 30 days, newest first, and how each was delivered."""
    from agency_lambda.webhooks.model import StoredDelivery, deliveries_partition, delivery_key

    query, partition = requested.query(delivery_key), deliveries_partition(caller.owner)
    return await read_page(
        caller.runs.store, partition, query, lambda record: StoredDelivery.from_record(record).resource
    )


@router.post("/deliveries/{delivery_id}/redeliver", response_model=None)
async def redeliver_event(delivery_id: str, caller: Caller) -> dict[str, Any]:
    """Send an event again now, with the same id, and go on for another 72 hours if it fails."""
    from agency_lambda.webhooks.redelivery import redeliver

    return (await redeliver(caller.runs.store, caller.runs.queue, caller.owner, delivery_id)).resource
