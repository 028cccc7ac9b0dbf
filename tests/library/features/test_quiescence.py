"""A run waits when nothing of it can go on, and not before: over generated agencies, whatever takes how long."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda.protocol.approvals import Decision
from tests.library.features.test_approvals import asking, scripted, stored
from tests.library.features.waiting import Stored, awaited

__all__ = ["stored"]


@dataclass
class Plan:
    """What an agent does: steps, each with calls at once. A call is a piece of work, a question, or a colleague."""

    name: str
    steps: list[list["str | Plan"]] = field(default_factory=list)

    @property
    def colleagues(self) -> list["Plan"]:
        return [each for step in self.steps for each in step if isinstance(each, Plan)]

    def script(self, turn: Any) -> Any:
        made, done = len(turn.calls), 0
        for step in self.steps:
            if made == done:
                return [_call(each) for each in step]
            done += len(step)
        return f"offline model: {self.name} is done"


def _call(each: "str | Plan") -> tuple[str, dict[str, Any]]:
    if isinstance(each, Plan):
        return asking(each.name)
    kind, _, _ = each.partition("_")
    return kind, {"key": each}


def generated(rng: random.Random, depth: int = 0, prefix: str = "A") -> Plan:
    plan = Plan(prefix)
    for step in range(rng.randint(1, 3)):
        calls: list[str | Plan] = []
        for number in range(rng.randint(1, 3)):
            name = f"{prefix}{step}{number}"
            kind = rng.choice(["work", "thread", "ask", "ask", "colleague"])
            deeper = kind == "colleague" and depth < 2
            calls.append(generated(rng, depth + 1, name) if deeper else f"{kind.replace('colleague', 'work')}_{name}")
        plan.steps.append(calls)
    return plan


@dataclass
class Expected:
    """What must have been done and asked, with these decisions, when nothing can go on."""

    decisions: dict[str, bool]
    done: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)

    def follow(self, plan: Plan) -> bool:
        return all(all([self._finishes(each) for each in step]) for step in plan.steps)  # noqa: C419 - all at once

    def _finishes(self, each: "str | Plan") -> bool:
        if isinstance(each, Plan):
            return self.follow(each)
        if each.startswith("ask") and each not in self.decisions:
            self.asked.add(each)
            return False
        if self.decisions.get(each, True):
            self.done.add(each)
        return True


def agents(plan: Plan, done: list[str], rng: random.Random) -> Iterator[tuple[Agent, Agent | None]]:
    """Every agent with the one that asks it."""

    @function_tool
    async def work(key: str) -> str:
        """Works."""
        await asyncio.sleep(rng.choice([0, 0, 0.02, 0.15]))
        done.append(key)
        return key

    @function_tool
    def thread(key: str) -> str:
        """Works on a thread."""
        time.sleep(rng.choice([0, 0.15]))
        done.append(key)
        return key

    @function_tool(needs_approval=True)
    async def ask(key: str) -> str:
        """Works if a person agrees."""
        done.append(key)
        return key

    agent = scripted(plan.name, plan.script, tools=[work, thread, ask])
    yield agent, None
    for colleague in plan.colleagues:
        for each, caller in agents(colleague, done, rng):
            yield each, caller or agent


def agency(plan: Plan, done: list[str], rng: random.Random) -> Agency:
    pairs = list(agents(plan, done, rng))
    return Agency(pairs[0][0], communication_flows=[(caller, each) for each, caller in pairs if caller])


@pytest.mark.parametrize("seed", range(8))
@awaited
async def test_everything_that_can_go_on_does_and_nothing_twice(seed: int, stored: Stored) -> None:
    rng, done = random.Random(seed), list[str]()
    plan = generated(rng)
    run = stored(lambda: agency(plan, done, rng), fields={"metadata": {}})
    decisions: dict[str, bool] = {}
    while True:
        result = await run.attempt()
        expected = Expected({**decisions})
        finished = expected.follow(plan)
        keys = {each.arguments.split('"')[3]: each for each in result.asked}
        assert (set(keys), set(done)) == (expected.asked, expected.done)
        assert len(done) == len(set(done))
        assert finished == (not result.asked)
        if finished:
            break
        for key in rng.sample(sorted(keys), rng.randint(1, len(keys))):
            decisions[key] = rng.random() < 0.7
            await run.decide(keys[key], Decision(approve=decisions[key]))
