"""Runs that are killed anywhere, stopped, robbed of their lease: what was paid for is kept, and told once."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from agency_lambda.history.conversations import Conversations
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.store import Store, open_store
from agency_lambda.testing.aws import dynamodb_here
from agency_lambda.testing.service import SETTINGS
from agency_lambda.webhooks.endpoints import save_endpoint
from agency_lambda.webhooks.model import DUE, END_EVENTS, deliveries_partition
from tests.library.conftest import PYTHONPATH
from tests.library.model_server import ModelServer
from tests.library.survival.desk import SIGN, Label, label, paid_twice, play
from tests.library.v1.test_streams import balanced

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
ENDS = [*END_EVENTS.values()]
JOB = {"model": "desk", "input": "the job"}


class Attempt:
    """What one process has done, as its log tells."""

    def __init__(self, log: Path, end: dict[str, Any]) -> None:
        self.name = log.name
        self.died, self.stopped = end.get("exited") in (9, -signal.SIGKILL), "stopped" in end
        assert self.stopped or self.died or end["exited"] == 0, end
        self._facts = [json.loads(line) for line in log.read_text().splitlines()]
        self.points = self._all("point")
        self.ends = self._all("ended")
        self.sent = self._all("sent")
        self.run: str = next(iter(self._all("run")), "")
        self.loaded: set[str] = set(next(iter(self._all("loaded")), ()))
        self.outcome: str | None = next(iter(self._all("outcome")), None)

    def _all(self, name: str) -> list[Any]:
        return [fact[name] for fact in self._facts if name in fact]


class Stage:
    """A store, a model server, and processes that work on runs."""

    def __init__(self, url: str, environment: dict[str, str], folder: Path, server: ModelServer) -> None:
        self.server, self.url, self._folder, self._logs = server, url, folder, count()
        self.marks = folder / "marks"
        self.marks.touch()
        self._runner = asyncio.Runner()
        self._store = open_store(url)
        self._do(lambda store: save_endpoint(store, "owner", "http://localhost/", ENDS, rotates_secret=False))
        self._zygote = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")],
            env={**environment, "STORE": url, "MARKS": str(self.marks), **provider(server)},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> "Stage":
        """When the first process could be forked."""
        self.attempt(run="resp_none")
        self.forget()
        return self

    def _do(self, action: Callable[[Store], Any]) -> Any:
        return self._runner.run(action(self._store))

    def _order(self, **command: Any) -> dict[str, Any]:
        assert self._zygote.stdin
        assert self._zygote.stdout
        self._zygote.stdin.write(json.dumps(command) + "\n")
        self._zygote.stdin.flush()
        answer: dict[str, Any] = json.loads(self._zygote.stdout.readline())
        return answer

    def start(self, **command: Any) -> tuple[int, Path]:
        log = self._folder / f"log-{next(self._logs)}"
        return self._order(do="start", log=str(log), **command)["pid"], log

    def wait(self, pid: int, log: Path) -> Attempt:
        return Attempt(log, self._order(do="wait", pid=pid))

    def attempt(self, **command: Any) -> Attempt:
        return self.wait(*self.start(**command))

    def expire(self, run: str) -> None:
        """As if twenty seconds had passed."""

        async def write(store: Store) -> None:
            if (lease := await Leases(store).find(run)) and not lease.is_waiting:
                await store.write(lease.put(until=time.time() - 1))

        self._do(write)

    def records(self, run: str) -> dict[str, Any]:
        records = self._do(lambda store: store.query(Responses(store, "owner").partition(run)))
        return {record.sort: record.body for record in records}

    def response(self, run: str) -> dict[str, Any]:
        response: dict[str, Any] = self.records(run)["response"]["response"]
        return response

    def announced(self, run: str) -> list[str]:
        """Return the events of a run that its owner's webhook is to get."""
        newest: dict[str, Any] = {"descending": True, "limit": 2}
        deliveries = self._do(lambda store: store.query(deliveries_partition("owner"), **newest))
        due = self._do(lambda store: store.query(DUE, **newest))
        assert {record.body["id"] for record in due} == {record.body["id"] for record in deliveries}
        return [record.body["event"] for record in deliveries if record.body["response_id"] == run]

    def unfinished(self) -> list[str]:
        leases = self._do(lambda store: Leases(store).all())
        return [lease.id for lease in leases if not lease.dead]

    def conversation(self) -> str:
        made = self._do(lambda store: Conversations(store, "owner").create({}, [], []))
        return str(made.id)

    def head(self, conversation: str) -> Any:
        return self._do(lambda store: Conversations(store, "owner").get(conversation))

    def said(self, conversation: str) -> list[str]:
        async def items(store: Store) -> Any:
            conversations = Conversations(store, "owner")
            return await conversations.items(await conversations.get(conversation))

        return [text(item) for item in self._do(items) if item["type"] == "message"]

    def asked(self, attempt: Attempt) -> list[Label]:
        """Return the questions of one attempt, known by its key: some arrive after their sender has died."""
        key = f"Bearer {attempt.name}"
        return [label(request) for request in self.server.requests if request.headers["authorization"] == key]

    def forget(self) -> None:
        self.server.requests.clear()
        self.marks.write_text("")

    def close(self) -> None:
        assert self._zygote.stdin
        assert self._zygote.stdout
        self._zygote.stdin.close()
        self._zygote.wait(30)
        self._zygote.stdout.close()
        self._runner.run(self._store.aclose())
        self._runner.close()


