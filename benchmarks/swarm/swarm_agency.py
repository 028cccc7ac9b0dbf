"""A boss who asks one helper many things at once, and the five calls of the original report."""

from typing import Any

from agency_swarm import Agency, Agent
from bench_agency import create_agency

create_chain = create_agency


def create_swarm(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Return two agents. What they say is in `benchmarks/swarm_provider.py`."""
    boss, helper = (Agent(name=name, instructions=f"You are {name}.", model="gpt-4.1") for name in ("Boss", "Helper"))
    return Agency(
        boss,
        communication_flows=[(boss, helper)],
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
