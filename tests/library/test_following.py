"""Following a run that is made elsewhere: every event once and in order, and each look reads only what is new."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agency_lambda.history.turns import delete_partition
from agency_lambda.runs import following
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import LEASE_SECONDS, Lease, StoredRequest, StoredResponse, event_row, response_partition
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Conflict, Delete, Put, Record, Store, open_store
from agency_lambda.testing.aws import dynamodb_client, dynamodb_here

OWNER, RUN = "owner", "resp_1"


class Memory:
    """A store in this process that counts what is read of it."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Record] = {}
        self.read: Counter[str] = Counter()  # records by their sort's kind, and looks

    async def get(self, partition: str, sort: str) -> Record | None:
        self.read["looks"] += 1
        return self._count(self.held.get((partition, sort)))

    async def query(
        self, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> list[Record]:
        self.read["looks"] += 1
        found = [each for (place, sort), each in sorted(self.held.items()) if place == partition and sort > after]
        return [self._count(each) for each in found if before is None or each.sort < before][:limit]  # type: ignore[misc]

    async def write(self, *changes: Put | Delete) -> None:
        for each in changes:
            there = self.held.get((each.partition, each.sort))
            if each.expected is not None and each.expected != (there.version if there else ""):
                raise Conflict
        for each in changes:
            if isinstance(each, Put):
                self.held[each.partition, each.sort] = Record(each.partition, each.sort, each.body, each.version)
            else:
                self.held.pop((each.partition, each.sort), None)

    async def aclose(self) -> None: ...

    def _count(self, record: Record | None) -> Record | None:
        if record:
            kind = "leases" if record.partition.startswith("running") else record.sort.partition("/")[0]
            self.read[kind] += 1
        return record


def events(first: int, number: int) -> list[dict[str, Any]]:
    return [{"type": "response.x", "sequence_number": first + each} for each in range(number)]


def put_events(row: list[dict[str, Any]]) -> Put:
    return Put(response_partition(OWNER, RUN), event_row(row[0]["sequence_number"]), row)


async def begin(store: Store) -> Lease:
    now = time.time()
    lease = Lease(RUN, OWNER, "worker", now + LEASE_SECONDS, 1, now)
    response = {"id": RUN, "status": "in_progress", "padding": "x" * 10_000}
    stored = StoredResponse(response, StoredRequest({"stream": True}, [], [], None))
    await store.write(stored.put(OWNER), lease.put())
    found = await Leases(store).find(RUN)
    assert found
    return found


# A writer and a follower that take turns as it is drawn: (events of a row, times that the row is written again longer)
STEPS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2), st.booleans()), max_size=12)


@given(STEPS, st.integers(-1, 5), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_event_comes_once_and_in_order(steps: list[tuple[int, int, bool]], after: int, together: bool) -> None:
    """Rows may be written again, longer, and the run may end with or without a last row of its own."""

    async def play() -> tuple[list[int], int, int, Counter[str]]:
        store = Memory()
        responses, lease = Responses(store, OWNER), await begin(store)
        told: list[int] = []
        turn = asyncio.Event()

        async def follow() -> None:
            async for event in following.follow(store, responses.partition(RUN), RUN, after):
                told.append(event["sequence_number"])

        async def pause(_: float) -> None:
            await turn.wait()
            turn.clear()

        before, following.asyncio.sleep = following.asyncio.sleep, pause  # type: ignore[assignment]
        try:
            follower = asyncio.create_task(follow())
            written = rows = 0
            for size, longer, looks in steps:
                for more in range(longer + 1):
                    await store.write(put_events(events(written, size + more)))
                    rows += 1
                    if looks:
                        turn.set()
                        await before(0)
                        await before(0)
                written += size + longer
            ending = [put_events(events(written, 2))] if together else []
            written += 2 * together
            await store.write(*ending, lease.delete())
            turn.set()
            async with asyncio.timeout(5):
                while not follower.done():
                    turn.set()
                    await before(0)
            await follower
        finally:
            following.asyncio.sleep = before
        return told, written, rows + together, store.read

    told, written, rows, read = asyncio.run(play())
    assert told == list(range(after + 1, written))
    assert read["event"] <= 2 * rows + 1  # each row once, and once more what was written again or was the last
    assert read["response"] == 0


ROWS = 40


@pytest.fixture(params=["sqlite", "dynamodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """The store, and a function that says how many capacity units reading a partition once takes."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/a.db", None
        return
    with dynamodb_here(monkeypatch) as (url, environment):
        client = dynamodb_client(environment["AWS_ENDPOINT_URL_DYNAMODB"])
        yield url, client
        client.close()


def test_what_is_read_grows_with_the_events_and_not_with_the_looks(
    url: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three looks after each row, on the real stores: 40 rows are read 41 times, and not 2,400 times."""
    monkeypatch.setattr(following, "_POLL", 0.0)

    async def play() -> tuple[list[int], Counter[str]]:
        store = open_store(url[0])
        responses, read, looked = Responses(store, OWNER), Counter[str](), asyncio.Semaphore(0)
        lease = await begin(store)
        query, get = store.query, store.get

        async def counted(partition: str, **more: Any) -> list[Record]:
            found = await query(partition, **more)
            read["rows"] += len(found)
            read["looks"] += 1
            looked.release()
            return found

        async def got(partition: str, sort: str) -> Record | None:
            read["responses"] += sort == "response"
            return await get(partition, sort)

        store.query, store.get = counted, got  # type: ignore[method-assign]

        async def follow() -> list[int]:
            return [each["sequence_number"] async for each in responses.events(RUN)]

        follower = asyncio.create_task(follow())
        for number in range(ROWS):
            await store.write(put_events(events(2 * number, 2)))
            for _ in range(3):
                await looked.acquire()
        await store.write(lease.delete())
        told = await follower
        await store.aclose()
        return told, read

    told, read = asyncio.run(play())
    assert told == list(range(2 * ROWS))
    assert read["looks"] > 2 * ROWS
    assert read["rows"] <= ROWS + 1
    assert read["responses"] == 0


def test_an_id_that_is_not_there_costs_one_look() -> None:
    store = Memory()

    async def look() -> None:
        for each in ("resp_none", "../x", "x" * 5000):
            with pytest.raises(Exception, match="not found"):
                await Responses(store, OWNER).get(each)

    asyncio.run(look())
    assert store.read["looks"] == 1  # what cannot be an id is not looked for


def test_waiting_for_a_run_reads_its_response_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_POLL", 0.001)
    store = Memory()

    async def play() -> str:
        lease = await begin(store)
        waiting = asyncio.create_task(Responses(store, OWNER).final(RUN))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await store.write(lease.delete())
        return str((await waiting).response["id"])

    assert asyncio.run(play()) == RUN
    assert store.read["looks"] > 10
    assert store.read["response"] == 1


@pytest.mark.parametrize("how", ["follow", "final"])
def test_who_waits_for_a_deleted_response_stops(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(following, "_POLL", 0.001)
    store = Memory()

    async def play() -> None:
        await begin(store)
        responses = Responses(store, OWNER)

        async def wait() -> None:
            if how == "follow":
                assert [event async for event in responses.events(RUN)] == []
            else:
                with pytest.raises(Exception, match="not found"):
                    await responses.final(RUN)

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.02)
        await Leases(store).cancel(RUN)
        await delete_partition(store, response_partition(OWNER, RUN))
        await asyncio.wait_for(waiting, 5)

    asyncio.run(play())
