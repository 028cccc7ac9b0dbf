"""`make run` and the Lambda worker with a webhook: from a run's end to OpenAI's own `unwrap`, through SIGKILL."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from agency_lambda.errors import StoreUnavailable
from agency_lambda.store import Put
from agency_lambda.webhooks.endpoints import save_endpoint
from tests.library.clients.server import Server, serve
from tests.library.models.agencies import office, settings
from tests.library.record.views import play
from tests.library.runs.stage import begin, on_stage, told
from tests.library.test_worker import Worker, begin_work, queue, server
from tests.library.webhooks.receiver import Receiver, receiver

__all__ = ["begin_work", "queue", "server"]
COMPLETED = ["response.completed"]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def call(server: Server, method: str, path: str = "", **body: Any) -> Any:
    headers = {"authorization": f"Bearer {server.key}"}
    answer = httpx.request(method, f"{server.base_url}/webhooks{path}", json=body or None, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for(condition: Callable[[], Any], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_each_end_reaches_the_receiver_and_openais_client(tmp_path: Path, hook: Receiver) -> None:
    with serve(tmp_path) as server:
        events = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"]
        secret = call(server, "PUT", url=hook.url, events=events)["secret"]
        client = OpenAI(**server.options())
        whole = client.responses.create(model="letters", input="hello").id
        with client.responses.stream(model="letters", input="hello") as stream:
            streamed = stream.get_final_response().id
        made = client.responses.create(model="letters", input="hello", background=True).id
        short = client.responses.create(model="letters", input="hello", max_output_tokens=16).id
        wait_for(lambda: len(hook.received) >= 4)
        unwrapped: list[Any] = [client.webhooks.unwrap(body, heads, secret=secret) for _, heads, body in hook.received]
        expected = {(run, "response.completed") for run in (whole, streamed, made)} | {(short, "response.incomplete")}
        assert {(event.data.id, event.type) for event in unwrapped} == expected
        found = call(server, "GET", "/deliveries")["data"]
        assert {each["id"] for each in found} == set(hook.ids)
        hook.answers = [500]
        again = found[0]["id"]
        assert call(server, "POST", f"/deliveries/{again}/redeliver")["status"] == "pending"
        wait_for(lambda: hook.ids.count(again) == 2)


def test_delivery_outlives_a_server_that_is_killed(tmp_path: Path, hook: Receiver) -> None:
    hook.answers = [None]
    with serve(tmp_path) as server:
        secret = call(server, "PUT", url=hook.url, events=COMPLETED)["secret"]
        made = OpenAI(**server.options()).responses.create(model="letters", input="hello").id
        wait_for(lambda: hook.received)
    with serve(tmp_path) as server:  # the first one was killed in the middle of its attempt
        wait_for(lambda: len(hook.received) == 2)
        wait_for(lambda: call(server, "GET", "/deliveries")["data"][0]["status"] == "delivered")
    first, second = ((headers["webhook-id"], body) for _, headers, body in hook.received)
    assert first == second
    _, headers, body = hook.received[1]
    event: Any = OpenAI(api_key="any").webhooks.unwrap(body, headers, secret=secret)
    assert event.data.id == made


def test_delivery_is_in_the_write_that_ends_the_run_or_nowhere() -> None:
    """So whatever dies, and wherever: an end that is stored is announced, and no other is."""

    async def whole(store: str, *, fails: bool) -> list[set[str]]:
        async with on_stage(office, settings(key=None, store=store)) as runs:
            await save_endpoint(runs.store, "owner", "http://localhost/", COMPLETED, rotates_secret=False)
            attempt, write, together = await begin(runs, store=True, stream=False), runs.store.write, list[set[str]]()

            async def watched(*changes: Any) -> None:
                puts = [change for change in changes if isinstance(change, Put)]
                is_end = any(put.sort == "response" and put.body["response"]["status"] == "completed" for put in puts)
                if is_end and fails:
                    raise StoreUnavailable("away")
                await write(*changes)
                if is_end or any("webhooks" in put.partition or "deliveries" in put.partition for put in puts):
                    together.append({put.partition.removeprefix("owner/") for put in puts})

            runs.store.write = watched  # type: ignore[method-assign]
            await told(attempt)
            runs.store.write = write  # type: ignore[method-assign]
            rows = [*await runs.store.query("owner/deliveries"), *await runs.store.query("webhooks/due")]
            assert len(rows) == (0 if fails else 2)
            return together

    (ended,) = play(lambda store: whole(store, fails=False))
    assert {"deliveries", "webhooks/due", "runs"} < ended
    assert play(lambda store: whole(store, fails=True)) == []


@pytest.fixture
def worker(begin_work: Callable[..., Worker]) -> Worker:
    return begin_work()


def test_lambda_worker_delivers_and_its_schedule_finds_what_is_due(
    worker: Worker, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = worker.runs().store
    worker.environment.run(save_endpoint(store, "local", hook.url, COMPLETED, rotates_secret=False))
    run = worker.begin()
    assert worker.handle(*worker.queue.messages()) == []
    (sent,) = worker.queue.messages()
    assert json.loads(sent["body"])["delivery"]["owner"] == "local"
    hook.answers = [503]
    assert worker.handle(sent) == []
    assert worker.reap_expired() == {"swept": 0}
    assert worker.queue.messages() == []  # it is not due yet
    now = time.time
    monkeypatch.setattr("time.time", lambda: now() + 15)
    assert worker.reap_expired() == {"swept": 0}
    assert worker.handle(*worker.queue.messages()) == []
    assert [json.loads(body)["data"]["id"] for *_, body in hook.received] == [run, run]
    assert worker.reap_expired() == {"swept": 0}
    assert worker.queue.messages() == []
