"""A swarm of 20 messages in three levels, whose batches follow one another, and one of which fails."""

import os
from pathlib import Path
from typing import Any

from agency_swarm import Agency, Agent, function_tool

from tests.library.model_server import Answer, Failure, ModelRequest, Plan
from tests.library.survival import desk
from tests.library.survival.desk import label

MESSAGES = 20
CHIEF = [["Ann", "Ann", "Bob"], ["Ann", "Cid"], ["Bob", "Eve"]]
PLANS = {"Chief": CHIEF, "Ann": [["Dot", "Dot", "Eve"]], "Bob": [["Dot"], ["Dot"]]}
"""Whom an agent sends messages to, batch by batch. Cid always fails, Dot stamps, Eve seals once."""


def marks() -> Path:
    return Path(os.environ["MARKS"])


def sealed(paper: str) -> str | None:
    from agency_lambda import once

    return f"{paper} is sealed" if paper in marks().read_text().split() else once.NOT_MADE


def swarm() -> Agency:
    from agency_lambda import idempotency_key, once

    @function_tool
    async def stamp(paper: str) -> str:
        """Leaves a line in a file, with its key."""
        with marks().open("a") as file:
            print(f"{paper}={idempotency_key()}", file=file)
        await desk.point("the paper is stamped")
        return f"{paper} is stamped"

    @function_tool
    @once(reconcile=sealed)
    async def seal(paper: str) -> str:
        """Leaves a line in a file."""
        with marks().open("a") as file:
            print(paper, file=file)
        await desk.point("the paper is sealed")
        return f"{paper} is sealed"

    tools: dict[str, list[Any]] = {"Dot": [stamp], "Eve": [seal]}
    names = ["Chief", "Ann", "Bob", "Cid", "Dot", "Eve"]
    agents = {
        name: Agent(name=name, instructions=f"You are {name}.", model="one", tools=tools.get(name, []))
        for name in names
    }
    flows = {(sender, to): None for sender, batches in PLANS.items() for batch in batches for to in batch}
    return Agency(agents["Chief"], communication_flows=[agents[sender] > agents[to] for sender, to in flows])


def play(request: ModelRequest) -> Answer:
    """What the agents answer: a plan's next batch, or what has come back, in its order."""
    job, agent, outputs = label(request)
    if agent == "Cid":
        return Failure(400)
    if agent in PLANS:
        sent = 0
        for batch in PLANS[agent]:
            if outputs == sent:
                return _messages(job, batch, sent)
            sent += len(batch)
    elif not outputs:
        return [({"Dot": "stamp", "Eve": "seal"}[agent], {"paper": job.replace(" ", "_")})]
    times = sum(item.get("role") == "user" for item in request.items)
    known = [str(item["output"]) for item in request.items if item.get("type") == "function_call_output"]
    return f"{agent} ({times}): " + "; ".join(f"[{text}]" for text in known[-outputs:])


def _messages(job: str, batch: list[str], sent: int) -> Plan:
    return [
        (
            "send_message",
            {"recipient_agent": name, "message": f"{job}/{number}", "additional_instructions": ""},
        )
        for number, name in enumerate(batch, sent)
    ]
