"""The store's contract, on every store that fulfils it."""

import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.store import (
    ABSENT,
    Add,
    Change,
    Conflict,
    Delete,
    LimitReached,
    Put,
    Record,
    Store,
    StoreUnavailable,
    open_store,
)
from agency_lambda.testing.aws import Relay, dynamodb_client, dynamodb_table, refusal, relay_before

SENTENCES = ("The store could not be read.", "The store could not be written.")
GONE, LATER = int(time.time()) - 10, int(time.time()) + 3600


@dataclass
class Place:
    """A store as a process finds it, and what a test does behind its back."""

    url: str
    environment: dict[str, str]
    holds: Callable[[], set[tuple[str, str]]]  # the keys of everything that lies there, expired records and parts too
    slow: Callable[[], Any]  # the next write takes half a second


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Relay, Place]]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with (
        dynamodb_table() as (name, environment),
        relay_before(environment["AWS_ENDPOINT_URL_DYNAMODB"]) as (relay, url),
    ):
        client = dynamodb_client(environment["AWS_ENDPOINT_URL_DYNAMODB"])

        def holds() -> set[tuple[str, str]]:
            pages = client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
            return {(item["partition"]["S"], item["sort"]["S"]) for page in pages for item in page["Items"]}

        environment |= {"AWS_ENDPOINT_URL_DYNAMODB": url}
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        yield relay, Place(f"dynamodb://{name}", environment, holds, lambda: setattr(relay, "delay", 0.5))
        client.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, Place]]:
    path = tmp_path / "new" / "folder" / "agency.db"
    others: list[threading.Thread] = []

    def holds() -> set[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            return set(connection.execute("SELECT partition, sort FROM record"))

    def slow() -> None:
        locked = threading.Event()

        def hold() -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                locked.set()
                time.sleep(0.5)

        others.append(threading.Thread(target=hold))
        others[-1].start()
        locked.wait()

    yield path, Place(f"sqlite:///{path}", {}, holds, slow)
    for thread in others:
        thread.join()


@pytest.fixture(params=["sqlite", "dynamodb"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue("file" if request.param == "sqlite" else "relay")[1]
    return found


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = open_store(place.url)
    yield store
    asyncio.run(store.aclose())


@pytest.fixture
def dynamodb(relay: tuple[Relay, Place]) -> Iterator[tuple[Store, Relay, Place]]:
    store = open_store(relay[1].url)
    yield store, *relay
    asyncio.run(store.aclose())


def incompressible(size: int) -> str:
    return base64.b64encode(os.urandom(size * 3 // 4)).decode()


async def body(store: Store, sort: str = "s", partition: str = "p") -> Any:
    """Of one record; None for no record."""
    record = await store.get(partition, sort)
    return record and record.body


async def conflict(store: Store, *changes: Change) -> None:
    with pytest.raises(Conflict) as raised:
        await store.write(*changes)
    assert raised.type is Conflict


async def refused(store: Store, *sentences: str) -> None:
    """Every method says that the store is unavailable, and nothing else."""
    calls = [store.get("p", "s"), store.query("p"), store.write(Put("p", "x", 1)), store.write(Delete("p", "s"))]
    calls.append(store.write(Put("p", "x", 1, expected=ABSENT), Delete("p", "s", expected="v")))
    calls.append(store.write(Add("p", "c", {"n": 1})))
    failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(failure) for failure in failures] == [StoreUnavailable] * len(calls)
    assert {str(failure) for failure in failures} <= set(sentences)


# What is written is read.


def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    async def use() -> None:
        assert await store.get("p", "s") is None
        put = Put("p", "s", {"n": 1}, expires=LATER)
        await store.write(put, Put("p", "t", None), Put("q", "s", "other"))
        assert await store.get("p", "s") == Record("p", "s", {"n": 1}, put.version, LATER)
        other = await store.get("q", "s")
        assert other is not None
        assert (other.body, other.expires) == ("other", None)
        assert await store.get("p", "t") is not None

    asyncio.run(use())


@pytest.mark.parametrize(
    "value",
    [
        "drei 😀 \x00 \ud83d alone \udc00",
        {"\x00 key \ud83d": ["", None, True, {}]},
        [0.1 + 0.2, 1e308, -0.0, 5e-324, 2**80, -1, 1.0],
        [[[[{"a": [{"b": [{}]}]}]]]],
        "x" * 5000,
        "xylophone",
        [f"ü{number}" for number in range(1000)],
        "",
        None,
    ],
    ids=["text", "object", "numbers", "nested", "long", "like zlib", "list", "empty", "null"],
)
def test_any_json_comes_back_as_it_was(store: Store, value: Any) -> None:
    async def use() -> None:
        await store.write(Put("p", "s", value))
        there = await body(store)
        assert repr(there) == repr(value)  # repr tells 1 from 1.0, and -0.0 from 0

    asyncio.run(use())


def test_a_query_is_in_order_and_within_its_bounds(store: Store) -> None:
    sorts = ["!", "0001", "0002", "001", "a", "a/1", "a/2", "ab", "ä", "\uffff", "😀"]

    async def sorts_of(**bounds: Any) -> list[str]:
        return [record.sort for record in await store.query("p", **bounds)]

    async def use() -> None:
        assert await sorts_of() == []
        await store.write(*(Put("p", sort, sort) for sort in reversed(sorts)), Put("pp", "x", 0))
        assert sorts == sorted(sorts, key=str.encode)
        assert await sorts_of() == sorts
        assert await sorts_of(after="0001") == sorts[2:]
        assert await sorts_of(before="a/2") == sorts[:6]
        assert await sorts_of(after="0001", before="ab") == sorts[2:7]
        assert await sorts_of(after="0001x", before="a/11") == sorts[2:6]
        assert await sorts_of(limit=3) == sorts[:3]
        assert await sorts_of(after="a", limit=1) == ["a/1"]
        assert await sorts_of(after="a", before="ä", limit=100) == sorts[5:8]
        assert await sorts_of(after="0001", before="0001") == []
        assert await sorts_of(after="b", before="a") == []
        assert await sorts_of(before="") == []
        assert await sorts_of(limit=0) == []
        assert await sorts_of(descending=True) == sorts[::-1]
        assert await sorts_of(descending=True, limit=2) == ["😀", "\uffff"]
        assert await sorts_of(descending=True, after="0001", before="ab", limit=3) == ["a/2", "a/1", "a"]
        assert await sorts_of(descending=True, after="a", limit=100) == sorts[:4:-1]
        assert await sorts_of(descending=True, after="b", before="a") == []
        records = await store.query("p", limit=2)
        assert records == [await store.get("p", "!"), await store.get("p", "0001")]

    asyncio.run(use())


def test_a_query_of_several_megabytes_is_whole(store: Store) -> None:
    bodies = [incompressible(60_000) for _ in range(45)]

    async def use() -> None:
        for number, text in enumerate(bodies):
            await store.write(Put("p", f"{number:03}", text))
        assert [record.body for record in await store.query("p")] == bodies
        assert [record.body for record in await store.query("p", after="002", limit=40)] == bodies[3:43]
        assert [record.body for record in await store.query("p", descending=True)] == bodies[::-1]

    asyncio.run(use())


# Who writes says what must be there.


def test_only_where_nothing_is(store: Store) -> None:
    async def use() -> None:
        await store.write(Put("p", "s", 1, expected=ABSENT))
        await conflict(store, Put("p", "s", 2, expected=ABSENT))
        assert await body(store) == 1
        await store.write(Delete("p", "s"))
        await store.write(Put("p", "s", 3, expected=ABSENT))
        assert await body(store) == 3

    asyncio.run(use())


def test_only_over_the_version_that_was_read(store: Store) -> None:
    async def use() -> None:
        await conflict(store, Put("p", "s", 0, expected="never written"))
        await store.write(Put("p", "s", 1))
        first = await store.get("p", "s")
        assert first is not None
        await store.write(Put("p", "s", 2, expected=first.version))
        await conflict(store, Put("p", "s", 3, expected=first.version))
        assert await body(store) == 2

    asyncio.run(use())


def test_whatever_is_there(store: Store) -> None:
    async def use() -> None:
        await store.write(Put("p", "s", 1, expires=LATER))
        await store.write(Put("p", "s", 2))
        record = await store.get("p", "s")
        assert record is not None
        assert (record.body, record.expires) == (2, None)

    asyncio.run(use())


def test_every_write_has_a_version_of_its_own(store: Store) -> None:
    async def use() -> None:
        versions = set()
        for _ in range(3):
            await store.write(Put("p", "s", "the same"))
            record = await store.get("p", "s")
            assert record is not None
            versions.add(record.version)
        assert len(versions) == 3

    asyncio.run(use())


def test_a_deletion_expects_too(store: Store) -> None:
    async def use() -> None:
        put = Put("p", "s", 1)
        await store.write(put)
        await conflict(store, Delete("p", "s", expected="another"))
        await conflict(store, Delete("p", "s", expected=ABSENT))
        assert await body(store) == 1
        await store.write(Delete("p", "s", expected=put.version))
        assert await store.get("p", "s") is None
        await conflict(store, Delete("p", "s", expected=put.version))
        await store.write(Delete("p", "s"))

    asyncio.run(use())


@pytest.mark.parametrize("wrong", [Put("p", "b", 2, expected=ABSENT), Delete("p", "b", expected="another")])
def test_all_of_the_changes_or_none(store: Store, wrong: Put | Delete) -> None:
    async def use() -> None:
        await store.write(Put("p", "b", 1), Put("p", "c", 1))
        right = [Put("p", "a", 2, expected=ABSENT), Delete("p", "c"), Put("other", "a", 2)]
        await conflict(store, *right, wrong)
        await conflict(store, wrong, *right)
        assert [(record.sort, record.body) for record in await store.query("p")] == [("b", 1), ("c", 1)]
        assert await store.query("other") == []
        await store.write(*right)
        assert [(record.sort, record.body) for record in await store.query("p")] == [("a", 2), ("b", 1)]
        assert await body(store, "a", "other") == 2

    asyncio.run(use())


def test_whoever_writes_the_same_again_has_written_it(store: Store) -> None:
    async def use() -> None:
        put = Put("p", "s", 1, expected=ABSENT)
        await store.write(put)
        await store.write(put)  # its answer was lost, say
        await store.write(Put("p", "old", 1, version="old"))
        both = [Put("p", "next", incompressible(400_000)), Delete("p", "old", expected="old")]
        await store.write(*both)
        await store.write(Put("p", "old", "by another since"))
        await store.write(*both)
        assert await body(store, "next") == both[0].body  # type: ignore[union-attr]
        assert await body(store, "old") == "by another since"
        await store.write(Put("p", "s", 2))
        await conflict(store, put)
        assert await body(store) == 2

    asyncio.run(use())


def test_of_many_at_once_one_wins(store: Store) -> None:
    async def use() -> None:
        claims = [Put("p", "s", number, expected=ABSENT) for number in range(20)]
        outcomes = await asyncio.gather(*map(store.write, claims), return_exceptions=True)
        winners = [claim for claim, outcome in zip(claims, outcomes, strict=True) if outcome is None]
        assert [type(outcome) for outcome in outcomes].count(Conflict) == 19
        assert [await body(store)] == [winner.body for winner in winners]

    asyncio.run(use())


def test_what_no_store_could_write_is_refused_by_both(store: Store) -> None:
    async def use() -> None:
        await store.write()
        await store.write(*(Put("p", f"{number:02}", number) for number in range(100)))
        assert len(await store.query("p")) == 100
        for wrong in (
            [Put("q", f"{number:02}", number) for number in range(101)],
            [Put("q", "s", 1), Delete("q", "s")],
            [Put("q", "", 1)],
            [Put("q", "s" * 1025, 1)],
        ):
            with pytest.raises(ValueError, match=r"up to 100|1 to 1024"):
                await store.write(*wrong)
        with pytest.raises(ValueError, match="object"):
            await store.write(Put("q", "s", object()))
        assert await store.query("q") == []

    asyncio.run(use())


# Counters


def test_amounts_add_up(store: Store) -> None:
    async def use() -> None:
        await store.write(Add("p", "c", {"usd": 2**60, "calls": 0}))
        first = await store.get("p", "c")
        assert first is not None
        assert (first.body, first.expires) == ({"usd": 2**60, "calls": 0}, None)
        await store.write(Add("p", "c", {"usd": -3, "tokens": 7}, expires=LATER), Put("p", "s", 1))
        second = await store.get("p", "c")
        assert second is not None
        assert (second.body, second.expires) == ({"usd": 2**60 - 3, "calls": 0, "tokens": 7}, LATER)
        assert first.version != second.version
        assert [record.body for record in await store.query("p")] == [second.body, 1]
        await store.write(Delete("p", "c", expected=second.version))
        assert await store.get("p", "c") is None

    asyncio.run(use())


@pytest.mark.parametrize(
    ("amounts", "at_most", "name"),
    [
        ({"a": 4}, {"a": 10}, None),
        ({"a": 5}, {"a": 10}, "a"),
        ({"b": 10}, {"b": 10}, None),
        ({"b": 11}, {"b": 10}, "b"),
        ({"b": 1}, {"a": 6}, None),
        ({"b": 1}, {"a": 5}, "a"),
        ({"a": -1}, {"a": 5}, None),
        ({"a": 1, "b": 1}, {"a": 7, "b": 0}, "b"),
        ({"a": 1}, {"closed": 0}, None),
        ({}, {"a": 5}, "a"),
    ],
)
def test_a_sum_stays_within_its_limit(
    store: Store, amounts: dict[str, int], at_most: dict[str, int], name: str | None
) -> None:
    async def use() -> None:
        await store.write(Add("p", "c", {"a": 6}))
        add = Add("p", "c", amounts, at_most)
        if name is None:
            await store.write(add, Put("p", "s", 1))
        else:
            with pytest.raises(LimitReached) as raised:
                await store.write(Put("p", "s", 1), add, Add("p", "other", {"n": 1}))
            assert (raised.value.add, raised.value.name) == (add, name)
        after = {"a": 6} if name else {"a": 6} | {each: n + (6 if each == "a" else 0) for each, n in amounts.items()}
        assert await body(store, "c") == after
        assert await body(store, "s") == (None if name else 1)
        assert await body(store, "other") is None

    asyncio.run(use())


def test_a_conflict_comes_before_a_limit(store: Store) -> None:
    async def use() -> None:
        await store.write(Put("p", "s", 1))
        await conflict(store, Add("p", "c", {"a": 2}, {"a": 1}), Put("p", "s", 2, expected=ABSENT))
        await conflict(store, Delete("p", "s", expected="another"), Add("p", "c", {"a": 1}))
        assert await body(store, "c") is None

    asyncio.run(use())


def test_amounts_beside_a_put_are_added_once(store: Store) -> None:
    async def use() -> None:
        changes = [Put("p", "s", 1, expected=ABSENT), Add("p", "c", {"a": 2}, {"a": 3})]
        await store.write(*changes)
        await store.write(*changes)  # its answer was lost, say
        assert await body(store, "c") == {"a": 2}

    asyncio.run(use())


def test_a_counter_whose_time_is_over_begins_at_zero(store: Store) -> None:
    async def use() -> None:
        await store.write(Add("p", "c", {"a": 6}, expires=GONE))
        assert await store.get("p", "c") is None
        await store.write(Add("p", "c", {"a": 4}, {"a": 5}, expires=LATER))
        assert await body(store, "c") == {"a": 4}
        with pytest.raises(LimitReached):
            await store.write(Add("p", "c", {"a": 2}, {"a": 5}))

    asyncio.run(use())


ADDER = """
import asyncio, sys
from agency_lambda.store import Add, LimitReached, open_store

async def main(url, name):
    store, added = open_store(url), 0
    try:
        while True:
            await store.write(Add("p", "c", {"n": 1}, {"n": 31}))
            added += 1
    except LimitReached:
        print(added)

print("ready", flush=True)
input()
asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_that_add_lose_nothing_and_pass_no_limit(store: Store, place: Place) -> None:
    added = [int(printed) for printed in together(place, ADDER, 3)]
    assert sum(added) == 31
    assert asyncio.run(body(store, "c")) == {"n": 31}


def test_an_addition_whose_answer_was_lost_is_made_once(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, relay, _ = dynamodb
    relay.fault = remembering()
    asyncio.run(store.write(Add("p", "c", {"n": 1})))
    assert relay.operations() == ["TransactWriteItems"] * 2
    assert asyncio.run(body(store, "c")) == {"n": 1}


# Time


def test_a_record_whose_time_is_over_is_not_there(store: Store) -> None:
    async def use() -> None:
        end = int(time.time()) + 2
        ends, lasts = Put("p", "a", 1, expires=end), Put("p", "b", 1, expires=LATER)
        await store.write(ends, lasts)
        await conflict(store, Put("p", "a", 2, expected=ABSENT))
        assert [record.sort for record in await store.query("p")] == ["a", "b"]
        await asyncio.sleep(end - time.time())
        assert await store.get("p", "a") is None
        assert [record.sort for record in await store.query("p")] == ["b"]
        assert [record.sort for record in await store.query("p", limit=1)] == ["b"]
        await conflict(store, Put("p", "a", 2, expected=ends.version))
        await conflict(store, Delete("p", "a", expected=ends.version))
        await store.write(Put("p", "a", 3, expected=ABSENT), Put("p", "b", 3, expected=lasts.version))
        assert [record.body for record in await store.query("p")] == [3, 3]

    asyncio.run(use())


def test_a_record_may_be_written_too_late(store: Store) -> None:
    async def use() -> None:
        gone = Put("p", "a", 1, expires=GONE)
        await store.write(gone)
        assert await store.get("p", "a") is None
        await conflict(store, Put("p", "a", 2, expected=gone.version))
        await store.write(Put("p", "a", 2, expected=ABSENT))
        assert await body(store, "a") == 2

    asyncio.run(use())


# Size


@pytest.mark.parametrize("size", [300_000, 400_000, 1_000_000])
def test_a_large_body_leaves_nothing_behind(store: Store, place: Place, size: int) -> None:
    async def use() -> None:
        first, second = Put("p", "s", incompressible(size)), Put("p", "s", {"text": incompressible(size)})
        await store.write(first)
        assert await body(store) == first.body
        await store.write(second)
        assert [record.body for record in await store.query("p")] == [second.body]
        await conflict(store, Put("p", "s", first.body, expected=first.version))
        await conflict(store, Put("p", "t", first.body, expected=ABSENT), Put("p", "s", 1, expected=first.version))
        assert await body(store) == second.body
        third = Put("p", "s", first.body, expected=second.version)
        await store.write(third, Put("p", "t", first.body))
        assert await body(store) == await body(store, "t") == first.body
        await store.write(Put("p", "s", 1, expected=third.version), Delete("p", "t"))
        assert place.holds() == {("p", "s")}
        fourth = Put("p", "s", first.body)
        for deletion in (Delete("p", "s"), Delete("p", "s", expected=fourth.version)):
            await store.write(fourth)
            await store.write(deletion)
            assert place.holds() == set()

    asyncio.run(use())


def test_five_megabytes_come_back(store: Store, place: Place) -> None:
    async def use() -> None:
        large = Put("p", "s", incompressible(5_000_000), expires=LATER)
        await store.write(large)
        assert await store.get("p", "s") == Record("p", "s", large.body, large.version, LATER)
        await store.write(Put("p", "s", 1))
        assert place.holds() == {("p", "s")}

    asyncio.run(use())


def test_many_large_bodies_are_one_write(store: Store) -> None:
    async def use() -> None:
        changes = [Put("p", f"{number:02}", incompressible(300_000), expected=ABSENT) for number in range(25)]
        await store.write(*changes)
        assert [record.body for record in await store.query("p")] == [change.body for change in changes]

    asyncio.run(use())


# Several processes

APPENDER = """
import asyncio, sys
from agency_lambda.store import ABSENT, Conflict, Put, open_store

async def main(url, name):
    store, won, lost = open_store(url), 0, 0
    while won < 10:
        position = len(await store.query("p"))
        pair = [Put("p", f"{position + number:05}", [name, won], expected=ABSENT) for number in range(2)]
        try:
            await store.write(*pair)
            won += 1
        except Conflict:
            lost += 1
    await store.aclose()
    print(lost)

print("ready", flush=True)
input()
asyncio.run(main(*sys.argv[1:]))
"""


def together(place: Place, program: str, count: int) -> list[str]:
    """Run a program in so many processes, which begin at the same time; what each of them printed."""
    command, environment = [sys.executable, "-c", program, place.url], os.environ | place.environment
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, f"{n}"], env=environment, **pipes) for n in range(count)]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [0] * count
    return printed


def test_processes_that_append_lose_and_interleave_nothing(store: Store, place: Place) -> None:
    lost = [int(printed) for printed in together(place, APPENDER, 3)]
    assert sum(lost) > 0  # they did get in each other's way
    records = asyncio.run(store.query("p"))
    assert [record.sort for record in records] == [f"{position:05}" for position in range(3 * 10 * 2)]
    bodies = [record.body for record in records]
    assert bodies[::2] == bodies[1::2]
    for name in "012":
        assert [number for who, number in bodies[::2] if who == name] == list(range(10))


# Trouble


def test_the_loop_goes_on_while_the_store_works(store: Store, place: Place) -> None:
    async def use() -> None:
        await store.write(Put("p", "s", 1))
        place.slow()
        ticks, begun = [time.monotonic()], time.monotonic()
        writing = asyncio.create_task(store.write(Put("p", "s", 2)))
        while not writing.done():
            await asyncio.sleep(0.01)
            ticks.append(time.monotonic())
        await writing
        assert ticks[-1] - begun > 0.3
        assert max(later - earlier for earlier, later in pairwise(ticks)) < 0.2
        assert await body(store) == 2

    asyncio.run(use())


def test_slow_tools_do_not_hold_up_the_store(store: Store) -> None:
    async def use() -> None:
        end = threading.Event()
        more_than_threads = 40
        tools = [asyncio.create_task(asyncio.to_thread(end.wait, 10)) for _ in range(more_than_threads)]
        await asyncio.sleep(0)  # they begin
        await asyncio.wait_for(store.write(Put("p", "s", 1)), 5)
        end.set()
        await asyncio.gather(*tools)

    asyncio.run(use())


def test_a_store_can_be_used_after_it_was_closed(store: Store) -> None:
    async def use() -> None:
        await store.aclose()
        await store.write(Put("p", "s", 1))
        await store.aclose()
        await store.aclose()
        assert await body(store) == 1

    asyncio.run(use())
    asyncio.run(use())  # on another loop


# Trouble with DynamoDB


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_an_endpoint_that_is_down_is_no_empty_table(
    dynamodb: tuple[Store, Relay, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", closed_port())
    asyncio.run(refused(dynamodb[0], *SENTENCES))


def test_a_table_that_is_missing_is_no_empty_table(dynamodb: tuple[Store, Relay, Place]) -> None:
    asyncio.run(refused(open_store("dynamodb://missing"), *SENTENCES))


@pytest.mark.parametrize(
    "answer",
    [
        refusal("AccessDeniedException"),
        refusal("TransactionCanceledException", "None", "ThrottlingError"),
        refusal("TransactionCanceledException", "None", "ValidationError"),
        (500, b"<html>secret words of AWS"),
        (200, b"<html>secret words of AWS"),
    ],
    ids=["denied", "throttled", "invalid", "error", "nonsense"],
)
def test_what_aws_says_stays_here(
    dynamodb: tuple[Store, Relay, Place], answer: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", min)  # the shortest of pauses
    store, relay, _ = dynamodb
    relay.fault = lambda operation, request: answer
    asyncio.run(refused(store, *SENTENCES))
    assert len(relay.seen) < 100


@pytest.mark.parametrize(
    ("operation", "expected", "more"),
    [
        ("PutItem", ABSENT, []),
        ("PutItem", "before", []),
        ("TransactWriteItems", ABSENT, [Put("p", "t", 2, expected=ABSENT)]),
        ("TransactWriteItems", "before", [Delete("p", "t", expected="there")]),
    ],
)
def test_a_write_whose_answer_was_lost_is_no_conflict(
    dynamodb: tuple[Store, Relay, Place], operation: str, expected: str, more: list[Put | Delete]
) -> None:
    store, relay, _ = dynamodb

    async def use() -> None:
        if expected:
            await store.write(Put("p", "s", 1, version=expected))
            await store.write(Put("p", "t", 1, version="there"))
        relay.seen.clear()
        relay.faults_once(operation, relay.LOST)
        put = Put("p", "s", 2, expected=expected)
        await store.write(put, *more)
        assert relay.operations().count(operation) == 2
        assert await store.get("p", "s") == Record("p", "s", 2, put.version)
        assert await body(store, "t") == (2 if more and not expected else None if more else 1 if expected else None)
        await conflict(store, Put("p", "s", 3, expected=expected))

    asyncio.run(use())


def remembering() -> Callable[[str, dict[str, Any]], tuple[int, bytes] | None]:
    """The answer to a transaction is lost, and DynamoDB remembers it by its token."""
    done: set[str] = set()

    def fault(operation: str, request: dict[str, Any]) -> tuple[int, bytes] | None:
        token = request.get("ClientRequestToken")
        if token in done:
            return 200, b"{}"
        done.update([token] if token else [])
        return Relay.LOST if token else None

    return fault


def test_a_deletion_whose_answer_was_lost_is_no_conflict(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, relay, _ = dynamodb

    async def use() -> None:
        await store.write(Put("p", "s", 1, version="there"))
        relay.fault = remembering()
        relay.seen.clear()
        await store.write(Delete("p", "s", expected="there"))
        assert relay.operations() == ["BatchGetItem", "TransactWriteItems", "TransactWriteItems"]
        assert await store.get("p", "s") is None

    asyncio.run(use())


def test_a_large_body_whose_answer_was_lost_keeps_its_parts(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, relay, _ = dynamodb

    async def use() -> None:
        large = incompressible(800_000)
        heads = iter([None, None, relay.LOST])
        relay.fault = lambda operation, request: next(heads, None) if operation == "PutItem" else None
        await store.write(Put("p", "s", large))
        assert relay.operations() == ["PutItem"] * 4
        assert await body(store) == large

    asyncio.run(use())


@pytest.mark.parametrize(
    ("operation", "refused"),
    [
        ("PutItem", refusal("TransactionConflictException")),
        ("TransactWriteItems", refusal("TransactionCanceledException", "None", "TransactionConflict")),
        ("TransactWriteItems", refusal("TransactionCanceledException", "ThrottlingError", "None")),
    ],
)
def test_what_passes_is_waited_for(
    dynamodb: tuple[Store, Relay, Place], operation: str, refused: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", min)
    store, relay, _ = dynamodb

    async def use() -> None:
        relay.faults_once(operation, refused, refused, refused)
        more = [Put("p", "t", 1)] if operation == "TransactWriteItems" else []
        await store.write(Put("p", "s", 1, expected=ABSENT), *more)
        assert relay.operations().count(operation) == 4
        relay.fault = lambda name, request: refused if name == operation else None
        with pytest.raises(StoreUnavailable):
            await store.write(Put("p", "x", 1, expected=ABSENT), *more)
        assert await store.get("p", "x") is None

    asyncio.run(use())


def test_a_body_without_one_of_its_parts_is_not_cut_short(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, _, place = dynamodb

    async def use() -> None:
        await store.write(Put("p", "s", incompressible(1_000_000)))
        last = max(key for key in place.holds() if key[0].startswith("part/"))
        await store.write(Delete(*last))
        with pytest.raises(StoreUnavailable):
            await store.get("p", "s")
        with pytest.raises(StoreUnavailable):
            await store.query("p")
        await store.write(Put("p", "s", 1))
        assert await body(store) == 1

    asyncio.run(use())


@pytest.mark.parametrize("change", [Put("p", "s", "next"), Delete("p", "s")])
@pytest.mark.parametrize("removed", ["all", "some"])
def test_a_body_that_is_replaced_while_it_is_read(
    dynamodb: tuple[Store, Relay, Place], change: Put | Delete, removed: str
) -> None:
    store, relay, place = dynamodb
    writer = open_store(place.url)

    def replace(operation: str, request: dict[str, Any]) -> None:
        if operation == "Query" and "part/" in str(request):
            relay.fault = lambda operation, request: None
            first = min(key for key in place.holds() if key[0].startswith("part/"))
            asyncio.run(writer.write(change))
            if removed == "some":
                asyncio.run(writer.write(Put(*first, "is still there")))

    async def use() -> None:
        await store.write(Put("p", "s", incompressible(800_000)))
        relay.fault = replace
        found = await store.get("p", "s")
        assert found is None if isinstance(change, Delete) else found and found.body == "next"
        await store.write(Put("p", "s", incompressible(800_000)))
        relay.fault = replace
        assert [record.body for record in await store.query("p")] == ([] if isinstance(change, Delete) else ["next"])

    asyncio.run(use())
    asyncio.run(writer.aclose())


def test_a_transaction_stays_under_four_megabytes(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, relay, _ = dynamodb
    changes = [Put("p", f"{number:02}", incompressible(340_000)) for number in range(13)]
    asyncio.run(store.write(*changes))
    [items] = [request["TransactItems"] for operation, request in relay.seen if operation == "TransactWriteItems"]
    assert sum(len(str(item)) for item in items) < 4_000_000


def test_what_is_left_unprocessed_is_asked_for_again(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, relay, place = dynamodb

    async def use() -> None:
        put = Put("p", "s", incompressible(500_000), expected=ABSENT)
        await store.write(put)
        table = place.url.removeprefix("dynamodb://")
        rest = {table: {"Keys": [{"partition": {"S": "p"}, "sort": {"S": "s"}}]}}
        later = {"Responses": {table: []}, "UnprocessedKeys": rest}
        relay.faults_once("BatchGetItem", (200, json.dumps(later).encode()))
        await store.write(put)  # a conflict, had it not looked again
        assert await body(store) == put.body

    asyncio.run(use())


def test_every_read_is_consistent(dynamodb: tuple[Store, Relay, Place]) -> None:
    store, relay, place = dynamodb

    async def use() -> None:
        await store.write(Put("p", "s", incompressible(500_000)), Put("p", "t", 1))
        await store.get("p", "s")
        await store.query("p", after="a", before="z", limit=1)
        table = place.url.removeprefix("dynamodb://")
        reads = [(name, request) for name, request in relay.seen if name in ("GetItem", "Query", "BatchGetItem")]
        assert len(reads) == 5
        for _, request in reads:
            assert request.get("RequestItems", {table: request})[table]["ConsistentRead"] is True

    asyncio.run(use())


def test_a_closed_store_connects_anew(dynamodb: tuple[Store, Relay, Place], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        store, _, _ = dynamodb
        await store.write(Put("p", "s", 1))
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", closed_port())
        assert await body(store) == 1
        await store.aclose()
        with pytest.raises(StoreUnavailable):
            await store.get("p", "s")

    asyncio.run(use())


# Trouble with a file


def test_a_broken_file_is_no_empty_store(tmp_path: Path) -> None:
    path = tmp_path / "agency.db"
    path.write_bytes(b"no database at all " * 1000)
    asyncio.run(refused(open_store(f"sqlite:///{path}"), *SENTENCES))
    asyncio.run(refused(open_store(f"sqlite:///{path}/below/a/file.db"), *SENTENCES))
    assert path.read_bytes() == b"no database at all " * 1000


def test_a_file_with_a_hole_is_no_empty_store(file: tuple[Path, Place]) -> None:
    path, place = file
    store = open_store(place.url)

    async def use() -> None:
        for number in range(20):
            await store.write(Put("p", f"{number:02}", incompressible(3000)))
        await store.aclose()
        with path.open("r+b") as whole:
            whole.seek(4096)
            whole.write(os.urandom(path.stat().st_size - 4096))
        with pytest.raises(StoreUnavailable):
            await store.query("p")
        with pytest.raises(StoreUnavailable):
            await store.get("p", "00")

    asyncio.run(use())


def test_a_damaged_body_is_not_read(file: tuple[Path, Place]) -> None:
    path, place = file
    store = open_store(place.url)

    async def use() -> None:
        await store.write(Put("p", "s", "x" * 5000))
        for damaged in ("substr(body, 1, length(body) - 5)", "'{'", "''", "x'ff'"):
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(f"UPDATE record SET body = CAST({damaged} AS BLOB)")
            with pytest.raises(StoreUnavailable):
                await store.get("p", "s")
            with pytest.raises(StoreUnavailable):
                await store.query("p")

    asyncio.run(use())


def test_a_file_of_version_1_is_kept_and_not_misread(file: tuple[Path, Place]) -> None:
    path, place = file
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE item (conversation TEXT, position INTEGER, item TEXT,"
            "PRIMARY KEY (conversation, position)) WITHOUT ROWID; PRAGMA user_version = 1;"
            "INSERT INTO item VALUES ('p', 0, '{}');"
        )
    store = open_store(place.url)

    async def use() -> None:
        assert await store.query("p") == []
        await store.write(Put("p", "s", 1))
        assert await body(store) == 1

    asyncio.run(use())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM item").fetchall() == [("p", 0, "{}")]


def test_a_file_of_a_newer_version_is_left_alone(file: tuple[Path, Place]) -> None:
    path, place = file
    store = open_store(place.url)
    asyncio.run(store.write(Put("p", "s", 1)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 3")
    asyncio.run(refused(store, "The store was made by a newer version of this service."))
    assert place.holds() == {("p", "s")}


def test_who_holds_the_file_too_long_makes_it_unavailable(
    file: tuple[Path, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, place = file
    store = open_store(place.url)
    asyncio.run(store.write(Put("p", "s", 1)))
    monkeypatch.setattr("agency_lambda.store.sqlite_file.BUSY", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            asyncio.run(store.write(Put("p", "s", 2)))
        assert asyncio.run(body(store)) == 1  # who only reads does not wait


def test_connections_are_used_again_but_not_after_a_failure(
    file: tuple[Path, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, place = file
    connect, opened = sqlite3.connect, list[Any]()
    store = open_store(place.url)

    def counted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(arguments)
        return connect(*arguments, **options)

    async def use(first: int) -> None:
        for number in range(first, first + 5):
            await store.write(Put("p", f"{number}", number, expected=ABSENT))
            with pytest.raises(Conflict):
                await store.write(Put("p", f"{number}", number, expected=ABSENT))
            assert await store.get("p", f"{number}") is not None

    monkeypatch.setattr("agency_lambda.store.sqlite_file.sqlite3.connect", counted)
    asyncio.run(use(0))
    assert len(opened) <= 2  # the second one while the file's log was shortened
    before = len(opened)
    with monkeypatch.context() as broken:
        broken.setattr("agency_lambda.store.sqlite_records._PUT", "INSERT INTO nothing VALUES (?, ?, ?, ?, ?)")
        with pytest.raises(StoreUnavailable):
            asyncio.run(store.write(Put("p", "never", 1)))
    asyncio.run(use(5))
    assert len(opened) <= before + 1
    assert ("p", "never") not in place.holds()


def test_a_file_that_was_deleted_is_made_anew(file: tuple[Path, Place]) -> None:
    path, place = file
    store = open_store(place.url)
    asyncio.run(store.write(Put("p", "s", 1)))
    shutil.rmtree(path.parent)
    assert asyncio.run(store.query("p")) == []
    asyncio.run(store.write(Put("p", "new", 1)))
    assert place.holds() == {("p", "new")}


def test_the_file_is_left_in_wal_mode_and_closed(file: tuple[Path, Place]) -> None:
    path, place = file
    store = open_store(place.url)
    asyncio.run(store.write(Put("p", "s", 1)))
    assert len(os.listdir(path.parent)) == 3  # no write waits until all of it is written back
    asyncio.run(store.aclose())
    assert os.listdir(path.parent) == ["agency.db"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_has_expired_is_removed_a_little_at_a_time(
    file: tuple[Path, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, place = file
    monkeypatch.setattr("agency_lambda.store.sqlite._LOG", 1)  # after each write
    monkeypatch.setattr("agency_lambda.store.sqlite_file._SWEPT", 25)

    async def use(number: int) -> int:
        store = open_store(place.url)  # each goes on where the last one has stopped
        await store.write(Put("p", "stays", number), Put("z", "lasts", 1, expires=LATER))
        await store.aclose()
        return len(place.holds())

    asyncio.run(use(1))
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(partition, f"{number:03}", b"1", "v", GONE) for partition in "aq" for number in range(30)]
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
    assert [asyncio.run(use(number)) for number in range(4)] == [37, 13, 2, 2]
    assert place.holds() == {("p", "stays"), ("z", "lasts")}


def test_a_small_write_adds_little_to_the_log(file: tuple[Path, Place]) -> None:
    path, place = file
    store = open_store(place.url)

    async def use() -> None:
        for number in range(100):
            await store.write(Put(f"owner/response/{number % 7}", f"journal/{number:060}", "x" * 400, expires=LATER))

    asyncio.run(use())
    assert (path.parent / "agency.db-wal").stat().st_size < 100 * 5000  # 10,300 with SQLite's own pages


def test_a_file_with_the_index_of_before_goes_on_without(file: tuple[Path, Place]) -> None:
    path, place = file
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE record (partition TEXT NOT NULL, sort TEXT NOT NULL,"
            "body BLOB NOT NULL, version TEXT NOT NULL, expires INTEGER, PRIMARY KEY (partition, sort)) WITHOUT ROWID;"
            "CREATE INDEX record_expires ON record (expires) WHERE expires IS NOT NULL; PRAGMA user_version = 2;"
            f"INSERT INTO record VALUES ('p', 'old', x'31', 'v', {GONE}), ('p', 'kept', x'32', 'v', {LATER});"
        )
    store = open_store(place.url)

    async def use() -> None:
        await store.write(Put("p", "new", 3))
        assert [(record.sort, record.body) for record in await store.query("p")] == [("kept", 2), ("new", 3)]
        await store.aclose()

    asyncio.run(use())
    assert place.holds() == {("p", "kept"), ("p", "new")}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall() == []


STARTER = """
import asyncio, sys
from agency_lambda.store import Put, open_store
print("ready", flush=True)
input()
asyncio.run(open_store(sys.argv[1]).write(Put("p", sys.argv[2], None)))
"""


def test_processes_that_start_together_make_one_file(file: tuple[Path, Place]) -> None:
    _, place = file
    together(place, STARTER, 6)
    assert place.holds() == {("p", f"{number}") for number in range(6)}


def test_a_new_file_that_another_process_makes_is_waited_for(file: tuple[Path, Place]) -> None:
    path, place = file
    path.parent.mkdir(parents=True)
    place.slow()
    asyncio.run(open_store(place.url).write(Put("p", "s", 1)))
    assert place.holds() == {("p", "s")}


DIES = """
import asyncio, os, signal, sqlite3, sys
from agency_lambda.store import Put, open_store

class Dies(sqlite3.Connection):
    def execute(self, statement, values=()):
        if "'dies'" in repr(values):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, values)

async def main(store):
    for number in range(5):
        await store.aclose()  # what it leaves in the file of writes to come is then of the last one
        large = os.urandom(2_000_000).hex()  # more than SQLite's cache: it is in the file before it is committed
        last = "dies" if number == 4 else "lives"
        await store.write(Put("p", f"{number}a", large, version="a"), Put("p", f"{number}b", large, version=last))
        print(number, flush=True)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: connect(*arguments, **options, factory=Dies)
asyncio.run(main(open_store(sys.argv[1])))
"""


def test_of_a_writer_that_is_killed_only_whole_writes_are_there(file: tuple[Path, Place]) -> None:
    path, place = file
    done = subprocess.run([sys.executable, "-c", DIES, place.url], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, list("0123")), done.stderr
    assert (path.parent / "agency.db-wal").stat().st_size > 100_000  # a part of the fifth write
    store = open_store(place.url)
    records = asyncio.run(store.query("p"))
    assert [record.sort for record in records] == [f"{number}{half}" for number in range(4) for half in "ab"]
    assert [record.body for record in records[::2]] == [record.body for record in records[1::2]]
    asyncio.run(store.write(Put("p", "next", 1)))
    assert len(place.holds()) == 9


FILLS = """
import asyncio, os, resource, sys
from agency_lambda.store import Put, StoreUnavailable, open_store

async def main(store):
    await store.write(Put("p", "first", 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    for number in range(100):
        try:
            await store.write(Put("p", f"{number}a", os.urandom(20_000).hex()), Put("p", f"{number}b", number))
        except StoreUnavailable as error:
            print(number, await store.get("p", "first") is not None, type(error).__name__, error)
            return

asyncio.run(main(open_store(sys.argv[1])))
"""


def test_a_full_disk_is_unavailable_and_loses_nothing(file: tuple[Path, Place]) -> None:
    _, place = file
    done = subprocess.run([sys.executable, "-c", FILLS, place.url], capture_output=True, text=True, timeout=60)
    count, _, rest = done.stdout.partition(" ")
    assert rest == f"True NotWritten {SENTENCES[1]}\n", done.stderr
    assert int(count) > 2
    store = open_store(place.url)
    asyncio.run(store.write(Put("p", "last", 1)))
    written = {f"{number}{half}" for number in range(int(count)) for half in "ab"}
    assert {record.sort for record in asyncio.run(store.query("p"))} == {"first", "last"} | written
