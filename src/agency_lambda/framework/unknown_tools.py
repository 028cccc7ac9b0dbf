"""Tells a model that it has called a tool that is not there, where the SDK would end the run."""

from functools import partial
from typing import Any

from agency_swarm.agent import execution
from agents import RunConfig

SETTING: dict[str, Any] = {"tool_not_found_behavior": "return_error_to_model"}


def install() -> None:
    """Give the framework this default for the runs of colleagues, to which it passes no caller's configuration."""
    execution.RunConfig = partial(RunConfig, **SETTING)
