"""What is promised of how long things are kept: responses for 30 days, conversations until they are deleted."""

import asyncio
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from agency_swarm import Agency, Agent
from agents import Model

import agencies
from agency_lambda.store import Change, Put
from agency_lambda.testing.aws import dynamodb_client, dynamodb_here
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form, form_event
from tests.library.record.swarm import begun, swarm, worked

DAY = 24 * 3600
NEVER = None
#: what lies in the store, by partition and sort -> the days that it is kept
PROMISES = {
    r"local/response/[^/]+ response": 30,  # with its request
    r"local/response/[^/]+ event/\d+": 30,
    r"local/response/[^/]+ journal/(model|tool|file)/.+": 30,
    r"local/response/[^/]+ journal/asked": 30,
    r"local/log/[^/]+ \d+": 30,  # its turn, from which it can be continued
    r"local/idempotency/[^/]+ claim": 1,
    r"local/runs \d{16}/resp_[0-9a-f]{32}": 30,  # its entry in the index of its owner's runs
    r"owners local": 60,  # behind the last day with a run
    r"local/conversations \d{16}/conv_[0-9a-f]{32}": NEVER,
    r"local/conversation/[^/]+ head": NEVER,
    r"local/conversation/[^/]+ \d+": NEVER,
    r"part/[^/]+ \d+": 30,  # of a response that is too long for one item of DynamoDB
    r"local/files \d{16}/file-[0-9a-f]{32}": 30,
    r"local/uploads file-[0-9a-f]{32}": 75 / 1440,  # on its way
    r"local/uploads file-[0-9a-f]{32}/\d{3}": 2 / 24,  # a part of it
    r"files#due \d{12}/file-[0-9a-f]{32}": NEVER,  # until its bytes are deleted
    r"files#usage local": NEVER,
    r"local/webhook endpoint": NEVER,
    r"local/deliveries \d{16}/evt_[0-9a-f]{32}": 30,
    r"webhooks/due \d{10}/local/evt_[0-9a-f]{32}": 30,
    r"local/response/[^/]+ journal/(message|batch)/.+": 30,  # what is sent to other agents, and what they return
    r"local/response/[^/]+ message/.+": 30,  # is not answered yet
    r"local/response/[^/]+ messages": 30,  # their number
    r"local/response/[^/]+ stream": 30,  # to which the runs of messages add
    r"messages/ended resp_[0-9a-f]{32}": 30,  # until the run is woken that has sent the message
    r"waiting/due \d{12}/resp_[0-9a-f]{32}": NEVER,  # a run that waits
    r"(running|waiting)#0[0-9a-f] [^/]+": NEVER,  # a run that is not over
}
SWARM = {"create_agency": swarm, "messages": {"Boss>Helper": "queue", "Helper>Deep": "queue"}}
UPLOAD = {"bytes": 2, "filename": "a.txt", "mime_type": "text/plain", "purpose": "user_data"}
ASK = {"model": "letters", "input": "Client Nordwind asks about a date."}


class Row(NamedTuple):
    """A record as it lies in the store. days: that it is kept, None: for ever."""

    name: str
    days: float | None


on_both = pytest.mark.parametrize("store", ["sqlite", "dynamodb"], indirect=True)
on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def store(
    request: pytest.FixtureRequest, tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> Iterator[tuple[str, Callable[[], list[tuple[str, int | None]]]]]:
    """STORE, and everything that lies there with its time to live, read behind the service's back."""
    if request.param == "sqlite":
        path = tmp_path / "kept.db"

        def rows() -> list[tuple[str, int | None]]:
            with closing(sqlite3.connect(path)) as connection:
                return list(connection.execute("SELECT partition || ' ' || sort, expires FROM record"))

        yield f"sqlite:///{path}", rows
        return
    with dynamodb_here(clean_environment) as (url, environment):
        client, name = dynamodb_client(environment["AWS_ENDPOINT_URL_DYNAMODB"]), url.removeprefix("dynamodb://")

        def items() -> list[tuple[str, int | None]]:
            ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"]
            pages = client.get_paginator("scan").paginate(TableName=name, ConsistentRead=True)
            return [
                (f"{each['partition']['S']} {each['sort']['S']}", int(each[ttl]["N"]) if ttl in each else None)
                for page in pages
                for each in page["Items"]
            ]

        yield url, items
        client.close()


class Hesitant(Model):
    """Thinks for a while, so that it is noted that it was asked, and then does not answer."""

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.5)
        raise ValueError("nothing to say")

    async def stream_response(self, *args: Any, **kwargs: Any) -> Any:
        yield await self.get_response()


