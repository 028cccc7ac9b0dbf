"""The Lambda entry of the worker: SQS messages that come late, twice, out of order or broken; reaping; handovers."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda.history.conversations import Conversations
from agency_lambda.owner_digest import owner_digest
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.queue import open_queue
from agency_lambda.queue.local import LocalQueue
from agency_lambda.runs import worker as worker_module
from agency_lambda.runs.outcome import MOST_ATTEMPTS
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.runs.stored_runs import LeaseLost
from agency_lambda.settings import get_settings
from agency_lambda.testing.aws import sqs
from agency_lambda.testing.events import Context, rest_event
from lambda_loop import InvocationReport
from tests.library.conftest import PYTHONPATH
from tests.library.model_server import Failure, ModelServer, call
from tests.library.record.collector import collector
from tests.library.runtime_emulator import RuntimeEmulator, binary

ON_LINUX = pytest.mark.skipif(binary() is None, reason="AWS ships its runtime emulator for Linux only")
SCHEDULE = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
_numbers = itertools.count()


class Queue(NamedTuple):
    """An SQS queue on loopback. environment: in which boto3 finds it."""

    url: str
    environment: dict[str, str]
    client: Any

    def messages(self) -> list[dict[str, Any]]:
        """Those that are there, taken out; as Lambda hands them to a function."""
        most = {"MaxNumberOfMessages": 10, "AttributeNames": ["MessageGroupId"]}
        found = self.client.receive_message(QueueUrl=self.url, **most).get("Messages", [])
        for each in found:
            assert each["Attributes"] == {"MessageGroupId": owner_digest("local")}  # all who send know the owner
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
        return [message(each["Body"], each["MessageId"]) for each in found]


def message(body: str, message_id: str = "message-1") -> dict[str, Any]:
    return {
        "messageId": message_id,
        "receiptHandle": "handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:1:runs",
        "awsRegion": "eu-central-1",
    }


class Worker:
    """The handler in this process; the runs are made and read beside it, on its own loop."""

    def __init__(self, queue: Queue) -> None:
        from agency_lambda.lambda_handlers import Worker as Handler
        from agency_lambda.run_service import get_run_service

        self.queue, self.reports = queue, list[InvocationReport]()
        self._handler, self.runs = Handler(self.reports.append), get_run_service
        self.environment = self._handler.environment

    def handle(self, *records: dict[str, Any], seconds: float = 60) -> list[str]:
        """The messages that failed."""
        answer = self._handler({"Records": list(records)}, Context(seconds))
        assert list(answer) == ["batchItemFailures"]
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def reap_expired(self) -> Any:
        return self._handler(SCHEDULE, Context(60))

    def begin(self, **fields: Any) -> str:
        request = CreateResponse.model_validate({"model": "letters", "input": "hello", "background": True, **fields})
        kept = self.environment.run(self.runs().create(request, "local"))
        assert kept.response["status"] == "queued"
        return str(kept.response["id"])

    def read(self, run: str) -> Any:
        return self.environment.run(Responses(self.runs().store, "local").get(run)).response

    def conversation(self) -> str:
        return str(self.environment.run(Conversations(self.runs().store, "local").create({}, [], [])).id)

    def close(self) -> None:
        if self.runs.cache_info().currsize:
            self.environment.run(self.runs().aclose())
            self.runs.cache_clear()
        self.environment.close()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Any, dict[str, str]]]:
    with sqs() as made:
        yield made


@pytest.fixture
def queue(server: tuple[Any, dict[str, str]]) -> Queue:
    """A new one: what a test has sent to come later must not come to the next."""
    client, environment = server
    url = client.create_queue(QueueName=f"test-{next(_numbers)}")["QueueUrl"]
    return Queue(url, environment, client)


@pytest.fixture
def begin_work(clean_environment: pytest.MonkeyPatch, queue: Queue) -> Iterator[Callable[..., Worker]]:
    """begin_work(NAME=value, ...) -> Worker with these settings."""
    made: list[Worker] = []

    def work(**settings: str) -> Worker:
        for name, value in {"QUEUE": queue.url, **queue.environment, **settings}.items():
            clean_environment.setenv(name, value)
        get_settings.cache_clear()
        made.append(Worker(queue))
        return made[-1]

    yield work
    for each in made:
        each.close()


@pytest.fixture
def worker(begin_work: Callable[..., Worker]) -> Worker:
    return begin_work()


def test_a_message_finishes_the_run(worker: Worker) -> None:
    made = worker.begin()
    (sent,) = worker.queue.messages()
    assert json.loads(sent["body"]) == {"run": made}
    assert worker.handle(sent) == []
    done = worker.read(made)
    assert (done["status"], done["background"]) == ("completed", True)
    assert done["usage"]["model_calls"] > 0
    assert worker.queue.messages() == []


def test_messages_that_come_twice_or_late_are_harmless(worker: Worker) -> None:
    made = worker.begin()
    (sent,) = worker.queue.messages()
    again = {**sent, "messageId": "message-2"}
    assert worker.handle(sent, again) == []
    done = worker.read(made)
    assert done["status"] == "completed"
    assert worker.handle(again) == []
    assert worker.handle(message('{"run": "resp_nobody"}')) == []
    assert worker.read(made) == done


def test_messages_that_come_out_of_order_are_worked_on_in_order(worker: Worker) -> None:
    conversation = worker.conversation()
    made = [worker.begin(conversation=conversation, input=f"question {number}") for number in range(3)]
    sent = {json.loads(each["body"])["run"]: each for each in worker.queue.messages()}
    assert worker.handle(sent[made[2]], sent[made[1]]) == []
    assert [worker.read(run)["status"] for run in made] == ["queued"] * 3
    assert worker.handle(sent[made[0]]) == []
    for following in made[1:]:  # whoever was too early is sent for again, when it is its turn
        told = worker.queue.messages()
        assert following in [json.loads(each["body"])["run"] for each in told]
        assert worker.handle(*told) == []
    assert [worker.read(run)["status"] for run in made] == ["completed"] * 3
    items = worker.environment.run(_items(worker, conversation))
    said = [item["content"][0]["text"] for item in items if item.get("role") == "user"]
    assert said == ["question 0", "question 1", "question 2"]


async def _items(worker: Worker, conversation: str) -> list[Any]:
    conversations = Conversations(worker.runs().store, "local")
    return await conversations.items(await conversations.get(conversation))


@pytest.mark.parametrize("body", ["", "not JSON", "{}", "[]", "null", '{"run": 5}', '{"run": null}', '{"other": "x"}'])
def test_a_broken_message_fails_alone(worker: Worker, body: str) -> None:
    made = [worker.begin(), worker.begin()]
    first, second = worker.queue.messages()
    assert worker.handle(first, message(body, "broken"), second) == ["broken"]
    assert [worker.read(run)["status"] for run in made] == ["completed"] * 2


def test_a_whole_batch_is_worked_on_beside_what_is_not_ours(worker: Worker) -> None:
    """Five are the most that the queue sends at once. What failed comes again after the queue's visibility timeout."""
    made = [worker.begin(), worker.begin(), worker.begin()]
    first, second, third = worker.queue.messages()
    poison = [message('{"detail": "of another queue"}', "poison-1"), message("\x00", "poison-2")]
    assert worker.handle(first, poison[0], second, poison[1], third) == ["poison-1", "poison-2"]
    assert [worker.read(run)["status"] for run in made] == ["completed"] * 3
    assert worker.queue.messages() == []  # nothing of ours sends for them again
    assert worker.reap_expired() == {"swept": 0}


