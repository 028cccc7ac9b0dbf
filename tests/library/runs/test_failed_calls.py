"""A model that failed once, and limits that were reached: the next attempt at a run goes the way of the one before."""

import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from agents import Runner

from agency_lambda import idempotency_key
from agency_lambda.errors import ModelRateLimited, ModelUnauthorized, UpstreamFailed
from agency_lambda.framework.models import ModelUnavailable, selection
from agency_lambda.framework.models.failure_kinds import Kind
from tests.library.model_server import Answer, Failure, ModelRequest, ModelServer, call
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage
from tests.library.runs.test_identity import BUY, ORDER, attempts, send

ASK = call("ask_until_answered")
SILENT = threading.Event()  # the model has been asked, and says nothing for now


class Shop:
    """An agency whose tool notes the idempotency key of every order."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def agency(self) -> Agency:
        @function_tool
        async def order(what: str) -> str:
            """Orders."""
            self.keys.append(idempotency_key())
            return "ordered"

        buyer = Agent(name="Buyer", instructions="You are Buyer.", model="one", tools=[order])
        ann, bob = (Agent(name=n, instructions=f"You are {n}.", model="one", tools=[order]) for n in ("Ann", "Bob"))
        tools = [buyer.as_tool("buy", "Buys."), asking(buyer), impatient(buyer)]
        boss = Agent(name="Boss", instructions="You are Boss.", model="one", tools=tools)
        return Agency(boss, communication_flows=[boss > ann, boss > bob])


def asking(buyer: Agent) -> Any:
    @function_tool
    async def ask_until_answered() -> str:
        """Asks the buyer, again where that fails."""
        for _ in range(3):
            try:
                return str((await Runner.run(buyer, "Buy paper.")).final_output)
            except ModelUnavailable:
                continue
        return "Error"

    return ask_until_answered


def impatient(buyer: Agent) -> Any:
    @function_tool
    async def ask_in_time() -> str:
        """Asks the buyer, again where that takes long."""
        asked = asyncio.create_task(Runner.run(buyer, "Buy paper."))
        while not asked.done():
            await asyncio.sleep(0.002)
            if SILENT.is_set():
                SILENT.clear()
                asked.cancel()
                asked = asyncio.create_task(Runner.run(buyer, "Buy paper."))
        return str((await asked).final_output)

    return ask_in_time


def outputs(request: ModelRequest) -> list[str]:
    return [item["output"] for item in request.items if item.get("type") == "function_call_output"]


def player(step: list[Any], failures: list[Answer]) -> Callable[[ModelRequest], Answer]:
    """The boss makes one step, again where it failed; who is asked fails so often, and then orders once."""

    def play(request: ModelRequest) -> Answer:
        said = outputs(request)
        if "You are Boss" in request.instructions:
            return step if not said or "rror" in said[-1] else "All is ordered."
        if failures:
            failure = failures.pop()
            if isinstance(failure, float):
                SILENT.set()
                time.sleep(failure)
                return ORDER
            return failure
        return "Done." if said else ORDER

    return play


def played(play: Callable[[ModelRequest], Answer], writes: int | None, **fields: Any) -> tuple[int, list[str], Any]:
    """(writes of the last attempt, the keys of the orders, the response) of a run that dies behind so many writes."""
    shop = Shop()

    async def whole(url: str, folder: str) -> tuple[int, Any]:
        async with on_stage(shop.agency, settings(url, store=f"sqlite:///{folder}/agency.db")) as runs:
            return await attempts(runs, writes, **fields)

    with tempfile.TemporaryDirectory() as folder, ModelServer(play) as server:
        server.repeats_ids = True
        written, response = asyncio.run(asyncio.wait_for(whole(server.base_url, folder), 30))
    return written, shop.keys, response


WAYS = {
    "send_message": (send("Ann"), [Failure(503)]),
    "send_message, twice": (send("Ann"), [Failure(503), Failure(429)]),
    "send_message, for good": (send("Ann"), [Failure(401)]),
    "an agent as a tool": (BUY, [Failure(503)]),
    "Runner.run in a tool": (ASK, [Failure(503), Failure(500)]),
    "Runner.run in a tool that waits no longer": (call("ask_in_time"), [0.3]),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_call_of_a_model_makes_no_tool_act_twice(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_RETRIES", 0)
    step, failures = WAYS[way]
    whole, keys, _ = played(player(step, [*failures]), None)
    assert len(keys) == 1
    for writes in range(2, whole):
        _, keys, response = played(player(step, [*failures]), writes)
        assert response["status"] == "completed", response["error"]
        assert len(set(keys)) == 1, f"the first attempt has died behind {writes} writes"


@pytest.mark.parametrize("asked", [send("Ann", "Bob"), [*send("Ann"), *ASK]], ids=["colleagues", "a tool"])
def test_max_tool_calls_holds_for_all_attempts_together(asked: list[Any]) -> None:
    def plays(moments: random.Random) -> Callable[[ModelRequest], Answer]:
        play = player(asked, [])

        def in_any_order(request: ModelRequest) -> Answer:
            time.sleep(moments.uniform(0, 0.02))
            return play(request)

        return in_any_order

    whole, _, _ = played(plays(random.Random(0)), None, max_tool_calls=3)
    for writes in range(2, whole):
        _, keys, response = played(plays(random.Random(writes)), writes, max_tool_calls=3)
        assert response["status"] == "completed", response["error"]
        assert len(set(keys)) == 1, f"the first attempt has died behind {writes} writes"


def test_a_failure_that_ended_an_attempt_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two judges one fails, and that ends the run, while the agent's answer is kept after the failure."""
    from agents import GuardrailFunctionOutput, input_guardrail

    monkeypatch.setattr(selection, "_RETRIES", 0)
    failures, judge = [Failure(503)], Agent(name="Judge", instructions="You are Judge.", model="one")

    @input_guardrail
    async def judged(context: Any, agent: Any, message: Any) -> GuardrailFunctionOutput:
        try:
            await Runner.run(judge, "Is that allowed?")
        except ModelUnavailable:
            await Runner.run(judge, "Is it really?")
            await asyncio.sleep(0.2)  # the agent's answer comes and is kept
            raise
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    def play(request: ModelRequest) -> Answer:
        return failures.pop() if "Is that allowed?" in str(request.items) and failures else "Fine."

    boss = Agent(name="Boss", instructions="You are Boss.", model="one", input_guardrails=[judged])
    monkeypatch.setattr(Shop, "agency", lambda self: Agency(boss))
    _, _, response = played(play, 10**9)
    assert response["status"] == "completed", response["error"]


@pytest.mark.parametrize("kind", [UpstreamFailed, *UpstreamFailed.__subclasses__()])
def test_a_failure_is_the_same_when_it_is_read_again(kind: Kind) -> None:
    error = ModelUnavailable(kind=kind, transient=kind is ModelRateLimited, retry_after=7.5)
    again = ModelUnavailable.from_record(error.record())
    assert (again.kind, again.transient, again.retry_after) == (kind, error.transient, 7.5)
    unknown = ModelUnavailable.from_record(ModelUnavailable(kind=ModelUnauthorized).record() | {"kind": "ModelMoved"})
    assert (unknown.kind, unknown.transient) == (UpstreamFailed, False)
