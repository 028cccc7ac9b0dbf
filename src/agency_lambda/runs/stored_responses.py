"""Responses, with their input and their stream of events."""

import math
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from agency_lambda.errors import NotFound
from agency_lambda.history.turns import HistoryCursor, delete_partition, is_valid_id
from agency_lambda.protocol.response_object import ResponseObject
from agency_lambda.protocol.types import Item
from agency_lambda.runs.following import BEHIND_ROWS, ROWS, follow, row, until_over
from agency_lambda.store import ABSENT, Put, Store

RETENTION = 30 * 24 * 3600  # seconds that a response and its turn are kept


def expiry() -> int:
    """When something that is written now is not kept any more."""
    return int(time.time()) + RETENTION


@dataclass(frozen=True)
class StoredRequest:
    """What a run was asked, so that another attempt can begin with the same.

    request: the body of the request. input: its items. start: the place that it continues; thread: the conversation.
    """

    request: dict[str, Any]
    input: list[Item]
    start: list[Any]
    thread: str | None


@dataclass(frozen=True)
class StoredResponse:
    """A response as it is kept.

    place: where it stands in what was said; None: it has not added to it.
    """

    response: ResponseObject
    asked: StoredRequest
    place: HistoryCursor | None
    version: str

    @property
    def streamed(self) -> bool:
        """Whether its events are kept too."""
        return bool(self.asked.request.get("stream"))


class Responses:
    """The responses of one owner."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner

    def log(self, response_id: str) -> str:
        """The log that begins with this response."""
        return f"{self._owner}/log/{response_id}"

    def continued(self, place: HistoryCursor, response_id: str) -> HistoryCursor:
        """Where this response adds to what was said: to the log itself, but to no conversation that it is not in."""
        return place if place.segments[-1].log.startswith(self.log("")) else place.branch(self.log(response_id))

    def put(
        self, response: ResponseObject, asked: StoredRequest, place: HistoryCursor | None, expected: str = ABSENT
    ) -> Put:
        """The change that keeps a response."""
        body = {"response": response, **vars(asked), "place": place and place.as_json}
        return Put(self.partition(response["id"]), "response", body, expiry(), expected=expected)

    def void(self, response_id: str) -> Put:
        """The change that keeps a response from ever being there, if it is not."""
        return Put(self.partition(response_id), "response", None, expiry(), expected=ABSENT)

    def put_events(self, response_id: str, events: Sequence[Any]) -> Put:
        """The change that keeps some of its events, which follow on each other."""
        return Put(self.partition(response_id), row(events[0]["sequence_number"]), list(events), expiry())

    def put_asked(self, response_id: str, asked: Collection[str]) -> Put:
        """The change that notes which model calls of it are under way."""
        return Put(self.partition(response_id), "journal/asked", sorted(asked), expiry())

    async def get(self, response_id: str, param: str | None = None) -> StoredResponse:
        """One response.

        Raises:
            NotFound: it is not there, or another owner's, which is the same.
        """
        record = await self._store.get(self.partition(response_id), "response") if is_valid_id(response_id) else None
        if record is None or record.body is None:
            code = "previous_response_not_found" if param else None
            raise NotFound(f"Response with id {response_id[:99]!r} not found.", param=param, code=code)
        body = record.body
        place = HistoryCursor.from_json(body["place"]) if body["place"] else None
        asked = StoredRequest(body["request"], body["input"], body["start"], body["thread"])
        return StoredResponse(body["response"], asked, place, record.version)

    async def output(self, response_id: str) -> list[Item]:
        """Return the output items of a response; none if it is not there, or another owner's."""
        try:
            items: list[Item] = (await self.get(response_id)).response["output"]
        except NotFound:
            return []
        return items

    async def final(self, response_id: str, seconds: float = math.inf) -> StoredResponse:
        """One response, when it does not change any more; or as it is after so long, or when the invocation ends."""
        await until_over(self._store, self.partition(response_id), response_id, seconds)
        return await self.get(response_id)

    async def delete(self, response_id: str) -> None:
        """Forget a response and its events. What it has added to a conversation stays there."""
        await self.get(response_id)
        await delete_partition(self._store, self.partition(response_id))

    async def told(self, response_id: str) -> list[Any]:
        """The events that are kept."""
        records = await self._store.query(self.partition(response_id), after=ROWS, before=BEHIND_ROWS)
        events = [event for record in records for event in record.body]
        return [event for number, event in enumerate(events) if event["sequence_number"] == number]

    def events(self, response_id: str, after: int = -1) -> AsyncGenerator[Any]:
        """The events behind sequence number `after`, and then each that is added: see `follow`."""
        return follow(self._store, self.partition(response_id), response_id, after)

    def partition(self, response_id: str) -> str:
        """Where everything of one response lies."""
        return f"{self._owner}/response/{response_id}"
