"""Agents and starters whose names would run code where they were taken for HTML."""

from typing import Any

from agency_swarm import Agency, Agent, function_tool

from hostile.texts import HTML, REVERSED


@function_tool
async def look(at: str) -> str:
    """Look something up."""
    return f"{HTML} {at}"


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Build a new agency of new agents."""
    lead = Agent(
        name=HTML,
        instructions="You are Hostile.",
        description=HTML,
        tools=[look],
        conversation_starters=[f"say {HTML}"],
        quick_replies=[f"say {HTML}"],
    )
    other = Agent(name=REVERSED, instructions="You are Other.", description=REVERSED, tools=[look])
    return Agency(
        lead,
        communication_flows=[lead > other],
        name=HTML,
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
