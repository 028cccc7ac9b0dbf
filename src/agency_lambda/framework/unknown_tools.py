"""Returns an error to a model that calls an unknown tool."""

from functools import partial
from typing import Any

from agency_swarm.agent import execution
from agents import RunConfig

SETTING: dict[str, Any] = {"tool_not_found_behavior": "return_error_to_model"}


def install() -> None:
    # The framework passes the caller's configuration to no colleague.
    execution.RunConfig = partial(RunConfig, **SETTING)
