"""What may run before a snapshot, so that its clones need not: imports, and a run without foreign code."""

from importlib import import_module
from typing import TYPE_CHECKING

from agents import Model

if TYPE_CHECKING:
    from agency_swarm import Agency


def import_vendors(agency: "Agency", *defaults: str | None) -> None:
    """Import litellm, before a snapshot, if a model needs it."""
    models = [*defaults, *(agent.model for agent in agency.agents.values())]
    if any(str(model).startswith("litellm/") for model in models):
        import_module("agents.extensions.models.litellm_model")


def runs_no_foreign_code(agency: "Agency") -> bool:
    """Return whether a run without tools runs no user code and opens no connection."""
    manager = agency.thread_manager
    if manager._load_threads_callback or manager._save_threads_callback:
        return False
    return not any(
        isinstance(agent.model, Model)
        or callable(agent.instructions)
        or any((agent.mcp_servers, agent.hooks, agent.input_guardrails, agent.output_guardrails))
        for agent in agency.agents.values()
    )
