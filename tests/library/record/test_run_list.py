"""Lists of runs: their order, their bounds, and what a page costs."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agency_lambda.history.conversations import Conversations
from agency_lambda.protocol import ids
from agency_lambda.protocol.ids import created_microseconds, new_id
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.record import run_list
from agency_lambda.record.index_pages import PageQuery
from agency_lambda.record.run_list import RunFilter, list_runs
from agency_lambda.runs.creation import new_run
from agency_lambda.runs.model import response_partition
from agency_lambda.runs.owners import Owners
from agency_lambda.runs.run_index import delete_entry, entry_key, put_entry
from agency_lambda.store import Put, Record, Store, open_store
from benchmarks.watched_store import MemoryStore

BEGINNING = 1_700_000_000  # Unix seconds


class Counting:
    """Counts the calls of a store and the records that they return."""

    def __init__(self, store: Store) -> None:
        self.store, self.calls, self.records = store, 0, 0
        self.write, self.aclose = store.write, store.aclose

    async def get(self, partition: str, sort: str) -> Record | None:
        self.calls += 1
        self.records += 1
        return await self.store.get(partition, sort)

    async def query(self, partition: str, **bounds: Any) -> list[Record]:
        found = await self.store.query(partition, **bounds)
        self.calls += 1
        self.records += len(found)
        return found


def response(run_id: str, **fields: Any) -> dict[str, Any]:
    created = created_microseconds(run_id)
    known = dict.fromkeys(("completed_at", "error", "incomplete_details", "usage"))
    made = {"id": run_id, "model": "desk", "status": "completed", "background": False, "created_at": created, **known}
    return {**made, **fields}


async def fill(store: Store, owner: str, number: int, **fields: Any) -> list[str]:
    """Return the ids of new entries, the oldest first."""
    made = []
    for start in range(0, number, 25):
        puts: list[Put] = []
        for _ in range(start, min(start + 25, number)):
            made.append(new_id("resp"))
            puts += put_entry(owner, response(made[-1], **fields))
        await store.write(*puts)
    return made


def on_memory(play: Callable[[Store], Awaitable[None]]) -> None:
    asyncio.run(play(MemoryStore()))  # type: ignore[arg-type]


async def walk(
    store: Store, owners: list[str], selected: RunFilter | None = None, *, limit: int = 3, **query: Any
) -> list[str]:
    """Return the ids of all pages, as a client asks for them."""
    found, after = list[str](), ""
    for _ in range(2_000):
        page = await list_runs(store, owners, PageQuery(limit, after=after, **query), selected or RunFilter())
        assert len(page["data"]) <= limit
        found += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            return found
        after = entry_key(page["last_id"]) or ""
    raise AssertionError("the pages do not end")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each id is made some microseconds after the one before."""
    now = [BEGINNING * 10**9]

    def tick() -> int:
        now[0] += random.Random(now[0]).choice([1_000, 999_000, 250_000_000])
        return now[0]

    monkeypatch.setattr(ids.time, "time_ns", tick)


def test_id_of_a_response_says_when_it_was_made_to_the_microsecond(monkeypatch: pytest.MonkeyPatch) -> None:
    for microseconds in [BEGINNING * 10**6 + number for number in (0, 1, 244, 245, 499, 500, 998, 999, 1_000, 123_457)]:
        monkeypatch.setattr(ids.time, "time_ns", lambda at=microseconds: 1_000 * at + 7)
        assert created_microseconds(new_id("resp")) == microseconds
        assert len(new_id("resp")) == len("resp_") + 32
    assert new_id("resp") != new_id("resp")
    for other in (new_id("msg"), "resp_x", "resp_" + "0" * 32, ""):
        assert created_microseconds(other) is None


@pytest.mark.usefixtures("ticking")
@pytest.mark.parametrize("owners", [["ann"], ["ann", "bob", "cid"]])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_have_every_run_once_and_in_order(owners: list[str], limit: int) -> None:
    async def play(store: Store) -> None:
        made = []
        for number in range(24):
            made += await fill(store, owners[number % len(owners)], 1)
        assert await walk(store, owners, limit=limit) == made[::-1]
        assert await walk(store, owners, limit=limit, descending=False) == made
        assert await walk(store, ["nobody"], limit=limit) == []

    on_memory(play)


