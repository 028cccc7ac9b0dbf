"""Agents in three levels, whose messages are runs of their own: killed anywhere, they answer as if undisturbed."""

import os
from collections.abc import Iterator
from functools import partial

import pytest

from tests.library.survival.swarm_stage import Calm, Swarm, swarm_stage
from tests.library.survival.test_crashes import Stage

STORIES = int(os.environ.get("AGENCY_TEST_SWARMS", "0"))  # more of them, killed at all points of all attempts
POINTS = 24  # that one attempt passes, at most


@pytest.fixture(scope="module", params=["sqlite", *(["dynamodb"] if STORIES else [])])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("swarm")
    with pytest.MonkeyPatch.context() as monkeypatch, swarm_stage(request.param, folder, monkeypatch) as made:
        yield made


def die_at(story: int, process: int) -> int:
    return 1 + (7 * process + story) % POINTS


def test_swarm_whose_attempts_are_killed_at_any_write_answers_as_an_undisturbed_one(stage: Stage) -> None:
    conversation = stage.conversation()
    calm = Calm(stage, Swarm(stage, conversation=conversation), conversation)
    deaths = 0
    for story in range(max(STORIES, 1)):
        conversation = stage.conversation()
        swarm = Swarm(stage, partial(die_at, story), conversation=conversation)
        calm.check(stage, swarm, conversation)
        deaths += len(swarm.deaths)
    assert deaths >= 12
