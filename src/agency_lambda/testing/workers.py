"""Processes that work on the messages of one SQS queue, as Lambda's environments do."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from agency_lambda.testing.aws import dynamodb_table, sqs
from agency_lambda.testing.events import Context

COMMAND = (sys.executable, "-m", "agency_lambda.testing.workers")
_BATCH = 5  # messages, as in the stack
_PAUSE = 0.1  # seconds between looks into an empty queue
_SWEEP = 1.0  # seconds between sweeps
_SECONDS = 900.0  # of one invocation


class Workers:
    """environment: STORE, QUEUE and where boto3 finds them. output: a file that gets what the processes print."""

    def __init__(self, environment: Mapping[str, str], command: Sequence[str], output: Path) -> None:
        self.environment, self.output = dict(environment), output
        self._command, self._processes = command, dict[int, subprocess.Popen[bytes]]()

    @property
    def pids(self) -> list[int]:
        return [*self._processes]

    def start(self) -> int:
        """Start one process more; return its id."""
        with self.output.open("ab") as output:
            process = subprocess.Popen(self._command, env=self.environment, stdout=output, stderr=subprocess.STDOUT)
        self._processes[process.pid] = process
        return process.pid

    def kill(self, pid: int) -> None:
        """End a process in the middle of its work."""
        self._processes[pid].kill()
        self._processes.pop(pid).wait(10)

    def stop(self, pid: int, seconds: float = 30.0) -> int:
        """Let a process end its batch; return its exit code."""
        self._processes[pid].terminate()
        return self._processes.pop(pid).wait(seconds)

    def close(self) -> None:
        for pid in self.pids:
            self.kill(pid)


@contextmanager
def workers(
    count: int,
    *,
    output: Path,
    store: str = "",
    command: Sequence[str] = COMMAND,
    visibility: int = 30,
    **variables: str,
) -> Iterator[Workers]:
    """Start `count` processes, and kill those that are left at the end.

    store: STORE; "" for a DynamoDB table. command: of one process, which calls `main`. visibility: seconds until a
    message comes again whose worker has died. variables: of the processes' environment, beside this one's.
    """
    with ExitStack() as stack:
        client, environment = stack.enter_context(sqs())
        if not store:
            table, of_table = stack.enter_context(dynamodb_table())
            store, environment = f"dynamodb://{table}", {**environment, **of_table}
        attributes = {"VisibilityTimeout": str(visibility)}
        url = client.create_queue(QueueName=f"runs-{uuid.uuid4().hex}", Attributes=attributes)["QueueUrl"]
        environment = {**os.environ, **environment, **variables, "STORE": store, "QUEUE": url}
        started = Workers(environment, command, output)
        stack.callback(started.close)
        for _ in range(count):
            started.start()
        yield started


def main(handler: str = "handler.worker", window: float = 0.0) -> None:
    """Hand the messages of QUEUE to a handler, until SIGTERM. window: seconds that a batch waits for more."""
    import boto3

    stopped = list[int]()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    handle, client, swept_at = import_module(handler).handler, boto3.session.Session().client("sqs"), time.monotonic()
    while not stopped:
        if not _work(client, os.environ["QUEUE"], handle, window):
            time.sleep(_PAUSE)
        if time.monotonic() > swept_at + _SWEEP:
            handle({"source": "aws.events"}, Context(_SECONDS))
            swept_at = time.monotonic()


def _work(client: Any, url: str, handle: Any, window: float) -> int:
    """Return how many messages there were."""
    received = _receive(client, url, window)
    if received:
        answer = handle({"Records": [*map(_record, received)]}, Context(_SECONDS))
        failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
        for each in received:
            if each["MessageId"] not in failed:
                client.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return len(received)


def _receive(client: Any, url: str, window: float) -> list[dict[str, str]]:
    batch, end = list[dict[str, str]](), time.monotonic() + window
    while True:
        most = _BATCH - len(batch)
        batch += client.receive_message(QueueUrl=url, MaxNumberOfMessages=most).get("Messages", [])
        if len(batch) in (0, _BATCH) or time.monotonic() > end:
            return batch
        time.sleep(_PAUSE)


def _record(message: Mapping[str, str]) -> dict[str, str]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "eventSource": "aws:sqs",
    }


if __name__ == "__main__":
    main()
