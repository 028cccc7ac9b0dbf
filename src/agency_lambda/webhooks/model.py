"""The records of webhooks: an owner's endpoint, and what is sent to it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from agency_lambda.errors import NotFound
from agency_lambda.protocol.ids import created_microseconds, new_id
from agency_lambda.queue.messages import Delivery
from agency_lambda.store import ABSENT, Change, Delete, Put, Record, Store
from agency_lambda.webhooks import WebhookEvent

END_EVENTS: dict[str, WebhookEvent] = {
    "completed": "response.completed",
    "failed": "response.failed",
    "incomplete": "response.incomplete",
    "cancelled": "response.cancelled",
}
"""The status of a response that has ended -> the event."""
DUE = "webhooks/due"
"""The partition with one row for each delivery that is to be tried, in the order of time."""
RETRIES = 72 * 3600  # seconds in which a delivery that fails is tried again
_KEPT = 30 * 24 * 3600  # seconds that the record of a delivery is kept
_GRACE = 5  # seconds that the message of a new delivery has to reach a worker, before the sweep sends another one
_ENDPOINT = "endpoint"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """previous_secret: also signs until `previous_until`, in Unix seconds."""

    url: str
    events: Sequence[str]
    secret: str
    created_at: int
    previous_secret: str | None = None
    previous_until: int = 0
    version: str = ABSENT

    @property
    def secrets(self) -> list[str]:
        """The secrets that sign, the newest first."""
        is_valid = self.previous_secret is not None and time.time() < self.previous_until
        return [self.secret, *([self.previous_secret] if self.previous_secret and is_valid else [])]

    @property
    def resource(self) -> dict[str, Any]:
        shown = {"url": self.url, "events": list(self.events), "created_at": self.created_at}
        return {"object": "webhook", **shown}

    def put(self, owner: str) -> Put:
        body = asdict(self)
        del body["version"]
        return Put(endpoint_partition(owner), _ENDPOINT, body, expected=self.version)


def endpoint_partition(owner: str) -> str:
    return f"{owner}/webhook"


def delete_endpoint(owner: str) -> Delete:
    return Delete(endpoint_partition(owner), _ENDPOINT)


async def find_endpoint(store: Store, owner: str) -> Endpoint | None:
    record = await store.get(endpoint_partition(owner), _ENDPOINT)
    return Endpoint(**record.body, version=record.version) if record else None


def no_webhook() -> NotFound:
    return NotFound("There is no webhook: PUT /v1/webhooks sets one.")


@dataclass(frozen=True, kw_only=True)
class StoredDelivery:
    """An event for an owner's endpoint, and how often it was sent. Times are in Unix seconds."""

    id: str
    owner: str
    event: WebhookEvent
    response_id: str
    created_at: int
    next_attempt_at: int | None
    retry_until: int
    expires: int
    approvals: Sequence[str] = ()
    status: Literal["pending", "delivered", "failed"] = "pending"
    attempts: int = 0
    last_attempt_at: int | None = None
    last_status: int | None = None
    last_error: str | None = None
    due: str = ""  # the sort key of its row in `DUE`, if it is to be tried
    root_response_id: str | None = None  # that the client has asked for, if another one waits for it
    version: str = field(default=ABSENT, compare=False)

    @classmethod
    def new(
        cls,
        owner: str,
        event: WebhookEvent,
        response_id: str,
        approvals: Sequence[str] = (),
        root_response_id: str | None = None,
    ) -> "StoredDelivery":
        now = int(time.time())
        fields: dict[str, Any] = {"event": event, "response_id": response_id, "approvals": list(approvals)}
        fields["root_response_id"] = root_response_id
        delivery = cls(id=new_id("evt"), owner=owner, created_at=now, **fields, **_from(now))
        return replace(delivery, due=delivery.due_at(now + _GRACE))

    @classmethod
    def from_record(cls, record: Record) -> "StoredDelivery":
        return cls(**record.body, version=record.version)

    @property
    def message(self) -> Delivery:
        return Delivery(id=self.id, owner=self.owner)

    @property
    def payload(self) -> dict[str, Any]:
        """Return what is sent, as OpenAI's events, and the same in every attempt."""
        data = {"id": self.response_id} | ({"approvals": list(self.approvals)} if self.approvals else {})
        data |= {"root_response_id": self.root_response_id} if self.root_response_id else {}
        return {"id": self.id, "object": "event", "created_at": self.created_at, "type": self.event, "data": data}

    @property
    def resource(self) -> dict[str, Any]:
        shown = ("event", "response_id", "created_at", "status", "attempts")
        times = ("last_attempt_at", "last_status", "last_error", "next_attempt_at")
        fields = {name: getattr(self, name) for name in (*shown, *times)}
        return {"id": self.id, "object": "webhook.delivery", **fields}

    def due_at(self, seconds: int) -> str:
        return f"{seconds:010d}/{self.owner}/{self.id}"

    def new_changes(self) -> list[Change]:
        """Return the changes to write together with what it announces."""
        return [self._put(), self._put_due()]

    def renewed(self) -> "StoredDelivery":
        """Return the delivery as it begins anew."""
        now = int(time.time())
        return replace(self, status="pending", attempts=0, due=self.due_at(now + _GRACE), **_from(now))

    def changes_to(self, after: "StoredDelivery") -> list[Change]:
        changes: list[Change] = [after._put()]
        if after.due != self.due:
            changes += [Delete(DUE, self.due)] if self.due else []
            changes += [after._put_due()] if after.due else []
        return changes

    def _put(self) -> Put:
        body = asdict(self)
        del body["version"]
        if self.root_response_id is None:  # an earlier version cannot read it
            del body["root_response_id"]
        return Put(deliveries_partition(self.owner), str(delivery_key(self.id)), body, self.expires, self.version)

    def _put_due(self) -> Put:
        return Put(DUE, self.due, asdict(self.message), self.expires)


def _from(now: int) -> dict[str, Any]:
    return {"next_attempt_at": now, "retry_until": now + RETRIES, "expires": now + _KEPT}


def deliveries_partition(owner: str) -> str:
    return f"{owner}/deliveries"


def delivery_key(event_id: str) -> str | None:
    """Return None for what is no id of an event."""
    created = created_microseconds(event_id) if event_id.startswith("evt_") else None
    return None if created is None else f"{created:016d}/{event_id}"


async def find_delivery(store: Store, owner: str, event_id: str) -> StoredDelivery | None:
    key = delivery_key(event_id)
    record = await store.get(deliveries_partition(owner), key) if key else None
    return StoredDelivery.from_record(record) if record else None
