"""Runs that wait for persons, killed at every write: nothing is lost, paid twice, signed twice or asked twice."""

from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from agency_lambda.approvals import queries
from agency_lambda.approvals.model import decided_partition
from tests.library.model_server import ModelServer
from tests.library.survival.asking import NEEDED, play
from tests.library.survival.desk import Label, paid_twice
from tests.library.survival.test_crashes import Attempt, Stage, check_events, clean, shape

PAPERS = sorted(paper for papers in NEEDED.values() for paper in papers)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("waiting")
    with ModelServer(play) as server:
        server.repeats_ids = True
        made = Stage(f"sqlite:///{folder}/agency.db", clean(), folder, server)
        try:
            yield made.ready()
        finally:
            made.close()


class Story:
    """One run to its end: attempts, and decisions of what it waits for, each in a process of its own."""

    def __init__(self, stage: Stage, at: int = 0) -> None:
        """at: the point at which each is killed; then the same is done undisturbed."""
        self._stage, self._at = stage, at
        self.asked: list[Label] = []
        self.processes: list[Attempt] = []
        stage.forget()
        job = {"model": "asking", "input": "the job", "background": True, "stream": True}
        self.run = stage.attempt(request=job).run
        while stage.response(self.run)["status"] != "completed":
            self._step(run=self.run)
            for approval in self.pending()[
                :1
            ]:  # one by one: the run goes on in between, and waits for the others again
                self._step(decide=approval)
            assert len(self.processes) < 30, self.deaths

    def _step(self, **command: Any) -> None:
        kill = {"at": self._at, "how": "kill"} if self._at else {}
        if self._process(**command, **kill).died:
            self._stage.expire(self.run)
            self._process(**command)

    def _process(self, **command: Any) -> Attempt:
        done = self._stage.attempt(writes=True, **command)
        self.asked += self._stage.asked(done)
        self.processes.append(done)
        return done

    @property
    def deaths(self) -> list[str]:
        """Return where processes died."""
        return [f"{self._at}: {done.points[-1]}" for done in self.processes if done.died]

    def pending(self) -> list[str]:
        return [each.id for each in self._stage._do(lambda store: queries.first_pending(store, "owner"))]

    def decided(self) -> list[Any]:
        records = self._stage._do(lambda store: store.query(decided_partition("owner")))
        return [record.body for record in records if record.body["response_id"] == self.run]


def test_a_run_that_waits_survives_wherever_it_is_killed(stage: Stage) -> None:
    calm = Story(stage)
    assert not calm.deaths
    whole, questions = shape(stage.response(calm.run)), Counter(calm.asked)
    assert sorted(stage.marks.read_text().split()) == PAPERS
    assert len(calm.decided()) == 3
    deaths = 0
    for number in count(1):
        story = Story(stage, at=number)
        check(stage, story, whole, questions)
        if not story.deaths:
            break
        deaths += len(story.deaths)
    assert deaths >= 40


def check(stage: Stage, story: Story, whole: Any, questions: "Counter[Label]") -> None:
    where, records = story.deaths, stage.records(story.run)
    assert shape(records["response"]["response"]) == whole, where
    assert sorted(stage.marks.read_text().split()) == PAPERS, where
    assert sorted(each["status"] for each in story.decided()) == ["approved"] * 3, where
    assert story.pending() == [], where
    assert stage.unfinished() == [], where
    assert paid_twice(story.asked) == [], where
    assert len(story.asked) <= questions.total() + 2 * len(where), where  # two are asked at once, and not stored yet
    check_events(records)
