"""Entry asks Colleague, who asks Auditor, and may hand over to Partner: all of them pay if a person approves."""

import os
from pathlib import Path
from typing import Any

from agency_swarm import Agency, Agent, Handoff, function_tool


@function_tool(needs_approval=True)
def pay(to: str, amount: int = 1) -> str:
    """Pay somebody."""
    with Path(os.environ.get("PAYMENTS", os.devnull)).open("a") as paid:
        paid.write(f"{to} {amount}\n")
    return f"paid {amount} to {to}"


@function_tool
async def look(at: str) -> str:
    """Look something up, which nobody has to approve."""
    return f"saw {at}"


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Build a new agency of new agents."""
    entry, colleague, auditor, partner = (
        Agent(name=name, instructions=f"You are {name}.", tools=[pay, look])
        for name in ("Entry", "Colleague", "Auditor", "Partner")
    )
    return Agency(
        entry,
        communication_flows=[entry > colleague, entry > auditor, colleague > auditor, (entry, partner, Handoff)],
        name="Payments",
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
