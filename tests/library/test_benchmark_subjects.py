"""What the benchmark's warm half stands on: a child that answers, a store that is watched, times that are true."""

import asyncio
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from agency_lambda import credentials
from agency_lambda.store import ABSENT, Conflict, Delete, Put, Store
from agency_lambda.store.sqlite import SQLiteStore
from benchmarks.child import ROOT, Child
from benchmarks.growth import _growing
from benchmarks.timing import percentile, timed
from benchmarks.watched_store import MemoryStore, WatchedStore

SUBJECT = """
import os, sys
from benchmarks.child import serve

def make():
    print("a line of the log")
    def do(text, times):
        print("another")
        if text == "die":
            sys.exit("for a reason")
        return {"said": text * times, "store": os.environ["STORE"], "of this machine": "HOME" in os.environ}
    return do

serve(make)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "subject.py").write_text(SUBJECT)
    return f"{tmp_path}:{ROOT}"


def test_a_child_answers_whatever_it_prints(path: str) -> None:
    with Child("subject", PYTHONPATH=path, STORE="here") as child:
        assert child.ask("a", 3) == {"said": "aaa", "store": "here", "of this machine": False}
        assert child.ask("b", 1)["said"] == "b"


def test_a_child_that_ends_says_why(path: str) -> None:
    with Child("subject", PYTHONPATH=path, STORE="here") as child, pytest.raises(RuntimeError, match="for a reason"):
        child.ask("die", 1)


def test_percentiles_are_values_that_were_there() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (percentile(values, 50), percentile(values, 99), percentile([7.0], 99)) == (50.0, 99.0, 7.0)


def test_who_sleeps_uses_time_but_no_processor() -> None:
    took = timed(lambda: time.sleep(0.03), 3)
    assert len(took["CPU"]) == len(took["wall"]) == 3
    assert min(took["wall"]) >= 30 > 10 > max(took["CPU"])


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The store that costs nothing is to do what a real one does."""
    return MemoryStore() if request.param == "memory" else SQLiteStore(f"{tmp_path}/agency.db")


def test_the_store_in_memory_keeps_what_a_store_keeps(store: Store) -> None:
    async def use() -> None:
        body = {"b": [1]}
        first = Put("p", "2", body, expected=ABSENT)
        await store.write(first, Put("p", "1", "one"))
        body["b"].append(2)  # what is kept is what was written
        found = await store.get("p", "2")
        assert found
        assert (found.body, found.version, found.size) == ({"b": [1]}, first.version, len('{"b":[1]}'))
        with pytest.raises(Conflict):
            await store.write(Put("p", "3", 3), Put("p", "2", {}, expected="another"))
        await store.write(Put("p", "2", "new", expected=first.version), Put("q", "1", "elsewhere"))
        assert [(record.body, record.size) for record in await store.query("p")] == [("one", 5), ("new", 5)]
        assert [record.sort for record in await store.query("p", after="1", before="3")] == ["2"]
        assert len(await store.query("p", limit=1)) == 1
        assert [record.sort for record in await store.query("p", descending=True)] == ["2", "1"]
        with pytest.raises(Conflict):
            await store.write(Delete("p", "2", expected=first.version))
        await store.write(Delete("p", "2"), Delete("p", "never was"))
        assert await store.get("p", "2") is None
        await store.aclose()

    asyncio.run(use())


def test_a_watched_store_counts_what_it_is_asked() -> None:
    async def use() -> dict[str, int]:
        watched = WatchedStore(MemoryStore(), weigh=True)
        await watched.write(Put("p", "1", "four"), Delete("p", "2"))
        assert watched.weight() == len('"four"')
        assert watched.weight() == 0
        assert (await watched.query("p", after="0"))[0] == await watched.get("p", "1")
        return watched.counts

    assert asyncio.run(use()) == {"reads": 2, "writes": 1, "records": 2, "waits": 3}


def test_a_run_waits_for_the_store_where_nothing_else_is_at_work() -> None:
    async def use() -> int:
        busy = False
        watched = WatchedStore(MemoryStore(), busy=lambda: busy)
        watched.seconds = 0.02
        await watched.write(Put("p", "1", 1))
        beside = asyncio.create_task(watched.write(Put("p", "2", 2)))
        await asyncio.sleep(0)
        busy = True  # a model was asked meanwhile, and has not answered when the store has
        await beside
        return watched.counts["waits"]

    assert asyncio.run(use()) == 1


def test_a_conversation_grows_to_the_turn_that_is_named() -> None:
    done: list[str] = []

    def turn() -> Any:
        done.append("run")
        return {"CPU": 1.0}

    grow = _growing(turn, lambda: done.append("added"))
    assert grow("run", 2) == [{"CPU": 1.0}] * 2
    assert grow("add", 4) == []
    assert grow("run", 5) == [{"CPU": 1.0}]
    assert done == ["run", "run", "added", "added", "run"]


def test_the_benchmarks_own_model_answers_beside_the_stand_in_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", credentials.NO_KEY)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "task"))
    agency = import_module("bench_agency").create_one()
    assert [type(agent.model).__name__ for agent in agency.agents.values()] == ["InstantModel"]