class Kept:
    """A service with one thing of every kind in its store."""

    def __init__(self, service: Service, rows: Callable[[], list[tuple[str, int | None]]]) -> None:
        self.service, self._rows = service, rows
        self._note_what_is_written()
        service.send(http_event("PUT", "/v1/webhooks", {"url": "http://localhost/", "events": ["response.completed"]}))
        service.send(form_event("/v1/files", file_form(b"kept")))
        upload = service.post("/v1/uploads", UPLOAD)[1]["id"]
        service.send(form_event(f"/v1/uploads/{upload}/parts", form(("data", "x"))))
        self.conversation = service.post(
            "/v1/conversations", {"items": [{"role": "user", "content": "said"}], "metadata": {"a": "b"}}
        )[1]["id"]
        self.response = service.post("/v1/responses", ASK, **{"idempotency-key": "k"})[1]["id"]
        self.streamed = service.respond(**ASK_STREAMED)[-1]["response"]["id"]
        self.said = service.respond("and then?", conversation=self.conversation)["id"]
        self.long = service.respond(random.Random(1).randbytes(400_000).hex(), model="brief")["id"]
        self.open = service.post("/v1/responses", {**ASK, "background": True})[1]["id"]

    def _note_what_is_written(self) -> None:
        """Also what is not there any more when a test looks."""
        from agency_lambda.run_service import get_run_service

        store, self._written = get_run_service().store, list[tuple[str, int | None]]()
        write = store.write

        async def noting(*changes: Change) -> None:
            await write(*changes)
            puts = (change for change in changes if isinstance(change, Put))
            self._written += [(f"{put.partition} {put.sort}", put.expires) for put in puts]

        store.write = noting  # type: ignore[method-assign]

    def leave_messages_open(self) -> None:
        from agency_lambda.run_service import get_run_service

        async def begin() -> None:
            runs = get_run_service()
            await begun(runs, "local", model="swarm", stream=True)
            await worked(runs, 8)

        self.service.handler.run(begin())

    def rows(self) -> list[Row]:
        """What lies in the store."""
        return self._as_rows(self._rows())

    def written(self) -> list[Row]:
        """What was ever written."""
        return self._as_rows(self._written)

    def _as_rows(self, rows: Iterable[tuple[str, int | None]]) -> list[Row]:
        now = time.time()
        return [Row(name, None if expires is None else (expires - now) / DAY) for name, expires in rows]

    def read(self, path: str) -> int:
        return int(self.service.handler(http_event("GET", path), Context(60))["statusCode"])


ASK_STREAMED = {"input": "Client Nordwind asks about a date.", "stream": True}


@pytest.fixture
def kept(
    store: tuple[str, Callable[[], list[tuple[str, int | None]]]],
    start: Callable[..., Service],
    monkeypatch: pytest.MonkeyPatch,
) -> Kept:
    brief = lambda: Agency(Agent(name="Brief", instructions="Be brief."))  # noqa: E731
    hesitant = lambda: Agency(Agent(name="Hesitant", instructions="Think.", model=Hesitant()))  # noqa: E731
    monkeypatch.setattr(
        "agencies.AGENCIES", {**agencies.AGENCIES, "brief": brief, "hesitant": hesitant, "swarm": SWARM}
    )
    return Kept(start(STORE=store[0]), store[1])


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """later(days): every clock of the calendar shows that many days from now."""
    now = time.time

    def move(days: float) -> None:
        monkeypatch.setattr("time.time", lambda: now() + days * DAY)

    return move


