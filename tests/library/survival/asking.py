"""An agency whose runs wait: a chief asks two colleagues at once, who need three approvals to sign, and sign once."""

import os
from pathlib import Path

from agency_swarm import Agency, Agent, function_tool

from tests.library.model_server import Answer, ModelRequest, call
from tests.library.survival import desk
from tests.library.survival.desk import label

NEEDED = {"Ann": ["lease", "letter"], "Bob": ["order"]}
"""Who has to sign what: Ann one after the other, Bob beside her."""


def marks() -> Path:
    return Path(os.environ["MARKS"])


def signed(paper: str) -> str | None:
    from agency_lambda import once

    return f"{paper} is signed" if paper in marks().read_text().split() else once.NOT_MADE


def asking() -> Agency:
    from agency_lambda import once

    @function_tool(needs_approval=True)
    @once(reconcile=signed)
    async def sign(paper: str) -> str:
        """Leaves a line in a file."""
        with marks().open("a") as file:
            print(paper, file=file)
        await desk.point("the paper is signed")
        return f"{paper} is signed"

    chief = Agent(name="Chief", instructions="You are Chief.", model="one")
    ann, bob = (Agent(name=name, instructions=f"You are {name}.", model="one", tools=[sign]) for name in NEEDED)
    return Agency(chief, communication_flows=[chief > ann, chief > bob])


def play(request: ModelRequest) -> Answer:
    job, agent, outputs = label(request)
    if agent == "Chief":
        ask = {"message": job, "additional_instructions": ""}
        both = [
            *call("send_message", recipient_agent="Ann", **ask),
            *call("send_message", recipient_agent="Bob", **ask),
        ]
        return f"All is signed for {job}." if outputs else both
    left = NEEDED[agent][outputs:]
    return call("sign", paper=left[0]) if left else f"{agent} has signed all for {job}."
