"""Lead asks Finder and Writer, who may work side by side; Writer asks Checker. Each does what its message says."""

from typing import Any

from agency_swarm import Agency, Agent, Handoff, function_tool

from agency_lambda import save_file


@function_tool
async def look(at: str) -> str:
    """Look something up."""
    return f"saw {at}"


@function_tool(needs_approval=True)
async def send(to: str, text: str) -> str:
    """Send a letter, which a person has to approve."""
    return f"sent {text} to {to}"


@function_tool
async def attach(name: str) -> str:
    """Write a file for the user."""
    file = await save_file(b"name,amount\nAnn,1\n", name)
    return f"{file.name} is attached."


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Build a new agency of new agents."""
    lead = Agent(
        name="Lead",
        instructions="You are Lead.",
        tools=[look, send, attach],
        conversation_starters=["look ann; say Ann is well.", "Finder: look bob"],
        quick_replies=["say Thank you."],
    )
    finder, writer, checker, partner = (
        Agent(name=name, instructions=f"You are {name}.", tools=[look, send])
        for name in ("Finder", "Writer", "Checker", "Partner")
    )
    return Agency(
        lead,
        communication_flows=[lead > finder, lead > writer, writer > checker, (lead, partner, Handoff)],
        name="Studio",
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