def text(item: dict[str, Any]) -> str:
    parts = item.get("content") or item.get("summary") or []
    return parts if isinstance(parts, str) else "".join(part["text"] for part in parts)


def provider(server: ModelServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url}


def clean(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**kept, "PYTHONPATH": PYTHONPATH, **more}


@contextmanager
def staged(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with ModelServer(play) as server:
        server.repeats_ids = True
        if kind == "sqlite":
            stage = Stage(f"sqlite:///{folder}/agency.db", clean(), folder, server)
            try:
                yield stage.ready()
            finally:
                stage.close()
            return
        with dynamodb_here(monkeypatch) as (url, environment):
            stage = Stage(url, clean(**environment), folder, server)
            try:
                yield stage.ready()
            finally:
                stage.close()


@pytest.fixture(scope="module", params=["sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as monkeypatch, staged(request.param, folder, monkeypatch) as made:
        yield made


@pytest.fixture
def stage(store: Stage) -> Stage:
    store.forget()
    return store


LOCAL = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def shape(response: dict[str, Any]) -> Any:
    """What has to be the same, crash or not; agents that work side by side may change places.

    What a model was saying when its process died was told, and cannot be untold: it is left out.
    """
    labels = {item["id"]: text(item) for item in response["output"]}
    items, left_out = [], [item["id"] for item in untold(response)]
    for item in response["output"]:
        if item["id"] not in left_out or item["type"] == "reasoning":
            known = {name: item.get(name) for name in ("type", "status", "agent", "tool", "recipient", "name")}
            items.append({**known, "text": text(item), "parent": labels.get(item.get("parent"))})
    told = {name: response[name] for name in ("status", "error", "incomplete_details")}
    told |= {"usage": {name: count for name, count in response["usage"].items() if name != "replayed_calls"}}
    return {**told, "items": sorted(items, key=json.dumps)}


def untold(response: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items of answers that were lost with their process: broken off, or said again afterwards."""
    said = [text(item) for item in response["output"] if item["type"] == "message" and item["status"] == "completed"]
    found = []
    for item in response["output"]:
        if item["type"] == "message" and item["status"] == "completed":
            said.remove(text(item))
            if text(item) in said:
                found.append(item)
        elif item["status"] == "incomplete":
            found.append(item)
    return found


def begin(stage: Stage, asked: dict[str, Any], **command: Any) -> tuple[str, Attempt]:
    """The first attempt at a new run."""
    first = stage.attempt(request=asked, **({} if asked.get("background") else command))
    if not asked.get("background"):
        return first.run, first
    assert first.outcome == "queued"
    return first.run, stage.attempt(run=first.run, **command)


def check_events(records: dict[str, Any]) -> None:
    events = [event for sort in sorted(records) if sort.startswith("event/") for event in records[sort]]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    balanced(events)
    assert events[-1]["response"] == records["response"]["response"]


def journal(records: dict[str, Any]) -> set[str]:
    """Return the keys of the answers and outputs that are kept."""
    kept = {sort.removeprefix("journal/") for sort in records if sort.startswith("journal/")}
    return kept - {"asked"}


def walk(stage: Stage, asked: dict[str, Any]) -> int:
    """Die at every point in turn, and go on; returns how many there are."""
    run, calm = begin(stage, asked)
    assert calm.outcome == "completed"
    whole, questions = shape(stage.response(run)), Counter(stage.asked(calm))
    assert not untold(stage.response(run))
    marks = len(stage.marks.read_text().split())
    for number in count(1):
        stage.forget()
        run, first = begin(stage, asked, at=number, settle=number // 2 % 2)
        if not first.died:
            assert first.outcome == "completed"
            return number - 1
        where = f"{number}: {first.points[-1]}"
        final = bool(first.ends)
        left, marked_before = journal(stage.records(run)), len(stage.marks.read_text().split())
        if number == 1:
            assert stage.attempt(run=run).outcome == "nothing"  # the lease of the dead holds still
        stage.expire(run)
        second = stage.attempt(run=run)
        assert second.outcome == ("nothing" if final else "completed"), where
        records = stage.records(run)
        assert shape(records["response"]["response"]) == whole, where
        found = left if final else second.loaded  # a write of the dead may come between the two
        assert found >= left, where
        kept, finished = (sum(key.startswith(kind) for key in found) for kind in ("model/", "tool/"))
        assert kept >= first.points.count("model is kept"), where
        assert final or records["response"]["response"]["usage"]["replayed_calls"] == kept, where
        asked_before, asked_after = stage.asked(first), stage.asked(second)
        in_flight = len(asked_before) - kept
        assert len(untold(records["response"]["response"])) <= in_flight, where
        assert stage.unfinished() == [], where
        assert stage.announced(run) == ["response.completed"], where
        assert len(asked_after) == (0 if final else questions.total() - kept), where
        assert paid_twice(asked_before + asked_after) == [], where
        assert Counter(asked_before + asked_after) >= questions, where
        assert len(asked_before) + len(asked_after) <= questions.total() + 2, where  # two at once, at most
        assert finished >= first.points.count("tool is kept"), where
        keys = stage.marks.read_text().split()
        told = {agent for _, agent, outputs in asked_before if outputs}  # a model was given what the tool returned
        assert all(n == 1 for key, n in Counter(keys).items() if key.split("/")[1] in told), where
        assert len(set(keys)) == marks, where  # the key of a call is the same when it is made again
        assert len(keys) - marked_before == (0 if final else marks - finished), where
        if asked.get("stream"):
            check_events(records)
        if "tools" in asked:
            go_on(stage, records["response"]["response"], asked)
    raise AssertionError


def go_on(stage: Stage, response: dict[str, Any], asked: dict[str, Any]) -> None:
    """The client has run its function, and hands in what it returned."""
    (function,) = [
        item for item in response["output"] if item["type"] == "function_call" and item["status"] == "completed"
    ]
    output = {"type": "function_call_output", "call_id": function["call_id"], "output": "signed"}
    next_one = {**asked, "input": [output], "previous_response_id": response["id"], "stream": False}
    later = stage.attempt(request=next_one)
    assert later.outcome == "completed"
    assert "that is all there is to say" in text(stage.response(later.run)["output"][-1])


def test_a_run_survives_wherever_it_is_killed(stage: Stage) -> None:
    assert walk(stage, {**JOB, "background": True, "stream": True}) >= 30


@LOCAL
def test_a_run_that_nobody_follows_survives_too(stage: Stage) -> None:
    assert walk(stage, JOB) >= 30


def test_functions_of_the_client_survive_too(stage: Stage) -> None:
    assert walk(stage, {**JOB, "stream": True, "tools": [SIGN]}) >= 12


@LOCAL
def test_who_wakes_up_without_a_lease_has_lost(stage: Stage) -> None:
    """Stopped at every other point, while another attempt takes over and ends the run."""
    for number in count(1, 2):
        stage.forget()
        conversation = stage.conversation()
        asked = {**JOB, "background": True, "stream": True, "conversation": conversation}
        queued = stage.attempt(request=asked)
        sleeper = stage.start(run=queued.run, at=number, how="stop")
        asleep = stage.wait(*sleeper)
        if not asleep.stopped:
            assert asleep.outcome == "completed"
            return
        assert stage.attempt(run=queued.run).outcome == "nothing"
        stage.expire(queued.run)
        thief = stage.attempt(run=queued.run)
        assert thief.outcome == ("nothing" if asleep.ends else "completed"), asleep.points[-1]
        before = stage.records(queued.run), stage.head(conversation), stage.said(conversation)
        os.kill(sleeper[0], signal.SIGCONT)
        awake = stage.wait(*sleeper)
        assert awake.outcome == ("completed" if asleep.ends else "lost"), asleep.points[-1]
        assert len(awake.ends) + len(thief.ends) == 1
        after = stage.records(queued.run), stage.head(conversation), stage.said(conversation)
        # It may have kept an answer before it noticed; but what was there is as it was.
        assert {sort: after[0][sort] for sort in before[0]} == before[0], asleep.points[-1]
        assert all(sort.startswith("journal/") for sort in set(after[0]) - set(before[0]))
        assert before[1:] == after[1:]
        assert before[1].turns == 1
        assert before[1].active_run_id is None
        check_events(after[0])
        assert stage.unfinished() == []


@LOCAL
@pytest.mark.parametrize("number", [1, 4, 12, 20])
def test_who_wakes_up_beside_the_thief_has_lost(stage: Stage, number: int) -> None:
    conversation = stage.conversation()
    queued = stage.attempt(request={**JOB, "background": True, "stream": True, "conversation": conversation})
    sleeper = stage.start(run=queued.run, at=number, how="stop", settle=True)
    assert stage.wait(*sleeper).stopped
    stage.expire(queued.run)
    thief = stage.start(run=queued.run, at=3, how="stop", settle=True)
    assert stage.wait(*thief).stopped
    os.kill(sleeper[0], signal.SIGCONT)
    assert stage.wait(*sleeper).outcome == "lost"
    assert stage.head(conversation).active_run_id == queued.run
    assert stage.response(queued.run)["status"] == "in_progress"
    os.kill(thief[0], signal.SIGCONT)
    assert stage.wait(*thief).outcome == "completed"
    assert stage.head(conversation).turns == 1
    check_events(stage.records(queued.run))


def test_two_attempts_at_once_are_one(stage: Stage) -> None:
    queued = stage.attempt(request={**JOB, "background": True, "conversation": stage.conversation()})
    both = [stage.start(run=queued.run) for _ in range(3)]
    ended = [stage.wait(*each) for each in both]
    assert sorted(str(each.outcome) for each in ended) == ["completed", "nothing", "nothing"]
    assert sum(len(each.ends) for each in ended) == 1
    assert len(stage.server.requests) == 6


def test_attempts_that_always_die_are_not_made_for_ever(stage: Stage) -> None:
    conversation = stage.conversation()
    queued = stage.attempt(request={**JOB, "background": True, "stream": True, "conversation": conversation})
    waiting = stage.attempt(request={**JOB, "input": "another job", "background": True, "conversation": conversation})
    for _ in range(5):
        assert stage.attempt(run=queued.run, at=2).died
        stage.expire(queued.run)
    asked = len(stage.server.requests)
    last = stage.attempt(run=queued.run)
    assert last.outcome == "given_up"
    assert len(stage.server.requests) == asked
    response = stage.response(queued.run)
    assert (response["status"], response["error"]["detail_code"]) == ("failed", "given_up")
    check_events(stage.records(queued.run))
    assert stage.attempt(run=queued.run).outcome == "nothing"
    assert stage.unfinished() == [waiting.run]
    assert last.sent == [waiting.run]
    assert stage.head(conversation).active_run_id == waiting.run
    assert stage.attempt(run=waiting.run).outcome == "completed"
    assert stage.attempt(request={**JOB, "input": "a third", "conversation": conversation}).outcome == "completed"
    assert [said for said in stage.said(conversation) if "two" not in said] == ["another job", "a third"]


def test_who_waits_for_a_conversation_waits_in_line(stage: Stage) -> None:
    conversation = stage.conversation()
    line = [
        stage.attempt(request={**JOB, "input": job, "background": True, "conversation": conversation}).run
        for job in ("one", "two", "three", "four")
    ]
    head = stage.head(conversation)
    assert [head.active_run_id, *head.waiting_run_ids] == line
    for early in (line[3], line[1]):
        assert stage.attempt(run=early).outcome == "nothing"
    assert stage.attempt(request={**JOB, "conversation": conversation}).outcome == "conversation_busy"
    assert stage.attempt(cancel=line[1]).outcome == "cancelled"
    head = stage.head(conversation)
    assert [head.active_run_id, *head.waiting_run_ids] == [line[0], line[2], line[3]]
    for number in (0, 2, 3):
        stage.expire(line[number])
        done = stage.attempt(run=line[number])
        assert done.outcome == "completed"
        assert done.sent == ([line[number + 1 or number]] if number == 2 else [line[2]] if number == 0 else [])
    assert stage.said(conversation)[::2] == ["one", "three", "four"]
    assert stage.head(conversation).active_run_id is None
    assert stage.unfinished() == []


@contextmanager
def serving(folder: Path, server: ModelServer) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a real server, and what kills it and starts it again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stores = {"STORE": f"sqlite:///{folder}/agency.db", "MARKS": f"{folder}/marks", "PORT": str(port)}
    url, running = f"http://127.0.0.1:{port}", []

    def start() -> None:
        command = [sys.executable, str(HERE / "launcher.py")]
        environment = clean(**stores, **provider(server))
        with open(folder / "log", "a") as log:
            running.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
        for _ in range(300):
            with suppress(httpx.HTTPError):
                httpx.get(f"{url}/health").raise_for_status()
                return
            time.sleep(0.05)
        raise AssertionError((folder / "log").read_text())

    def again() -> None:
        running[-1].kill()
        running[-1].wait()
        start()

    try:
        start()
        yield url, again
    finally:
        running[-1].kill()
        running[-1].wait()


def test_a_server_that_is_killed_again_and_again_finishes_everything(tmp_path: Path) -> None:
    moments = random.Random(4)
    jobs = ["alone", "with stream", "first", "second"]
    with ModelServer(play, delay=0.3) as server, serving(tmp_path, server) as (url, again):
        server.repeats_ids = True
        with httpx.Client(base_url=url, timeout=20) as client:
            conversation = client.post("/v1/conversations", json={}).json()["id"]
            runs = {}
            for job in jobs:
                more: dict[str, Any] = {"conversation": conversation} if job in ("first", "second") else {}
                body = {"model": "desk", "input": job, "background": True, "stream": job == "with stream", **more}
                if body["stream"]:
                    with client.stream("POST", "/v1/responses", json=body) as stream:
                        line = next(line for line in stream.iter_lines() if line.startswith("data: "))
                    runs[job] = json.loads(line[6:])["response"]["id"]
                else:
                    runs[job] = client.post("/v1/responses", json=body).raise_for_status().json()["id"]
        for _ in range(3):
            time.sleep(moments.uniform(0.2, 1.0))
            again()
        with httpx.Client(base_url=url, timeout=20) as client:
            for job, run in runs.items():
                for _ in range(300):
                    response = client.get(f"/v1/responses/{run}").json()
                    if response["status"] not in ("queued", "in_progress"):
                        break
                    time.sleep(0.1)
                assert response["status"] == "completed", (job, response)
                assert job in text(response["output"][-1])
            items = client.get(f"/v1/conversations/{conversation}/items?order=asc").json()["data"]
            said = [text(item) for item in items if item["type"] == "message" and item["role"] == "user"]
            assert said == ["first", "second"]
            with client.stream("GET", f"/v1/responses/{runs['with stream']}?stream=true") as stream:
                events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: {")]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        balanced(events)
        asked = [label(request) for request in server.requests]
    assert {job for job, _, _ in asked} == set(jobs)
    assert paid_twice(asked) == []
    assert len(asked) >= 24