@pytest.mark.usefixtures("ticking")
def test_page_before_an_entry_is_the_one_that_ends_there() -> None:
    async def play(store: Store) -> None:
        made = await fill(store, "ann", 10)
        for descending in (True, False):
            ordered = made[::-1] if descending else made
            query = PageQuery(3, descending=descending, before=entry_key(ordered[6]) or "")
            page = await list_runs(store, ["ann"], query, RunFilter())
            assert [item["id"] for item in page["data"]] == ordered[3:6]
            assert (page["first_id"], page["last_id"], page["has_more"]) == (ordered[3], ordered[5], True)
            query = PageQuery(7, descending=descending, before=entry_key(ordered[3]) or "")
            page = await list_runs(store, ["ann"], query, RunFilter())
            assert ([item["id"] for item in page["data"]], page["has_more"]) == (ordered[:3], False)
            between = PageQuery(
                9, descending=descending, after=entry_key(ordered[2]) or "", before=entry_key(ordered[5]) or ""
            )
            page = await list_runs(store, ["ann"], between, RunFilter())
            assert [item["id"] for item in page["data"]] == ordered[3:5]

    on_memory(play)


def test_times_of_creation_include_the_first_second_and_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(store: Store) -> None:
        made = []
        for microseconds in (0, 999_999, 1_000_000, 1_999_999, 2_000_000):
            monkeypatch.setattr(ids.time, "time_ns", lambda at=microseconds: (BEGINNING * 10**6 + at) * 1_000)
            made += await fill(store, "ann", 1)
        times = {"created_after": BEGINNING + 1, "created_before": BEGINNING + 2}
        assert await walk(store, ["ann"], descending=False, **times) == made[2:4]
        assert await walk(store, ["ann"], created_after=BEGINNING + 2) == made[4:]
        assert await walk(store, ["ann"], descending=False, created_before=BEGINNING + 1) == made[:2]

    on_memory(play)


@pytest.mark.usefixtures("ticking")
def test_run_that_a_client_pages_from_may_be_deleted() -> None:
    async def play(store: Store) -> None:
        made = await fill(store, "ann", 6)
        first = await list_runs(store, ["ann"], PageQuery(3), RunFilter())
        await store.write(*delete_entry("ann", first["last_id"]))
        query = PageQuery(3, after=entry_key(first["last_id"]) or "")
        behind = await list_runs(store, ["ann"], query, RunFilter())
        assert [item["id"] for item in behind["data"]] == made[2::-1]

    on_memory(play)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("selected", [RunFilter(), RunFilter(status="failed"), RunFilter(model="none")], ids=repr)
def test_page_costs_the_same_with_10_runs_and_with_2000(url: str, selected: RunFilter) -> None:
    """Without a filter to the record; with one that matches nothing up to its bound."""

    async def play() -> None:
        store, costs = open_store(url), list[tuple[int, int]]()
        for number in (10, 1_990):
            await fill(store, "ann", number)
            counting = Counting(store)
            page = await list_runs(counting, ["ann"], PageQuery(5), selected)
            assert page["has_more"] == (selected.is_empty or number > 500)
            costs.append((counting.calls, counting.records))
        if selected.is_empty:
            assert costs == [(1, 6)] * 2
        else:
            assert costs[1] <= (6, 600)
        await store.aclose()

    asyncio.run(play())


@pytest.mark.usefixtures("ticking")
def test_filter_that_matches_few_ends_and_misses_none() -> None:
    async def play(store: Store) -> None:
        made = []
        for number in (700, 3, 900, 1, 300):
            made += await fill(store, "ann", number, **({"status": "failed"} if number < 10 else {}))
        failed = [run_id for run_id in made if run_id in {*made[700:703], made[1603]}]
        assert await walk(store, ["ann"], RunFilter(status="failed")) == failed[::-1]
        assert await walk(store, ["ann", "bob"], RunFilter(status="failed"), descending=False, limit=1) == failed
        page = await list_runs(store, ["ann"], PageQuery(3), RunFilter(model="nothing"))
        assert (page["data"], page["first_id"], page["has_more"]) == ([], None, True)
        assert page["last_id"] == made[-500]

    on_memory(play)


@pytest.mark.usefixtures("ticking")
def test_filters_choose_by_agency_agent_and_conversation() -> None:
    async def play(store: Store) -> None:
        of: dict[str, list[str]] = {}
        for model in ("desk", "desk/Clerk", "desk2", "desk/Clerk2"):
            of[model] = await fill(store, "ann", 2, model=model, conversation={"id": f"conv of {model}"})
        assert await walk(store, ["ann"], RunFilter(model="desk/Clerk")) == of["desk/Clerk"][::-1]
        agency = [*of["desk"], *of["desk/Clerk"], *of["desk/Clerk2"]]
        assert await walk(store, ["ann"], RunFilter(model="desk")) == agency[::-1]
        assert await walk(store, ["ann"], RunFilter(conversation="conv of desk2"), limit=2) == of["desk2"][::-1]
        assert await walk(store, ["ann"], RunFilter(model="desk", conversation="conv of desk2")) == []

    on_memory(play)


