"""An agency whose runs are killed: a chief asks two colleagues at once, and each uses a tool that leaves a mark."""

import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from agency_swarm import Agency, Agent, function_tool

from tests.library.model_server import Answer, ModelRequest, call

type Label = tuple[str, str, int]
"""What a model was asked: (the job, the agent, how many outputs of tools it knew)."""

SIGN = {"type": "function", "name": "sign", "parameters": {"type": "object", "properties": {}}}


async def _no_point(name: str) -> None: ...


point: Callable[[str], Awaitable[None]] = _no_point


def desk() -> Agency:
    from agency_lambda import idempotency_key

    @function_tool
    async def look_up(job: str) -> str:
        """Leaves a line in a file."""
        await point("tool begins")
        with open(os.environ["MARKS"], "a") as marks:  # noqa: ASYNC230 - a line
            print(idempotency_key(), file=marks)
        await point("tool ends")
        return f"looked up {job}"

    chief = Agent(name="Chief", instructions="You are Chief.", model="one")
    ann = Agent(name="Ann", instructions="You are Ann.", model="one", tools=[look_up])
    bob = Agent(name="Bob", instructions="You are Bob.", model="one", tools=[look_up])
    return Agency(chief, communication_flows=[chief > ann, chief > bob])


def label(request: ModelRequest) -> Label:
    said = [number for number, item in enumerate(request.items) if item.get("role") == "user"]
    since = request.items[said[-1] :]
    outputs = sum(item.get("type") == "function_call_output" for item in since)
    return _text(since[0]), request.instructions.partition("You are ")[2].partition(".")[0], outputs


def _text(item: dict[str, Any]) -> str:
    content = item["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def play(request: ModelRequest) -> Answer:
    """What the agents answer. Where the client has a function, the chief calls it beside a colleague."""
    job, agent, outputs = label(request)
    if agent != "Chief":
        return f"{agent} has looked at {job}, and found nothing." if outputs else call("look_up", job=job)
    if outputs:
        return f"The two have looked at {job}, and that is all there is to say."
    ask = {"message": job, "additional_instructions": ""}
    ann, bob = (call("send_message", recipient_agent=name, **ask) for name in ("Ann", "Bob"))
    return [*ann, *call("sign")] if "sign" in request.tools else [*ann, *bob]


def follows(later: Label, earlier: Label) -> bool:
    """Whether it can only be asked when the earlier one has been answered."""
    (job, agent, outputs), (other, before, known) = later, earlier
    if job != other or later == earlier:
        return False
    if agent == before:
        return outputs > known
    return known == 0 if before == "Chief" else (agent == "Chief" and outputs > 0)


def paid_twice(asked: Iterable[Label]) -> list[Label]:
    """Questions that were asked again when something had followed from their answers already."""
    seen: Counter[Label] = Counter()
    twice = []
    for each in asked:
        if seen[each] and any(follows(other, each) for other in seen):
            twice.append(each)
        seen[each] += 1
    return twice
