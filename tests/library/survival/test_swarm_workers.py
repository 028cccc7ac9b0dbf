"""A swarm on several worker processes, of which one after the other is killed at a random moment."""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.service import RunService
from agency_lambda.settings import Settings
from agency_lambda.store import open_store
from agency_lambda.testing.workers import Workers, workers
from agency_lambda.webhooks.endpoints import save_endpoint
from tests.library.model_server import ModelServer
from tests.library.survival.swarm import play, swarm
from tests.library.survival.swarm_stage import Calm, numbered_calls
from tests.library.survival.test_crashes import ENDS, HERE, Stage

KILLS = 20 if os.environ.get("AGENCY_TEST_SWARMS") else 3
BATCH = 5  # runs that one worker works on at once


class Watched(Stage):
    """A stage whose processes are workers."""

    def __init__(self, started: Workers, server: ModelServer, folder: Path) -> None:
        self.server, self.url, self._folder, self._logs = server, started.environment["STORE"], folder, count()
        self.marks = folder / "marks"
        self._runner, self._store = asyncio.Runner(), open_store(self.url)
        self._runs = RunService(Settings(store=self.url, queue=started.environment["QUEUE"]))
        self._do(lambda store: save_endpoint(store, "owner", "http://localhost/", ENDS, rotates_secret=False))

    def begin(self, conversation: str) -> str:
        self.forget()
        body = {"model": "swarm", "input": "job", "background": True, "stream": True, "conversation": conversation}
        begun = self._runner.run(self._runs.create(CreateResponse.model_validate(body), "owner"))
        return str(begun.response["id"])

    def close(self) -> None:
        self._runner.run(self._runs.aclose())
        self._runner.run(self._store.aclose())
        self._runner.close()


class Worked:
    """One root run to its end. kills: of workers in a row, each of which is replaced."""

    def __init__(self, stage: Watched, started: Workers, conversation: str, kills: int = 0) -> None:
        self._stage, self.deaths, moments = stage, list[str](), random.Random(7)
        self.run = stage.begin(conversation)
        end = time.monotonic() + 100
        while self._is_at_work():
            assert time.monotonic() < end, started.output.read_text()[-3000:]
            asked = len(stage.server.requests)
            time.sleep(moments.uniform(0.1, 0.4))
            if len(self.deaths) < kills and len(stage.server.requests) > asked:
                started.kill(moments.choice(started.pids))
                self.deaths.append(f"after {asked} model calls")
                started.start()

    def _is_at_work(self) -> bool:
        unfinished = self._stage.unfinished()
        return bool(unfinished) or self._stage.response(self.run)["status"] in ("queued", "in_progress")

    def asked(self) -> "Counter[str]":
        return Counter(numbered_calls(request.body) for request in self._stage.server.requests)

    def in_flight(self) -> int:
        return BATCH * len(self.deaths)


@pytest.fixture
def started(tmp_path: Path, clean_environment: pytest.MonkeyPatch) -> Iterator[tuple[Workers, Watched]]:
    clean_environment.setattr("agencies.AGENCIES", {"swarm": swarm})
    with ModelServer(play, delay=0.05) as server:
        server.repeats_ids = True
        variables: dict[str, Any] = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url}
        variables |= {"MARKS": str(tmp_path / "marks"), "AGENT_MESSAGES": "queue"}
        store, command = f"sqlite:///{tmp_path}/agency.db", (sys.executable, str(HERE / "worker.py"))
        with workers(3, output=tmp_path / "output", store=store, command=command, **variables) as started:
            for name, value in started.environment.items():
                clean_environment.setenv(name, value)
            stage = Watched(started, server, tmp_path)
            yield started, stage
            stage.close()


def test_swarm_whose_workers_are_killed_again_and_again_answers_as_an_undisturbed_one(
    started: tuple[Workers, Watched],
) -> None:
    processes, stage = started
    conversation = stage.conversation()
    calm = Calm(stage, Worked(stage, processes, conversation), conversation)
    deaths = 0
    while deaths < KILLS:
        conversation = stage.conversation()
        disturbed = Worked(stage, processes, conversation, KILLS - deaths)
        calm.check(stage, disturbed, conversation)
        assert disturbed.deaths
        deaths += len(disturbed.deaths)
