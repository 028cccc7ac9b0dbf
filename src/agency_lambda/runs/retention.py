"""Keeps the records of a run that waits, which would expire before it goes on."""

from itertools import batched

from agency_lambda.budgets.accounts import RUN_ACCOUNT
from agency_lambda.history.turns import load_records
from agency_lambda.runs.message_rows import COUNTER
from agency_lambda.runs.model import Run, response_partition
from agency_lambda.runs.owners import OWNERS
from agency_lambda.runs.run_index import entry_key, index_partition
from agency_lambda.store import Add, Conflict, Put, Record, Store

_AT_ONCE = 10  # records in a write
_MORE = 6 * 3600  # seconds that records live longer, so that a run which soon waits again need not write them again


async def keep(store: Store, run: Run, until: int) -> None:
    """Let all records of a run, of those that it continues, of its history and its owner live until `until`.

    until: Unix seconds.

    Raises:
        NotFound: its history has expired.
    """
    own = response_partition(run.owner, run.id), "response"
    before = run.stored.continues.before if run.stored.continues else []
    records = [
        record for each in (*before, run.id) for record in await store.query(response_partition(run.owner, each))
    ]
    records = [each for each in records if (each.partition, each.sort) != own]  # written in the end, with what follows
    records += [entry for each in before if (entry := await _entry(store, run.owner, each))]
    records += [record for span in run.cursor.spans if span.turns for record in await load_records(store, span)]
    records += [owner] if (owner := await store.get(OWNERS, run.owner)) else []
    soon = [record for record in records if record.expires is not None and record.expires < until]
    for some in batched(soon, _AT_ONCE, strict=False):
        try:
            await store.write(*(_extended(record, until + _MORE) for record in some))
        except Conflict:  # one of them was written or deleted meanwhile
            await _extend_each(store, some, until + _MORE)


async def _entry(store: Store, owner: str, response_id: str) -> Record | None:
    key = entry_key(response_id)
    return await store.get(index_partition(owner), key) if key else None


async def _extend_each(store: Store, records: tuple[Record, ...], until: int) -> None:
    for record in records:
        found: Record | None = record
        while found:
            try:
                await store.write(_extended(found, until))
                break
            except Conflict:
                found = await store.get(record.partition, record.sort)


def _extended(record: Record, until: int) -> Put | Add:
    if record.sort in (RUN_ACCOUNT, COUNTER):  # which a Put would begin anew
        return Add(record.partition, record.sort, {}, expires=until)
    return Put(record.partition, record.sort, record.body, until, expected=record.version)
