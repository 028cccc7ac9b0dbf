"""A small swarm, whose messages are delivered in one process or by the queue."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agency_swarm import Agency, Agent, function_tool

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.request import CreateResponse
from agency_lambda.record.trace import TraceOptions, load_trace
from agency_lambda.runs import worker
from agency_lambda.runs.service import RunService
from tests.library.features.messages import batches, to
from tests.library.models.agencies import settings
from tests.library.runs.stage import on_stage


@function_tool
async def work(topic: str) -> str:
    """Works."""
    return f"worked on {topic}"


def swarm(*tools: Any, **scripts: Callable[[Any], Any]) -> Agency:
    """Boss sends two messages to Helper and then one more; each asks Deep, and works. tools: more of Helper's."""
    asked = {
        "Boss": batches([to("Helper", "a"), to("Helper", "b")], [to("Helper", "c")], last="done"),
        "Helper": batches([to("Deep", "dig")], [("work", {"topic": "it"})], last="helped"),
        "Deep": lambda turn: "SECRET of Deep",
        **scripts,
    }

    def agent(name: str, *tools: Any) -> Agent:
        return Agent(name=name, instructions=f"I am {name}.", model=OfflineModel(name, asked[name]), tools=list(tools))

    boss, helper, deep = agent("Boss"), agent("Helper", work, *tools), agent("Deep")
    return Agency(boss, communication_flows=[(boss, helper), (helper, deep)])


@asynccontextmanager
async def service(store: str, transport: str = "queue", make: Any = swarm, **more: Any) -> AsyncIterator[RunService]:
    async with on_stage(make, settings(key=None, store=store, agent_messages=transport, **more)) as runs:
        yield runs


async def begun(runs: RunService, owner: str = "owner", **fields: Any) -> str:
    asked = {"model": "desk", "input": "Go.", "background": True, **fields}
    return str((await runs.create(CreateResponse.model_validate(asked), owner)).response["id"])


async def worked(runs: RunService, most: int = 1000) -> list[Any]:
    """Make attempts until nothing is queued, or so many. Returns the messages that are about no attempt."""
    queue: Any = runs.queue
    others = []
    while most and (received := queue.take()):
        if isinstance(received[0], str):
            most -= 1
            await worker.work(runs, received[0])
        else:
            others.append(received[0])
    return others


async def ended(runs: RunService, **fields: Any) -> str:
    run_id = await begun(runs, **fields)
    await worked(runs)
    return run_id


async def trace_of(runs: RunService, run_id: str, *, contents: bool = False) -> dict[str, Any]:
    price = lambda model, usage: 1000 * usage["input_tokens"] + usage["output_tokens"]  # noqa: E731
    return await load_trace(runs.store, "owner", run_id, TraceOptions(price=price, with_contents=contents))
