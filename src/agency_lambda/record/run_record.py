"""Everything that is stored of a run and of the runs that it has sent messages to, for its trace."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from agency_lambda.errors import NotFound
from agency_lambda.protocol.ids import created_microseconds
from agency_lambda.protocol.journal_keys import stored_range
from agency_lambda.protocol.response_object import FINAL
from agency_lambda.record.open_approvals import open_approvals
from agency_lambda.record.rows import JournalRows, MessageRow
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import Lease, StoredResponse, response_partition
from agency_lambda.runs.run_index import entry_key, index_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Store

_AT_ONCE = 8  # child runs that are read at the same time
_MOST_BYTES = 40_000_000  # of journals, behind which no more child runs are read


@dataclass
class RunRecord:
    stored: StoredResponse
    rows: JournalRows
    lease: Lease | None  # of an unfinished run
    attempts: int
    ended_at: float | None  # of a run that is over, if its entry in the index says so
    since: float  # when it began, if it continues another one's journal
    size: int
    children: dict[str, "RunRecord"] = field(default_factory=dict)  # by tool call, except deleted ones
    is_cut: bool = False  # some children were too large to be read

    @property
    def is_over(self) -> bool:
        return self.stored.response["status"] in FINAL

    @property
    def waits_for(self) -> str | None:
        return self.lease.waits_for(has_asked=bool(self.stored.asked)) if self.lease else None

    def cut(self) -> None:
        self.is_cut, self.children = True, {}


async def load_record(store: Store, owner: str, response_id: str) -> RunRecord:
    """Raises NotFound."""
    root = await _load(store, owner, response_id)
    level, left = [root], _MOST_BYTES - root.size
    while level:
        below: list[RunRecord] = []
        for some in batched(_messages(level), _AT_ONCE, strict=False):
            if left < 0:
                root.is_cut = True
                break
            found = await asyncio.gather(*(_find(store, owner, row) for _, _, row in some))
            for (sender, name, _), child in zip(some, found, strict=True):
                if child:
                    sender.children[name] = child
                    below.append(child)
                    left -= child.size
        level = below
    return root


def _messages(records: list[RunRecord]) -> Iterator[tuple[RunRecord, str, MessageRow]]:
    for record in records:
        for name, row in record.rows.messages.items():
            if row.run:
                yield record, name, row


async def _find(store: Store, owner: str, row: MessageRow) -> RunRecord | None:
    try:
        return await _load(store, owner, row.run or "")
    except NotFound:  # it was deleted
        return None


async def _load(store: Store, owner: str, response_id: str) -> RunRecord:
    stored = await Responses(store, owner).get(response_id)
    records = await store.query(response_partition(owner, stored.root), **stored_range())
    rows = JournalRows(records, _made_at(stored.continued_by, math.inf))
    for key, row in await open_approvals(store, owner, stored, rows):
        rows.add_approval(key, row)
    since = _made_at(response_id if stored.continues else None, 0.0)
    lease = None if stored.response["status"] in FINAL else await Leases(store).find(response_id)
    entry = await _entry(store, owner, stored)
    attempts = max(rows.attempts(since), _counted_attempts(stored, lease, entry))
    size = sum(record.size for record in records)
    return RunRecord(stored, rows, lease, attempts, entry.get("ended_at"), since, size)


def _made_at(response_id: str | None, otherwise: float) -> float:
    """Return when a continuation began, in Unix seconds: what is older in its journal is of the responses before it."""
    made = response_id and created_microseconds(response_id)
    return made / 10**6 if made else otherwise


async def _entry(store: Store, owner: str, stored: StoredResponse) -> dict[str, Any]:
    """Return what the index says of a run that is over: nothing of one that a message has begun."""
    if stored.response["status"] not in FINAL or stored.sending is not None:
        return {}
    key = entry_key(stored.response["id"])
    found = await store.get(index_partition(owner), key) if key else None
    return found.body if found else {}


def _counted_attempts(stored: StoredResponse, lease: Lease | None, entry: dict[str, Any]) -> int:
    # Rows tell of one that handed over, which is not counted, and not of one that found every answer in the journal.
    response = stored.response
    if response["status"] not in FINAL:
        return lease.attempts if lease else 0
    has_replayed = (response["usage"] or {}).get("replayed_calls")
    return max(entry.get("attempts") or 0, 2 if has_replayed else 1)
