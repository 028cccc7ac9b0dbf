"""Forty messages on one worker and on four: as many at once as there are places, until none is left."""

import os
import threading
import time
from pathlib import Path

import pytest

from agency_lambda.testing.workers import workers
from benchmarks.agent_messages import client
from tests.library.model_server import Answer, ModelRequest, ModelServer
from tests.library.paths import ROOT

MESSAGES, PLACES = 40, 5  # places of a worker: the batch size of the queue
QUIET = 30.0  # seconds without a new message, after which none comes before others end
ROOTS = ("benchmarks/swarm", "benchmarks/task", ".", "src")


class Waves:
    """A provider that answers the helper when so many messages are at work, or nothing new comes: a wave."""

    def __init__(self, full: int) -> None:
        self.full, self.sizes = full, list[int]()
        self._at_work, self._newest = 0, 0.0
        self._changed = threading.Condition()

    def answer(self, request: ModelRequest) -> Answer:
        if "You are Boss" not in request.instructions:
            self._wait()
            return "found"
        if request.items[-1].get("type") == "function_call_output":
            return "That is all."
        asked = {"recipient_agent": "Helper", "additional_instructions": ""}
        return [("send_message", {**asked, "message": f"part {number}"}) for number in range(MESSAGES)]

    def _wait(self) -> None:
        with self._changed:
            self._at_work, self._newest, wave = self._at_work + 1, time.monotonic(), len(self.sizes)
            while len(self.sizes) == wave:
                if self._at_work == self.full or time.monotonic() > self._newest + QUIET:
                    self.sizes.append(self._at_work)
                    self._at_work = 0
                    self._changed.notify_all()
                else:
                    self._changed.wait(0.2)


def test_forty_messages_on_four_workers_are_four_times_as_fast_as_on_one(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    """At least 3.5 times is what is promised: the rest is for what is not a message's model time."""
    clean_environment.setattr("agencies.AGENCIES", {"swarm": "swarm_agency:create_swarm"})
    played, roots = Waves(4 * PLACES), os.pathsep.join(str(ROOT / root) for root in ROOTS)
    with ModelServer(played.answer) as server:
        variables = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "PYTHONPATH": roots}
        store, output = f"sqlite:///{tmp_path}/agency.db", tmp_path / "output"
        with (
            workers(4, output=output, store=store, AGENT_MESSAGES="queue", **variables) as started,
            client(started.environment) as ask,
        ):
            ask("swarm", "go")  # a full wave is answered when all workers have started
            played.sizes.clear()
            ask("swarm", "go")
            for pid in started.pids[1:]:
                started.stop(pid)
            played.full = PLACES
            _, usage = ask("swarm", "go")
    assert usage["model_calls"] == MESSAGES + 2
    assert played.sizes == [4 * PLACES] * 2 + [PLACES] * 8
