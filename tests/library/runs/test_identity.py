"""Which call of a tool is which, in every attempt at a run: with a server that repeats ids, nobody gets another's."""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from agency_swarm import Agency, Agent, Handoff, function_tool

from agency_lambda import idempotency_key
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import StoredResponse
from agency_lambda.runs.service import RunService
from agency_lambda.store import StoreUnavailable
from tests.library.model_server import Answer, ModelRequest, ModelServer, call
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage

ORDER = call("order", what="paper")
BUY = call("buy", input="Buy paper.")


class Orders:
    """What the tool has done: (idempotency key, what it returned) of every execution."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def agency(self) -> Agency:
        @function_tool
        async def order(what: str) -> str:
            """Orders, each time."""
            number = len(self.made) + 1
            self.made.append((idempotency_key(), f"order {number}"))
            await asyncio.sleep(0)
            return f"order {number}"

        buyer = Agent(name="Buyer", instructions="You are Buyer.", model="one", tools=[order])
        buy = buyer.as_tool("buy", "Buys.")
        boss = Agent(name="Boss", instructions="You are Boss.", model="one", tools=[order, buy])
        ann, bob, clerk = (
            Agent(name=name, instructions=f"You are {name}.", model="one", tools=[order])
            for name in ("Ann", "Bob", "Clerk")
        )
        return Agency(boss, communication_flows=[boss > ann, boss > bob, (boss, clerk, Handoff)])


class Scenario(NamedTuple):
    """What the boss answers, one after the other; everybody else orders once. orders: how many are to be made."""

    boss: list[Any]
    orders: int


def send(*names: str) -> Any:
    ask = {"message": "Order paper.", "additional_instructions": ""}
    return [each for name in names for each in call("send_message", recipient_agent=name, **ask)]


OVER = call("transfer_to_Clerk", recipient_agent="Clerk")
SCENARIOS = {
    "twice in an answer": Scenario([[*ORDER, *ORDER]], 2),
    "in two answers": Scenario([ORDER, ORDER], 2),
    "by two colleagues": Scenario([send("Ann", "Bob")], 2),
    "by a colleague, twice": Scenario([send("Ann"), send("Ann")], 2),
    "by an agent as a tool, twice in an answer": Scenario([[*BUY, *BUY]], 2),
    "by an agent as a tool, in two answers": Scenario([BUY, BUY], 2),
    "before and after a handoff": Scenario([ORDER, OVER], 2),
    "by everybody": Scenario([[*ORDER, *BUY, *ORDER, *send("Ann")], [*BUY, *send("Bob")], OVER], 7),
}


def player(scenario: Scenario, moments: random.Random) -> Callable[[ModelRequest], Answer]:
    """The models. Their answers come in any order."""

    def play(request: ModelRequest) -> Answer:
        time.sleep(moments.uniform(0, 0.004))
        said = [number for number, item in enumerate(request.items) if item.get("role") == "user"]
        outputs = [item for item in request.items[said[-1] :] if item.get("type") == "function_call_output"]
        if "You are Boss" in request.instructions:
            behind = 0
            for step in scenario.boss:
                if len(outputs) == behind:
                    return step  # type: ignore[no-any-return]
                behind += len(step)
            return "All is ordered."
        if "You are Clerk" in request.instructions:
            return ORDER if "assistant" in outputs[-1]["output"] else "The clerk has ordered."  # else: the handoff's
        return f"Done: {outputs[-1]['output']}" if outputs else ORDER

    return play


class Mortal:
    """Makes a store fail for good behind so many writes, as for a process that dies there."""

    def __init__(self, store: Any) -> None:
        self.left, self._write = 10**9, store.write
        store.write = self.write

    async def write(self, *changes: Any) -> None:
        if self.left <= 0:
            raise StoreUnavailable("The store could not be written.")
        self.left -= 1
        await self._write(*changes)


async def attempts(runs: RunService, writes: int | None, **fields: Any) -> tuple[int, dict[str, Any]]:
    """(writes, the response) of a run whose first attempt ends behind so many writes; None: it does not."""
    asked = {"model": "desk", "input": "Order paper.", "background": True, **fields}
    kept = await runs.create(CreateResponse.model_validate(asked), "owner")
    assert isinstance(kept, StoredResponse)
    store = Mortal(runs.store)
    for left in [] if writes is None else [writes]:
        store.left = left
        if run := await _resumed(runs, kept.response["id"]):
            await runs.execute(run)
    store.left = 10**9
    if lease := await Leases(runs.store).find(kept.response["id"]):
        await runs.store.write(lease.put(until=time.time() - 1))
        run = await runs.resume(lease.id)
        assert run
        await runs.execute(run)
    return 10**9 - store.left, await runs.cancel("owner", kept.response["id"])


async def _resumed(runs: RunService, run: str) -> Any:
    try:
        return await runs.resume(run)
    except StoreUnavailable:
        return None


def play(scenario: Scenario, seed: int, writes: int | None = None) -> int:
    """Play a scenario with one death, and check who got what; returns how many writes the last attempt took."""
    orders, moments = Orders(), random.Random(seed)

    async def whole(url: str, folder: str) -> tuple[int, dict[str, Any]]:
        service = settings(url, store=f"sqlite:///{folder}/agency.db")
        async with on_stage(orders.agency, service) as runs:
            return await attempts(runs, writes)

    with tempfile.TemporaryDirectory() as folder, ModelServer(player(scenario, moments)) as server:
        server.repeats_ids = True
        written, response = asyncio.run(asyncio.wait_for(whole(server.base_url, folder), 30))
        shown = {
            item["output"]
            for request in server.requests
            for item in request.items
            if item.get("type") == "function_call_output" and item["output"].startswith("order ")
        }
    assert response["status"] == "completed", response["error"]
    executions = Counter(key for key, _ in orders.made)
    assert len(executions) == scenario.orders, "a key of its own for every call, and the same when it is made again"
    given = Counter(key for key, result in orders.made if result in shown)
    assert given == Counter(dict.fromkeys(executions, 1)), "every call got its own result, and only one"
    return written


@pytest.mark.parametrize("name", SCENARIOS)
def test_calls_are_told_apart_wherever_the_first_attempt_dies(name: str) -> None:
    whole = play(SCENARIOS[name], 0)
    assert whole > 5
    for writes in range(2, whole, 1 if "tool, in" in name else 3):
        play(SCENARIOS[name], writes, writes)