async def begin(store: Store, run_id: str, **fields: Any) -> None:
    """The response of a queued entry as it is now."""
    body = {"response": response(run_id, background=True, **fields)}
    await store.write(Put(response_partition("ann", run_id), "response", body))


@pytest.mark.usefixtures("ticking")
def test_queued_entry_has_the_status_of_its_response() -> None:
    async def play(store: Store) -> None:
        waits, runs, ended, deleted = await fill(store, "ann", 4, status="queued", background=True)
        await begin(store, waits, status="queued")
        await begin(store, runs, status="in_progress")
        await begin(store, ended, status="failed", error={"code": "server_error", "detail_code": "given_up"})
        page = await list_runs(store, ["ann"], PageQuery(9), RunFilter())
        statuses = {item["id"]: (item["status"], item["error_code"]) for item in page["data"]}
        assert statuses == {ended: ("failed", "given_up"), runs: ("in_progress", None), waits: ("queued", None)}
        for status, found in {"queued": [waits], "in_progress": [runs], "completed": []}.items():
            assert await walk(store, ["ann"], RunFilter(status=status)) == found
        assert deleted not in statuses

    on_memory(play)


@pytest.mark.usefixtures("ticking")
def test_responses_that_a_page_reads_are_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(store: Store) -> None:
        made = await fill(store, "ann", 300, status="queued", background=True)
        for run_id in made:
            await begin(store, run_id, status="in_progress", text="x" * 1_000)
        counting = Counting(store)
        page = await list_runs(counting, ["ann"], PageQuery(9), RunFilter(status="queued"))
        assert (page["data"], page["has_more"]) == ([], True)
        assert counting.calls <= 110
        assert await walk(store, ["ann"], RunFilter(status="queued")) == []
        monkeypatch.setattr(run_list, "_MOST_BYTES", 20_000)
        counting = Counting(store)
        page = await list_runs(counting, ["ann"], PageQuery(100), RunFilter())
        assert (16 <= len(page["data"]) <= 32, page["has_more"]) == (True, True)
        assert await walk(store, ["ann"], limit=100) == made[::-1]

    on_memory(play)


def test_owners_have_one_read_each_and_their_page_no_other() -> None:
    async def play(store: Store) -> None:
        owners = [f"owner{number}" for number in range(40)]
        for owner in owners:
            await fill(store, owner, 30)
        counting = Counting(store)
        page = await list_runs(counting, owners, PageQuery(20), RunFilter(), for_operator=True)
        assert {item["owner"] for item in page["data"]} == {"owner39"}
        assert counting.calls <= 40 + 3
        assert counting.records <= 40 * 10 + 30

    on_memory(play)


async def _no_check(owner: str, files: Any) -> None: ...


def test_id_is_made_after_what_a_run_continues_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read, load_to_extend = list[int](), Conversations.load_to_extend

    async def load(self: Conversations, conversation_id: str, *, create: bool) -> Any:
        read.append(time.time_ns() // 1_000)
        return await load_to_extend(self, conversation_id, create=create)

    monkeypatch.setattr(Conversations, "load_to_extend", load)

    async def play(store: Store) -> None:
        request = CreateResponse(model="desk", input="Hello.", background=True)
        run = await new_run(store, request, "owner", "conv_1", _no_check)
        assert (created_microseconds(run.id) or 0) >= read[0]

    on_memory(play)


def test_owner_is_written_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(store: Store) -> None:
        owners, now = Owners(store), time.time()
        for hours, is_due in ((0.0, True), (0.9, False), (1.1, True)):
            monkeypatch.setattr("agency_lambda.runs.owners.time.time", lambda hours=hours: now + hours * 3600)
            assert bool(owners.put_if_new("owner")) == is_due
            owners.mark_written("owner")

    on_memory(play)


def test_expired_entry_is_not_listed() -> None:
    async def play(store: Store) -> None:
        made = await fill(store, "ann", 2)
        (put,) = put_entry("ann", response(made[0]))
        await store.write(Put(put.partition, put.sort, put.body, expires=int(time.time()) - 1))
        assert await walk(store, ["ann"]) == made[1:]

    asyncio.run(play_on_sqlite(play))


async def play_on_sqlite(play: Callable[[Store], Awaitable[None]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/runs.db")
        await play(store)
        await store.aclose()
