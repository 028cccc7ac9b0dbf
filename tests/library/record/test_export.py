"""An ended run is sent to a collector as spans: whole, once or more often with the same ids, whatever is down."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agency_lambda import credentials
from agency_lambda.errors import StoreUnavailable
from agency_lambda.owner_digest import owner_digest
from agency_lambda.queue.messages import Export, dump, load
from agency_lambda.record import export
from agency_lambda.record.trace import TraceOptions, load_trace
from agency_lambda.runs import service, worker
from agency_lambda.runs.repository import RunRepository
from agency_lambda.settings import Settings
from agency_lambda.testing.vault import secrets_manager
from tests.library.clients.server import serve
from tests.library.models.agencies import office, settings
from tests.library.paths import PYTHONPATH, ROOT
from tests.library.record.collector import CollectorServer, collector, tree
from tests.library.record.views import play
from tests.library.runs.stage import begin, on_stage, told

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")  # of requirements.txt since it exports

_PLANNER = (
    "invoke_agent Planner",
    [*("chat offline", "execute_tool CreateTask") * 1, *("chat offline", "execute_tool read_task"), "chat offline"],
)
_TREE = [
    (
        "invoke_workflow desk",
        [
            (
                "invoke_agent Manager",
                [
                    "chat offline",
                    ("execute_tool send_message", [_PLANNER]),
                    "chat offline",
                    (
                        "execute_tool send_message",
                        [
                            (
                                "invoke_agent Writer",
                                ["chat offline", ("execute_tool send_message", [_PLANNER]), "chat offline"],
                            )
                        ],
                    ),
                    "chat offline",
                ],
            )
        ],
    )
]


@pytest.fixture
def receiver() -> Iterator[CollectorServer]:
    with collector() as started:
        yield started


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_EXPORT_DELAY", 0.0)
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 0.01)


def exported(
    monkeypatch: pytest.MonkeyPatch, url: str, times: int = 1, **more: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the office once, and export it so many times. Returns (response, trace)."""

    async def whole(store: str) -> Any:
        configured = settings(key=None, store=store, otel_exporter_otlp_endpoint=url, **more)
        monkeypatch.setattr(export, "get_settings", lambda: configured)
        async with on_stage(office, configured) as runs:
            response = (await told(await begin(runs, store=True, stream=False))).response
            for _ in range(times):
                await export.export_run(runs.store, message(response["id"]))
            return response, await load_trace(runs.store, "owner", response["id"], TraceOptions(with_contents=True))

    return play(whole)  # type: ignore[no-any-return]


def message(run: str, **fields: Any) -> Export:
    return Export(run=run, owner="owner", queued_at=time.time(), **fields)


