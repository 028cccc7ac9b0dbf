"""An agency of one agent, which answers."""

from typing import Any

from agency_swarm import Agency, Agent


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Build a new agency of a new agent."""
    return Agency(
        Agent(name="Porter", instructions="You answer."),
        name="Desk",
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
