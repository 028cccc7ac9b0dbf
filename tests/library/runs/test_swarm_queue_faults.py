"""Swarms whose queue loses, doubles and delays messages: every run is made, and once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.queue.local import LocalQueue
from agency_lambda.runs import model
from tests.library.runs.test_swarm_cancelled import RUNS, Moment, cancel, needed_by_unfinished_runs, play, quick, rows

__all__ = ["quick"]

CALLS = 3 + 2 * 2 + 2 + 2  # of models: the root's, of its colleagues who ask another one, of the others, of the last
Put = Callable[..., None]


class Losing:
    """Loses each message when it is sent for the first, third, fifth time."""

    def __init__(self, put: Put) -> None:
        self._put, self._sent = put, Counter[Any]()

    def __call__(self, queue: LocalQueue, message: Any, owner: str, delay: float = 0.0) -> None:
        self._sent[message] += 1
        if self._sent[message] % 2 == 0:
            self._put(queue, message, owner, delay)


class Doubling:
    """Delivers each message twice, at any time."""

    def __init__(self, put: Put) -> None:
        self._put, self._moments = put, random.Random(3)

    def __call__(self, queue: LocalQueue, message: Any, owner: str, delay: float = 0.0) -> None:
        for _ in range(2):
            self._put(queue, message, owner, delay + self._moments.uniform(0, 0.2))


@pytest.mark.parametrize("fault", [Losing, Doubling])
def test_swarm_whose_queue_is_not_exact_answers_as_with_an_exact_one(
    tmp_path: Path, quick: pytest.MonkeyPatch, fault: Callable[[Put], Any]
) -> None:
    faulty = fault(LocalQueue.put)
    quick.setattr(model, "GRACE", 0.15)
    quick.setattr(LocalQueue, "put", lambda queue, *args, **named: faulty(queue, *args, **named))
    swarm = Moment(10**6, cancel)
    response = asyncio.run(asyncio.wait_for(play(swarm, tmp_path), 60))
    assert response
    assert (response["status"], response["error"]) == ("completed", None)
    assert swarm.asked == response["usage"]["model_calls"] == CALLS
    found = rows(tmp_path)
    assert len([each for each in found if each[1] == "response"]) == RUNS
    assert needed_by_unfinished_runs(found) == []
