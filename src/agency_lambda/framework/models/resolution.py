"""Finds the run of a model call, whoever makes it, so that the call is metered."""

import hashlib
from collections.abc import Callable
from typing import Any

from agents import Model, RunConfig
from agents.run_internal import run_loop, turn_preparation

from agency_lambda.framework.models.calls import RunProtocol, active_run
from agency_lambda.framework.models.metering import MeteredModel

FindModel = Callable[[Any, RunConfig], Model]
# Agents, judges, agents as tools, nested agencies and `Runner.run` in tools all call `get_model(agent, run_config)`.
_RUN = "_agency_lambda_run"  # attribute of a run's own agents: code may call them from a thread without context
_outside_runs: list[FindModel] = []


class UserRunConfig(RunConfig):
    """The SDK configuration of runs in which agents speak with the user."""


def install() -> None:
    """Replace the SDK's `get_model` under both of its names."""
    vars(turn_preparation)["get_model"] = vars(run_loop)["get_model"] = _get_model


def find_outside_runs_with(find_model: FindModel) -> None:
    """Set how the model of a call outside any run is found."""
    _outside_runs[:] = [find_model]


def assign_run(agent: Any, run: RunProtocol) -> None:
    vars(agent)[_RUN] = run


def run_of(agent: Any) -> RunProtocol | None:
    found: RunProtocol | None = active_run.get(None) or vars(agent).get(_RUN)
    return found


def _get_model(agent: Any, run_config: RunConfig) -> Model:
    run = run_of(agent)
    return _outside_runs[0](agent, run_config) if run is None else _metered(run, agent, run_config)


def _metered(run: RunProtocol, agent: Any, run_config: RunConfig) -> Model:
    model, adapt = run.resolve(agent, run_config)
    is_own = vars(agent).get(_RUN) is run
    return MeteredModel(
        model,
        run,
        agent.name,
        adapt=adapt,
        for_user=isinstance(run_config, UserRunConfig) and run.is_outside_tools,  # `as_tool` passes the config on
        identity=agent.name if is_own else _identity(agent),
    )


def _identity(agent: Any) -> str:
    # Tells agents outside the agency apart that share a name: two judges may be called "Judge".
    instructions = agent.instructions
    if callable(instructions):  # what it returns may hold the time of day
        instructions = f"{getattr(instructions, '__module__', '')}.{getattr(instructions, '__qualname__', '')}"
    described = f"{instructions}\0{getattr(agent.output_type, '__qualname__', '')}"
    return f"{agent.name}/{hashlib.sha256(described.encode(errors='replace')).hexdigest()[:16]}"