@on_both
def test_each_row_is_kept_as_long_as_it_is_promised(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLUSH", "RENEW"):
        monkeypatch.setattr(f"agency_lambda.runs.heartbeat.{name}", 0.01)
    assert kept.service.post("/v1/responses", {"model": "hesitant", "input": "x"})[0] == 500
    kept.leave_messages_open()
    met = set()
    for row in [*kept.rows(), *kept.written()]:
        (pattern,) = [each for each in PROMISES if re.fullmatch(each, row.name)] or [""]
        assert pattern, f"nothing is promised of {row.name}"
        met.add(pattern)
        promised = PROMISES[pattern]
        if promised is None:
            assert row.days is None, row
        else:
            assert row.days == pytest.approx(promised, abs=0.01), row
    assert met | {r"part/[^/]+ \d+"} == set(PROMISES)


@on_both
def test_a_response_is_there_for_thirty_days_and_not_longer(kept: Kept, later: Callable[[float], None]) -> None:
    paths = [
        f"/v1/responses/{kept.response}",
        f"/v1/responses/{kept.response}/input_items",
        f"/v1/responses/{kept.streamed}?stream=true",
        f"/v1/responses/{kept.said}",
        f"/v1/responses/{kept.long}",
    ]
    follow_up = {**ASK, "previous_response_id": kept.response}
    events = kept.service.handler(http_event("GET", paths[2]), Context(60))["body"]
    later(29.9)
    assert [kept.read(path) for path in paths] == [200] * len(paths)
    assert kept.service.handler(http_event("GET", paths[2]), Context(60))["body"] == events
    assert kept.service.post("/v1/responses", follow_up)[0] == 200
    later(30.1)
    assert [kept.read(path) for path in paths] == [404] * len(paths)
    assert kept.service.post("/v1/responses", follow_up)[0] == 404


@on_sqlite
def test_a_conversation_is_there_until_it_is_deleted(kept: Kept, later: Callable[[float], None]) -> None:
    path = f"/v1/conversations/{kept.conversation}"
    later(10 * 365)
    status, found = kept.service.get(path)
    assert (status, found["metadata"]) == (200, {"a": "b"})
    _, items = kept.service.get(f"{path}/items?limit=100&order=asc")
    assert [item["content"][0]["text"] for item in items["data"] if item["type"] == "message"][:2] == [
        "said",
        "and then?",
    ]
    assert kept.service.post("/v1/responses", {**ASK, "conversation": kept.conversation})[0] == 200
    assert kept.service.delete(path)[0] == 200
    assert kept.service.get(path)[0] == 404
    assert not [row for row in kept.rows() if f"/conversation/{kept.conversation} " in row.name]


@on_sqlite
def test_a_deleted_response_leaves_nothing(kept: Kept) -> None:
    for name in (kept.response, kept.streamed, kept.long):
        assert kept.service.delete(f"/v1/responses/{name}")[0] == 200
        assert not [row for row in kept.rows() if f"/response/{name} " in row.name]


@on_sqlite
def test_an_idempotency_key_is_taken_for_a_day(kept: Kept, later: Callable[[float], None]) -> None:
    def again() -> str:
        return str(kept.service.post("/v1/responses", ASK, **{"idempotency-key": "k"})[1]["id"])

    later(0.99)
    assert again() == kept.response
    later(1.01)
    assert again() != kept.response


@on_sqlite
def test_a_run_that_waits_for_longer_than_anything_is_kept_is_not_forgotten(
    kept: Kept, later: Callable[[float], None]
) -> None:
    """Its lease stays; what it was asked has expired, so it ends."""
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    later(31)
    assert kept.service.handler.run(worker.reap_expired(get_run_service())) == 1
    kept.service.handler.run(worker.work(get_run_service(), kept.open))
    assert not [row for row in kept.rows() if row.name.startswith("running")]