def test_a_message_that_failed_comes_again_soon(worker: Worker) -> None:
    """Not after its visibility timeout, which is as long as a run takes: three of those would be an hour."""
    sent = worker.queue.client
    url = sent.create_queue(QueueName="slow", Attributes={"VisibilityTimeout": "900"})["QueueUrl"]
    sent.send_message(QueueUrl=url, MessageBody="not ours")
    (received,) = sent.receive_message(QueueUrl=url)["Messages"]
    runs = worker.runs()
    queue, runs.queue = runs.queue, open_queue(url)
    try:
        record = {**message("not ours"), "receiptHandle": received["ReceiptHandle"]}
        assert worker.handle(record) == ["message-1"]
        worker.environment.run(runs.queue.aclose())
    finally:
        runs.queue = queue
    (again,) = sent.receive_message(QueueUrl=url, WaitTimeSeconds=15)["Messages"]
    assert again["Body"] == "not ours"


def test_a_run_that_breaks_out_of_its_attempt_fails_alone(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [worker.begin(), worker.begin()]
    first, second = worker.queue.messages()
    execute = worker.runs().execute

    async def breaks(run: Any) -> Any:
        if run.response["id"] == json.loads(first["body"])["run"]:
            raise asyncio.CancelledError
        return await execute(run)

    monkeypatch.setattr(worker.runs(), "execute", breaks)
    assert worker.handle(first, second) == [first["messageId"]]
    assert sorted(worker.read(run)["status"] for run in made) == ["completed", "queued"]


def test_a_run_whose_model_fails_says_so_in_its_metrics(
    begin_work: Callable[..., Worker], capsys: pytest.CaptureFixture[str]
) -> None:
    with ModelServer([Failure(500), "good"]) as server:
        worker = begin_work(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        made = worker.begin(model="letters/Writer")
        assert worker.handle(*worker.queue.messages()) == []
    (line,) = [each for each in lines(capsys) if each.get("response_id") == made]
    assert (line["model_failures"], line["ModelFailures"]) in ((1, 1), (1, [1.0]))
    assert "model_failures" not in json.dumps(worker.read(made))


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """What was printed since this was asked last, as far as it is JSON."""
    return [json.loads(text) for text in capsys.readouterr().out.splitlines() if text.startswith("{")]


def test_a_sweep_counts_the_attempts_that_died_and_not_those_that_wait(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agency_lambda.runs.leases import Leases

    died, _waits = worker.begin(), worker.begin()
    worker.environment.run(Leases(worker.runs().store).take(died, "an attempt"))
    lines(capsys)
    assert worker.reap_expired() == {"swept": 0}
    assert not [line for line in lines(capsys) if "ExpiredLeases" in line]
    clock(monkeypatch, 60)
    assert worker.reap_expired() == {"swept": 2}
    assert [line["ExpiredLeases"] for line in lines(capsys) if "ExpiredLeases" in line] in ([1], [[1.0]])


BARE = """
import sys
from handler.worker import handler
for name in ("agency_lambda.app", "agency_lambda.auth", "fastapi", "jwt", "boto3"):
    assert name not in sys.modules, name
"""


def test_the_worker_has_no_callers_and_needs_no_keys(tmp_path: Path) -> None:
    variables = {
        **{
            "PATH": os.environ["PATH"],
            "PYTHONPATH": PYTHONPATH,
            "AWS_LAMBDA_FUNCTION_NAME": "worker",
        },
        **{"STORE": "dynamodb://table", "QUEUE": "https://sqs.example/queue", "OPENAI_API_KEY_SECRET": "model-key"},
    }
    run = partial(subprocess.run, env=variables, cwd=tmp_path, capture_output=True, text=True)
    done = run([sys.executable, "-c", BARE])
    assert (done.returncode, done.stderr) == (0, "")
    refused = run([sys.executable, "-c", "import handler.api"])
    assert refused.returncode == 1
    assert "ConfigurationError: AUTH is keys" in refused.stderr
    assert "neither API_KEYS nor API_KEYS_SECRET is set" in refused.stderr


def clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """As the leases see it."""
    now = time.time
    monkeypatch.setattr("agency_lambda.runs.model.time.time", lambda: now() + seconds)


def test_a_run_that_dies_again_and_again_is_given_up_and_stays_a_failure(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays one until SQS has moved its message to the dead letters."""

    async def dies(*args: Any, **options: Any) -> None:
        raise LeaseLost

    conversation = worker.conversation()
    made = worker.begin(conversation=conversation)
    (sent,) = worker.queue.messages()
    deaths = 0
    with monkeypatch.context() as dying:
        dying.setattr("agency_lambda.framework.execution.AgencyExecution.run", dies)
        for _ in range(MOST_ATTEMPTS + 3):
            with monkeypatch.context() as dead:
                for name in ("end", "release", "heartbeat"):
                    dead.setattr(f"agency_lambda.runs.repository.RunRepository.{name}", dies)
                worker.handle(sent)
            deaths += 1
            clock(dying, 60)  # a minute later each time
            if worker.environment.run(_attempts(worker, made)) >= MOST_ATTEMPTS:
                break
        assert deaths <= MOST_ATTEMPTS + 1
        failures = [worker.handle(sent) for _ in range(3)]
    assert failures == [[sent["messageId"]]] * 3
    failed = worker.read(made)
    assert (failed["status"], failed["error"]["detail_code"]) == ("failed", "given_up")
    assert worker.reap_expired() == {"swept": 0}  # nobody sends for it any more
    following = worker.begin(conversation=conversation)
    assert worker.handle(*worker.queue.messages()) == []
    assert worker.read(following)["status"] == "completed"


async def _attempts(worker: Worker, run: str) -> int:
    from agency_lambda.runs.leases import Leases

    lease = await Leases(worker.runs().store).find(run)
    return lease.attempts if lease else 0


def test_a_schedule_sweeps_for_what_was_lost(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    made = worker.begin()
    assert len(worker.queue.messages()) == 1  # and it is lost
    assert worker.reap_expired() == {"swept": 0}  # it may still be on its way
    clock(monkeypatch, 60)
    assert worker.reap_expired() == {"swept": 1}
    assert worker.reap_expired() == {"swept": 0}
    assert worker.handle(*worker.queue.messages()) == []
    assert worker.read(made)["status"] == "completed"
    clock(monkeypatch, 3600)
    assert worker.reap_expired() == {"swept": 0}


def lookup() -> Agency:
    @function_tool
    async def look_up() -> str:
        """Looks something up."""
        return "looked up"

    return Agency(Agent(name="One", instructions="One", model="one", tools=[look_up]))


def look_once(request: Any) -> Any:
    return "Found." if request.items[-1].get("type") == "function_call_output" else call("look_up")


def test_near_the_deadline_a_run_is_handed_over_with_a_new_message(
    begin_work: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": lookup})
    with ModelServer(look_once, delay=1.7) as server:
        worker = begin_work(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        made = worker.begin()
        assert worker.handle(*worker.queue.messages(), seconds=4) == []
        assert not worker.reports[-1].deadline_exceeded
        assert (worker.read(made)["status"], len(server.requests)) == ("in_progress", 2)
        again, *_ = worker.queue.messages()  # more than once, where the queue was slow to say that it has it
        server.delay = 0
        assert worker.handle(again) == []
    assert worker.read(made)["status"] == "completed"
    assert [len(request.items) for request in server.requests] == [1, 3, 3]


@ON_LINUX
def test_inside_the_runtime(worker: Worker, tmp_path: Path) -> None:
    """What the API has queued is finished in another process, in more invocations than one where one is too short."""
    variables = {
        **worker.queue.environment,
        **{"QUEUE": worker.queue.url, "STORE": f"sqlite:///{tmp_path}/agency.db", "AWS_SAM_LOCAL": "true"},
        "LETTERS_FOLDER": f"{tmp_path}/letters",
    }
    made = worker.begin()
    (sent,) = worker.queue.messages()
    with RuntimeEmulator("handler.worker.handler", variables) as runtime:
        for _ in range(2):
            assert runtime.invoke({"Records": [sent, message("broken", "broken")]}) == {
                "batchItemFailures": [{"itemIdentifier": "broken"}]
            }
        assert runtime.invoke(SCHEDULE) == {"swept": 0}
    assert worker.read(made)["status"] == "completed"
    with ModelServer(delay=2) as server:
        slow = {**variables, "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url}
        made, rounds = worker.begin(model="letters/Registrar"), 0
        with RuntimeEmulator("handler.worker.handler", slow, timeout=6) as runtime:
            while (done := worker.read(made))["status"] in ("queued", "in_progress"):
                assert rounds < 20
                if sent_now := worker.queue.messages():
                    assert runtime.invoke({"Records": sent_now}) == {"batchItemFailures": []}
                else:  # a busy machine's queue did not say in time that it has the next message
                    time.sleep(2)
                    runtime.invoke(SCHEDULE)
                rounds += 1
        assert (done["status"], rounds > 1) == ("completed", True), (done["status"], rounds)
        assert len(server.requests) < done["usage"]["model_calls"] + rounds  # only what was cut off is asked again


@ON_LINUX
def test_a_lambda_without_a_queue_refuses_background_by_name(tmp_path: Path) -> None:
    variables = {
        **{"STORE": f"sqlite:///{tmp_path}/agency.db", "LETTERS_FOLDER": f"{tmp_path}/letters"},
        "AWS_SAM_LOCAL": "true",
    }
    body = {"model": "letters", "input": "hello", "background": True}
    with RuntimeEmulator("handler.api.handler", variables) as runtime:
        answer = runtime.invoke(rest_event("POST", "/v1/responses", body))
        told = json.loads(answer["body"])["error"]
        assert (answer["statusCode"], told["code"], told["param"]) == (400, "unsupported_parameter", "background")
        del body["background"]
        assert runtime.invoke(rest_event("POST", "/v1/responses", body))["statusCode"] == 200


def test_an_ended_run_is_exported_by_the_worker(
    begin_work: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    monkeypatch.setattr("agency_lambda.runs.service._EXPORT_DELAY", 0.0)
    monkeypatch.setattr("agency_lambda.runs.worker._FIRST_PAUSE", 0.0)
    with collector() as receiver:
        worker = begin_work(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        made = worker.begin()
        assert worker.handle(*worker.queue.messages()) == []
        (sent,) = worker.queue.messages()
        assert json.loads(sent["body"])["export"]["run"] == made
        receiver.statuses += [400]
        assert worker.handle(sent) == []  # the collector was down: another message takes its place
        (again,) = worker.queue.messages()
        assert json.loads(again["body"])["export"]["failures"] == 1
        assert worker.handle(again) == []
        assert worker.queue.messages() == []
        (root,) = [span for span in receiver.spans() if not span["parent"]]
    assert root["trace"] == made.removeprefix("resp_")


def test_a_message_that_comes_while_its_run_is_worked_on_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a run that is handed over because a person has decided meanwhile."""
    queue, handled, both = LocalQueue(), list[str](), asyncio.Event()

    async def handle(runs: object, message: str, export: object) -> None:
        handled.append(message)
        if len(handled) == 1:
            await queue.send(message)
            await asyncio.sleep(0.05)
        else:
            both.set()

    async def sweep_never(runs: object) -> None:
        await asyncio.Event().wait()

    async def play() -> None:
        await queue.send("resp_1")
        serving_queue = asyncio.create_task(worker_module.serve(None, queue, None))  # type: ignore[arg-type]
        await both.wait()
        serving_queue.cancel()
        await asyncio.wait([serving_queue])

    monkeypatch.setattr(worker_module, "_handle", handle)
    monkeypatch.setattr(worker_module, "_sweep_repeatedly", sweep_never)
    asyncio.run(asyncio.wait_for(play(), 10))
    assert handled == ["resp_1", "resp_1"]
