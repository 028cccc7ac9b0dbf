"""Several worker processes on one store and one queue; one is killed or stopped in the middle."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.service import RunService
from agency_lambda.runs.stored_responses import Responses
from agency_lambda.settings import Settings
from agency_lambda.testing.workers import Workers, workers
from tests.library.model_server import ModelServer
from tests.library.survival.desk import desk, label, paid_twice, play

HERE = Path(__file__).parent
COMMAND = (sys.executable, str(HERE / "worker.py"))
JOBS = [f"job {number}" for number in range(10)]


class Client:
    """Queue runs, and read how they are."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._runner = asyncio.Runner()
        self._runs = RunService(Settings(store=environment["STORE"], queue=environment["QUEUE"]))

    def begin(self, job: str) -> str:
        request = CreateResponse.model_validate({"model": "desk", "input": job, "background": True})
        return str(self._runner.run(self._runs.create(request, "owner")).response["id"])

    def read(self, run: str) -> Any:
        return self._runner.run(Responses(self._runs.store, "owner").get(run)).response

    def all_completed(self, runs: list[str], seconds: float = 60) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(self.read(run)["status"] == "completed" for run in runs):
                return True
            time.sleep(0.2)
        return False

    def close(self) -> None:
        self._runner.run(self._runs.aclose())
        self._runner.close()


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(play, delay=0.2) as server:
        yield server


@pytest.fixture
def started(
    request: pytest.FixtureRequest, server: ModelServer, tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> Iterator[Workers]:
    clean_environment.setattr("agencies.AGENCIES", {"desk": desk})
    store = f"sqlite:///{tmp_path}/agency.db" if request.param == "sqlite" else ""
    variables = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "MARKS": str(tmp_path / "marks")}
    with workers(2, output=tmp_path / "output", store=store, command=COMMAND, **variables) as started:
        for name, value in started.environment.items():
            clean_environment.setenv(name, value)
        yield started


@pytest.fixture
def client(started: Workers) -> Iterator[Client]:
    made = Client(started.environment)
    yield made
    made.close()


def wait_until_asked(server: ModelServer, times: int) -> None:
    end = time.monotonic() + 60
    while len(server.requests) < times:
        assert time.monotonic() < end, "nobody works"
        time.sleep(0.02)


@pytest.mark.parametrize("started", ["dynamodb"], indirect=True)
def test_worker_killed_in_the_middle_loses_nothing_and_another_one_goes_on(
    server: ModelServer, started: Workers, client: Client
) -> None:
    runs = [client.begin(job) for job in JOBS]
    wait_until_asked(server, 8)
    started.kill(started.pids[0])
    assert not client.all_completed(runs, 0.1)
    assert client.all_completed(runs), started.output.read_text()[-3000:]
    asked = [label(request) for request in server.requests]
    assert paid_twice(asked) == []
    assert {job for job, _, _ in asked} == {*JOBS}
    assert 60 <= len(asked) <= 60 + 2 * 5  # what was in flight is asked again: two calls of each run of a batch
    usage = [client.read(run)["usage"]["model_calls"] for run in runs]
    assert usage == [6] * len(runs)


@pytest.mark.parametrize("started", ["sqlite"], indirect=True)
def test_worker_told_to_stop_ends_its_batch(server: ModelServer, started: Workers, client: Client) -> None:
    started.stop(started.pids[0])
    runs = [client.begin(job) for job in JOBS[:3]]
    wait_until_asked(server, 2)
    assert started.stop(started.pids[0]) == 0
    done = Counter(client.read(run)["status"] for run in runs)
    assert done["completed"] >= 1
    assert done["in_progress"] == 0
    started.start()
    assert client.all_completed(runs)
    assert len(server.requests) == 6 * len(runs)
