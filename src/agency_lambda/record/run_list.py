"""Lists runs: the newest first, by status, model, conversation and time."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agency_lambda.record.index_pages import PageQuery, entries, page
from agency_lambda.runs.message_rows import open_messages
from agency_lambda.runs.model import Lease, StoredResponse, lease_partition, response_partition
from agency_lambda.runs.run_index import entry_body, index_partition
from agency_lambda.store import Record, Store

_MOST_ENTRIES = 500  # that one page looks at
_MOST_READS = 100  # of responses that may have begun meanwhile
_MOST_BYTES = 10_000_000  # of these responses
_READS_AT_ONCE = 8
_CHUNK = 100  # entries in one read, where a filter may leave few of them
_FEW = 10  # entries in one read of an owner, where there are many owners


@dataclass(frozen=True)
class RunFilter:
    """model: an agency, or one agent of it."""

    status: str | None = None
    model: str | None = None
    conversation: str | None = None

    def may_match(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry matches, as far as it is known without its response."""
        known = [entry["status"]] if entry["status"] != "queued" else ["queued", "in_progress"]
        return (
            self.status in (None, *known)
            and self.conversation in (None, entry["conversation"])
            and self.model in (None, entry["model"], entry["model"].partition("/")[0])
        )

    @property
    def is_empty(self) -> bool:
        return self == RunFilter()


async def list_runs(
    store: Store, owners: Sequence[str], query: PageQuery, selected: RunFilter, *, for_operator: bool = False
) -> dict[str, Any]:
    """for_operator: include owners and models.

    A bounded number of entries is read, so a page may have no items and `has_more`.
    """
    at_once = query.limit + 1 if selected.is_empty else _CHUNK
    if len(owners) > 1:
        at_once = min(at_once, max(_FEW, 2 * at_once // len(owners)))
    found = entries(store, [index_partition(owner) for owner in owners], query, at_once=at_once)
    try:
        return await _Page(store, query, selected, for_operator).read(found)
    finally:
        await found.aclose()


class _Page:
    def __init__(self, store: Store, query: PageQuery, selected: RunFilter, for_operator: bool) -> None:
        self._store, self._query, self._selected, self._for_operator = store, query, selected, for_operator
        self._looked_at = self._reads = self._bytes = 0
        self._data: list[dict[str, Any]] = []
        self._last: str | None = None  # id of the last entry that was looked at

    async def read(self, found: AsyncGenerator[Record]) -> dict[str, Any]:
        candidates = list[Record]()
        has_more = False
        async for record in found:
            if len(candidates) == _READS_AT_ONCE or len(self._data) + len(candidates) == self._query.limit:
                await self._add(candidates)
                candidates = []
            if self._is_full:
                has_more = True
                break
            self._looked_at += 1
            self._last = record.body["id"]
            if self._selected.may_match(record.body):
                candidates.append(record)
        await self._add(candidates)
        return page(self._data, self._query, last_read=self._last if has_more else None)

    @property
    def _is_full(self) -> bool:
        return (
            len(self._data) == self._query.limit
            or self._looked_at == _MOST_ENTRIES
            or self._reads >= _MOST_READS
            or self._bytes >= _MOST_BYTES
        )

    async def _add(self, candidates: Sequence[Record]) -> None:
        for item in await asyncio.gather(*map(self._current, candidates)):
            if item and self._selected.status in (None, item["status"]):
                self._data.append(item)

    async def _current(self, record: Record) -> dict[str, Any] | None:
        """Return a list item; None if the response was deleted meanwhile."""
        owner, entry = record.partition.partition("/")[0], record.body
        if entry["status"] == "queued":  # the entry is not written again when the run begins
            self._reads += 1
            response = await self._store.get(response_partition(owner, entry["id"]), "response")
            if response is None or response.body is None:
                return None
            self._bytes += response.size
            entry = entry | entry_body(response.body["response"])
        elif entry["status"] == "in_progress":
            entry = entry | await self._waiting(owner, entry["id"])
        by_model = entry["by_model"]
        public = {name: value for name, value in entry.items() if name != "by_model"}
        return {"object": "response", **public} | ({"owner": owner, "by_model": by_model} if self._for_operator else {})

    async def _waiting(self, owner: str, run_id: str) -> dict[str, Any]:
        """Return what a run waits for that has waited before, and how many messages are without an answer."""
        self._reads += 1
        found = await self._store.get(lease_partition(run_id, waiting=True), run_id)
        if found is None:
            return {}
        lease, has_asked, messages = Lease.from_record(found), False, {}
        if lease.waits_for_child_runs:
            response = await self._store.get(response_partition(owner, run_id), "response")
            if response is None or response.body is None:
                return {}
            self._bytes += response.size
            stored = StoredResponse.from_record(response)
            has_asked = bool(stored.asked)
            messages = {"open_messages": len(await open_messages(self._store, owner, stored.root))}
        return {"waits_for": lease.waits_for(has_asked=has_asked), **messages}
