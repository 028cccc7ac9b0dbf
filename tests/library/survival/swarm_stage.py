"""A swarm on a stage: every attempt at each of its runs is a process of its own, which may be killed."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import boto3
import pytest

from agency_lambda.runs.message_rows import ENDED_PARTITION, OPEN
from agency_lambda.runs.model import DUE_PARTITION, StoredResponse
from agency_lambda.testing.aws import dynamodb_here
from agency_lambda.testing.replay import replayed
from tests.library.model_server import ModelServer
from tests.library.survival.swarm import MESSAGES, play
from tests.library.survival.test_crashes import Attempt, Stage, check_events, clean, shape, text


class Played(Protocol):
    """A root run that has ended. deaths: where processes died."""

    run: str

    @property
    def deaths(self) -> list[str]: ...

    def asked(self) -> "Counter[str]":
        """Return how often each request was sent to a model."""
        ...

    def in_flight(self) -> int:
        """Return how many model calls at most had no stored answer when their process died."""
        ...


type KillAt = Callable[[int], int]
"""Gets the number of a process; returns the point at which it dies, 0 for none."""

_AT_ONCE = 4  # processes


@contextmanager
def swarm_stage(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """kind: of the store."""
    with ModelServer(play) as server:
        server.repeats_ids = True
        if kind == "sqlite":
            yield from _staged(f"sqlite:///{folder}/agency.db", {}, folder, server)
            return
        with dynamodb_here(monkeypatch) as (url, environment):
            yield from _staged(url, environment, folder, server)


def _staged(url: str, environment: dict[str, str], folder: Path, server: ModelServer) -> Iterator[Stage]:
    stage = Stage(url, clean(AGENT_MESSAGES="queue", **environment), folder, server)
    try:
        yield stage.ready()
    finally:
        stage.close()


class Swarm:
    """One root run to its end.

    An attempt that follows one that was killed is spared. `after` is called between attempts.
    """

    def __init__(
        self,
        stage: Stage,
        kill_at: KillAt = lambda number: 0,
        *,
        conversation: str | None = None,
        after: Callable[["Swarm"], None] = lambda swarm: None,
    ) -> None:
        self._stage, self._kill_at, self.processes = stage, kill_at, list[Attempt]()
        self._spared: set[str] = set()
        stage.forget()
        more = {"conversation": conversation} if conversation else {}
        body = {"model": "swarm", "input": "job", "background": True, "stream": True, **more}
        self.run = stage.attempt(request=body).run
        while not self.is_over:
            free = self.free()
            if not free:
                self._step([{"sweep": True}])
                free = self.free()
            assert free or self.is_over or self._spared, f"nobody goes on: {self.deaths[-5:]}"
            self._step([{"run": each} for each in free[:_AT_ONCE]])
            after(self)
            assert len(self.processes) < 400, self.deaths
        stage.attempt(sweep=True)

    @property
    def is_over(self) -> bool:
        return self._stage.response(self.run)["status"] not in ("queued", "in_progress")

    def free(self) -> list[str]:
        return self._stage.unfinished()

    def _step(self, commands: list[dict[str, Any]]) -> None:
        begun = []
        for number, command in enumerate(commands, len(self.processes)):
            who = command.get("run", "sweep")
            at = 0 if who in self._spared else self._kill_at(number)
            self._spared.discard(who)
            kill = {"at": at, "how": "kill"} if at else {}
            begun.append((who, self._stage.start(writes=True, **command, **kill)))
        for who, started in begun:
            done = self._stage.wait(*started)
            self.processes.append(done)
            if done.died:
                self._spared.add(who)
                if who != "sweep":
                    self._stage.expire(who)

    @property
    def deaths(self) -> list[str]:
        return [f"{number}: {done.points[-1]}" for number, done in enumerate(self.processes) if done.died]

    def asked(self) -> "Counter[str]":
        return Counter(numbered_calls(each) for done in self.processes for each in _bodies(self._stage, done))

    def in_flight(self) -> int:
        return sum(len(_bodies(self._stage, done)) - _stored(done) for done in self.processes if done.died)


def _bodies(stage: Stage, done: Attempt) -> list[dict[str, Any]]:
    key = f"Bearer {done.name}"
    return [request.body for request in stage.server.requests if request.headers["authorization"] == key]


def _stored(done: Attempt) -> int:
    return sum(point.startswith("journal/model") and point.endswith("is written") for point in done.points)


def numbered_calls(body: dict[str, Any]) -> str:
    # Call ids are labels, which may be random.
    ids = dict.fromkeys(item["call_id"] for item in body["input"] if "call_id" in item)
    written = json.dumps(body, sort_keys=True)
    for number, call_id in enumerate(ids):
        written = written.replace(f'"{call_id}"', f'"call {number}"')
    return written


def table(stage: Stage) -> list[tuple[str, str]]:
    """Return the keys of all records."""
    if stage.url.startswith("sqlite"):
        with sqlite3.connect(stage.url.removeprefix("sqlite:///")) as opened:
            rows: list[tuple[str, str]] = opened.execute("SELECT partition, sort FROM record").fetchall()
        opened.close()
        return rows
    client = boto3.session.Session().client("dynamodb")
    pages = client.get_paginator("scan").paginate(TableName=stage.url.removeprefix("dynamodb://"))
    found = [(item["partition"]["S"], item["sort"]["S"]) for page in pages for item in page["Items"]]
    client.close()
    return found


def left_over(stage: Stage) -> list[tuple[str, str]]:
    """Return records that only unfinished runs need."""
    begins = ("running#", "waiting#", DUE_PARTITION, ENDED_PARTITION)
    return [(key, sort) for key, sort in table(stage) if key.startswith(begins) or sort.startswith(OPEN)]


def children(stage: Stage, root: str) -> list[StoredResponse]:
    """Return the child runs of a root, found in the whole table."""
    keys = [(partition, sort) for partition, sort in table(stage) if sort == "response"]
    records = [stage._do(lambda store, key=key: store.get(*key)) for key in keys]
    found = [StoredResponse.from_record(record) for record in records if record and record.body]
    return [each for each in found if each.sending and each.sending.root == root]


class Calm:
    """What an undisturbed run is like."""

    def __init__(self, stage: Stage, calm: Played, conversation: str) -> None:
        assert not calm.deaths
        self._response = shape(stage.response(calm.run))
        assert self._response["status"] == "completed"
        self._answer, self._asked = text(stage.response(calm.run)["output"][-1]), calm.asked()
        self._said, self._papers = stage.said(conversation), papers(stage)
        self._memory = _memory(stage, conversation)
        self.check(stage, calm, conversation)

    def check(self, stage: Stage, swarm: Played, conversation: str | None = None) -> None:
        where, records = swarm.deaths, stage.records(swarm.run)
        response, asked = records["response"]["response"], swarm.asked()
        assert text(response["output"][-1]) == self._answer, where
        assert shape(response) == self._response, where
        assert asked.keys() == self._asked.keys(), where
        assert asked.total() - self._asked.total() <= swarm.in_flight(), where
        check_events(records)
        events = [event for sort in sorted(records) if sort.startswith("event/") for event in records[sort]]
        assert replayed(events) == response["output"], where
        assert papers(stage) == self._papers, where
        assert left_over(stage) == [], (left_over(stage), where)
        assert stage.announced(swarm.run) == ["response.completed"], where
        made = children(stage, swarm.run)
        assert len({(each.sending.run, each.sending.message.key) for each in made if each.sending}) == MESSAGES, where
        assert sorted(each.response["status"] for each in made) == ["completed"] * (MESSAGES - 1) + ["failed"], where
        if conversation:
            assert stage.said(conversation) == self._said, where
            assert _memory(stage, conversation) == self._memory, where


def _memory(stage: Stage, conversation: str) -> list[str]:
    """Return what the agents remember of a conversation, in its order, without ids."""
    from agency_lambda.history.loading import TurnCache, load_history

    cursor = stage.head(conversation).end
    items = stage._do(lambda store: load_history(store, cursor, TurnCache()))
    known = ("type", "role", "agent", "callerAgent", "content", "name", "arguments", "output")
    return [json.dumps({name: item[name] for name in known if name in item}, sort_keys=True) for item in items]


def papers(stage: Stage) -> dict[str, int]:
    """Return the papers in the ledger, and how many keys each has; sealed ones may be there once."""
    lines = stage.marks.read_text().split()
    stamps = {line for line in lines if "=" in line}
    sealed = [line for line in lines if "=" not in line]
    return {
        **Counter(line.partition("=")[0] for line in stamps),
        **{f"{each} sealed": n for each, n in Counter(sealed).items()},
    }