def test_spans_are_the_tree_of_the_trace(receiver: CollectorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    response, trace = exported(monkeypatch, receiver.url)
    spans = receiver.spans()
    assert tree(spans) == _TREE
    assert {span["trace"] for span in spans} == {response["id"].removeprefix("resp_")}
    assert {span["service"] for span in spans} == {"agency"}
    assert {span["attributes"]["agency_lambda.owner"] for span in spans} == {owner_digest("owner")}
    by_id = {span["id"]: span for span in spans}
    for span in spans:
        outer = by_id.get(span["parent"], span)
        assert outer["started_at"] <= span["started_at"] <= span["ended_at"] <= outer["ended_at"]
    run = spans[0]
    assert run["started_at"] == pytest.approx(response["created_at"], abs=2)
    assert run["ended_at"] == pytest.approx(trace["root"]["ended_at"], abs=2)
    assert run["attributes"]["agency_lambda.status"] == "completed"


def test_calls_say_model_tokens_and_agent_as_the_conventions_name_them(
    receiver: CollectorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    response, _ = exported(monkeypatch, receiver.url)
    chats = [span for span in receiver.spans() if span["is_client"]]
    assert len(chats) == response["usage"]["model_calls"] > 0
    for kind in ("input_tokens", "output_tokens"):
        assert sum(span["attributes"][f"gen_ai.usage.{kind}"] for span in chats) == response["usage"][kind] > 0
    first = chats[0]["attributes"]
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "offline",
        "gen_ai.request.model": "offline",
        "gen_ai.agent.name": "Manager",
        "agency_lambda.attempt": 1,
        "agency_lambda.replayed": False,
    }
    assert expected.items() <= first.items()


def test_contents_are_sent_only_where_they_are_asked_for(
    receiver: CollectorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured: dict[str, Any] = {"otel_instrumentation_genai_capture_message_content": True}
    exported(monkeypatch, receiver.url)
    exported(monkeypatch, receiver.url, trace_content="0", **captured)
    for _, _, body in receiver.received:
        assert not [text for text in (b"Order paper", b"You are", b"arguments") if text in body]
    receiver.received.clear()
    exported(monkeypatch, receiver.url, **captured)
    attributes = [span["attributes"] for span in receiver.spans()]
    chat = next(each for each in attributes if each["gen_ai.operation.name"] == "chat")
    assert "You are Manager." in chat["gen_ai.system_instructions"]
    assert "Order paper" in chat["gen_ai.input.messages"]
    assert '"type": "tool_call"' in chat["gen_ai.output.messages"]
    tool = next(each for each in attributes if each.get("gen_ai.tool.name") == "CreateTask")
    assert {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"} <= tool.keys()


def test_a_repeated_export_is_the_same_spans(receiver: CollectorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(monkeypatch, receiver.url, times=2)
    first, second = (body for _, _, body in receiver.received)
    assert first == second


def test_headers_come_from_a_secret(receiver: CollectorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(monkeypatch, receiver.url, otel_exporter_otlp_headers="x-key=one,x-other=a%20b")
    with secrets_manager() as vault:
        for name, value in vault.environment.items():
            monkeypatch.setenv(name, value)
        exported(monkeypatch, receiver.url, otel_exporter_otlp_headers_secret=vault.create("x-key=two"))
    export._secret.cache_clear()
    (path, first, _), (_, second, _) = receiver.received
    assert path == "/v1/traces"
    assert (first["x-key"], first["x-other"], second["x-key"]) == ("one", "a b", "two")


class Queue:
    """A queue that keeps what it is sent."""

    durable = True

    def __init__(self) -> None:
        self.sent: list[tuple[Any, float]] = []

    async def send(self, message: Any, delay: float = 0.0, *, owner: str = "") -> None:
        self.sent.append((message, delay))

    async def retry_soon(self, receipt: str) -> None: ...

    async def aclose(self) -> None: ...


class Runs:
    store: Any = None

    def __init__(self) -> None:
        self.queue = Queue()


def test_an_export_that_fails_waits_longer_each_time_and_is_a_dead_letter_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "_FIRST_PAUSE", 10.0)

    async def down(store: Any, message: Export) -> None:
        raise export.NotExported

    runs: Any = Runs()
    for failures in range(9):
        asyncio.run(worker.export_or_requeue(runs, message("resp_1", failures=failures), down))
    assert [pause for _, pause in runs.queue.sent] == [10, 20, 40, 80, 160, 320, 640, 900, 900]
    assert [sent.failures for sent, _ in runs.queue.sent] == [*range(1, 10)]
    old = Export(run="resp_1", owner="owner", queued_at=time.time() - 13.1 * 24 * 3600)
    with pytest.raises(export.NotExported):
        asyncio.run(worker.export_or_requeue(runs, old, down))


def test_a_message_is_the_same_behind_a_queue() -> None:
    kept = message("resp_1", failures=3)
    assert load(dump(kept)) == kept
    assert load(dump("resp_1")) == "resp_1"


def test_the_export_is_queued_before_the_end_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies at its end has queued it; a message for a run that goes on is tried again."""
    before: list[int] = []
    end = RunRepository.end

    async def dying(repository: RunRepository, *arguments: Any) -> Any:
        before.append(len(repository_queue.sent))
        return await end(repository, *arguments)

    monkeypatch.setattr(RunRepository, "end", dying)
    repository_queue = Queue()

    async def whole(store: str) -> Any:
        configured = settings(key=None, store=store, otel_exporter_otlp_endpoint="http://127.0.0.1:9")
        monkeypatch.setattr(export, "get_settings", lambda: configured)
        async with on_stage(office, configured) as runs:
            runs.queue = repository_queue  # type: ignore[assignment]
            attempt = await begin(runs, store=True, stream=False)
            with pytest.raises(export.NotExported, match="in_progress"):
                await export.export_run(runs.store, message(attempt.response["id"]))
            return (await told(attempt)).response

    response = play(whole)
    ((sent, _),) = repository_queue.sent
    assert (before, sent.run, sent.owner) == ([1], response["id"], "owner")


def test_without_an_endpoint_nothing_is_queued() -> None:
    async def whole(store: str) -> Any:
        async with on_stage(office, settings(key=None, store=store)) as runs:
            runs.queue = queue = Queue()  # type: ignore[assignment]
            await told(await begin(runs, store=True, stream=False))
            return queue.sent

    assert play(whole) == []


def test_a_server_exports_what_it_answers_and_waits_for_a_collector_that_is_down(
    receiver: CollectorServer, tmp_path: Path
) -> None:
    receiver.statuses += [400]
    with serve(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SERVICE_NAME="desk") as server:
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {server.key}"}) as client:
            made = client.post("/v1/responses", json={"model": "letters", "input": "hello"}, timeout=60).json()
        end = time.monotonic() + 40
        while not receiver.received and time.monotonic() < end:
            time.sleep(0.1)
        assert "export_failed" in server.log.read_text()
    spans = receiver.spans()
    assert {(span["trace"], span["service"]) for span in spans} == {(made["id"].removeprefix("resp_"), "desk")}
    assert sum(span["is_client"] for span in spans) == made["usage"]["model_calls"]


_ASK = """
import sys
from agency_lambda.testing.service import Service
status, body = Service().post("/v1/responses", {"model": "letters", "input": "hello"})
assert status == 200, body
assert not [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "google."))]
"""


def test_what_answers_requests_imports_no_exporter(tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": PYTHONPATH,
        "STORE": f"sqlite:///{tmp_path}/agency.db",
        "LETTERS_FOLDER": f"{tmp_path}/letters",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    subprocess.run([sys.executable, "-c", _ASK], env=environment, cwd=ROOT, check=True, timeout=60)


def test_a_run_that_is_deleted_meanwhile_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def whole(store: str) -> None:
        configured: Settings = settings(key=None, store=store, otel_exporter_otlp_endpoint="http://127.0.0.1:9")
        monkeypatch.setattr(export, "get_settings", lambda: configured)
        async with on_stage(office, configured) as runs:
            await export.export_run(runs.store, message("resp_00000000000000000000000000000000"))

    play(whole)


def test_a_store_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(store: Any, message: Export) -> None:
        raise StoreUnavailable("away")

    runs: Any = Runs()
    asyncio.run(worker.export_or_requeue(runs, message("resp_1"), away))
    assert len(runs.queue.sent) == 1


def test_the_collectors_secret_is_not_given_to_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf"
    for name in ("OTEL_EXPORTER_OTLP_HEADERS_SECRET", "OTHER_KEY_SECRET"):
        monkeypatch.setenv(name, arn)
    assert credentials.named_secrets() == {"OTHER_KEY": arn}
