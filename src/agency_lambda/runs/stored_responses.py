"""Reads the responses of one owner, and waits for what other processes write."""

import math
from collections.abc import AsyncGenerator
from typing import Any

from agency_lambda.errors import NotFound
from agency_lambda.history.turns import HistoryCursor, is_valid_id
from agency_lambda.protocol.types import Item
from agency_lambda.runs.following import follow, until_decided, until_over
from agency_lambda.runs.model import BEHIND_EVENT_ROWS, EVENT_ROWS, StoredResponse, expiry, response_partition
from agency_lambda.store import ABSENT, Put, Store


class Responses:
    """The stored responses of one owner."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner

    def log(self, response_id: str) -> str:
        return f"{self._owner}/log/{response_id}"

    def append_cursor(self, cursor: HistoryCursor, response_id: str) -> HistoryCursor:
        """Return where a response adds its turn: to the log it continues, or its own."""
        is_log = cursor.spans[-1].log.startswith(self.log(""))
        return cursor if is_log else cursor.branch(self.log(response_id))

    def void(self, response_id: str) -> Put:
        """Return the change that keeps a response from being stored by a write that may still arrive."""
        return Put(self.partition(response_id), "response", None, expiry(), expected=ABSENT)

    async def get(self, response_id: str, param: str | None = None) -> StoredResponse:
        """Raise NotFound if there is none. param: the request's parameter that names it, for the error."""
        record = await self._store.get(self.partition(response_id), "response") if is_valid_id(response_id) else None
        if record is None or record.body is None:
            code = "previous_response_not_found" if param else None
            raise NotFound(f"Response with id {response_id[:99]!r} not found.", param=param, code=code)
        return StoredResponse.from_record(record)

    async def last(self, response_id: str) -> StoredResponse:
        """Return the response that goes on, or has gone on last, after one that has ended with an open approval."""
        stored = await self.get(response_id)
        return await self.last(stored.continued_by) if stored.continued_by else stored

    async def output(self, response_id: str) -> list[Item]:
        """Return the items of a response; [] if there is none."""
        try:
            items: list[Item] = (await self.get(response_id)).response["output"]
        except NotFound:
            return []
        return items

    async def final(self, response_id: str, seconds: float = math.inf) -> StoredResponse:
        """Return a response when it is final or time is up."""
        await until_over(self._store, self.partition(response_id), response_id, seconds)
        return await self.get(response_id)

    async def decided(self, response_id: str, seconds: float = math.inf) -> StoredResponse | None:
        """Return a response when it does not wait for a person any more; None when time is up."""
        if not await until_decided(self._store, self.partition(response_id), response_id, seconds):
            return None
        return await self.get(response_id)

    async def stored_events(self, response_id: str) -> list[Any]:
        """Return the stored events without a gap."""
        records = await self._store.query(self.partition(response_id), after=EVENT_ROWS, before=BEHIND_EVENT_ROWS)
        events = [event for record in records for event in record.body]
        return [event for number, event in enumerate(events) if event["sequence_number"] == number]

    def events(self, response_id: str, after: int = -1) -> AsyncGenerator[Any]:
        """Yield events behind number `after`, also later ones: see `follow`."""
        return follow(self._store, self.partition(response_id), response_id, after)

    def partition(self, response_id: str) -> str:
        return response_partition(self._owner, response_id)
