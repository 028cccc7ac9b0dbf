"""One agent with four tools, as its peers have them."""

from typing import Any

from agency_swarm import Agency, Agent, function_tool
from desk_tools import INSTRUCTIONS, TOOLS

_TOOLS = [function_tool(tool) for tool in TOOLS]  # once a process, as by a decorator; agents are made anew for each run


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """One agent."""
    agent = Agent(name="Desk", instructions=INSTRUCTIONS, model="gpt-4.1", tools=[*_TOOLS])
    return Agency(agent, load_threads_callback=load_threads_callback, save_threads_callback=save_threads_callback)
