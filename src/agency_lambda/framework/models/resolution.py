"""Which model answers a call: one way for everybody in a run.

Whoever calls a model through the SDK (an agent, a guardrail's judge, an agent as a tool, a nested agency, `Runner.run`
in a tool, a hook or instructions) comes to one function of openai-agents 0.18.1, `get_model(agent, run_config)`, right
before the call. `install` replaces it, so that agents keep the `model` that their code gave them.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from agents import Model, RunConfig

from agency_lambda.framework.models.calls import RunProtocol, running
from agency_lambda.framework.models.metering import MeteredModel

_RUN = "_agency_lambda_run"  # on an agent of a run's own: code may call it from a thread that knows of no run


class UserRunConfig(RunConfig):
    """The configuration of the SDK's run in which agents speak with the user; all that runs within has another."""


def install(outside: Callable[[Any, RunConfig], Model]) -> None:
    """Have the SDK find every model here. outside: finds the model of a call that belongs to no run."""
    from agents.run_internal import run_loop, turn_preparation  # nobody needs it before a run

    def get_model(agent: Any, run_config: RunConfig) -> Model:
        run = run_of(agent)
        return outside(agent, run_config) if run is None else _metered(run, agent, run_config)

    # Both names: run_loop has imported the function by name.
    vars(turn_preparation)["get_model"] = vars(run_loop)["get_model"] = get_model


def belong(agent: Any, run: RunProtocol) -> None:
    """Mark an agent as one of this run's own."""
    vars(agent)[_RUN] = run


def run_of(agent: Any) -> RunProtocol | None:
    """Return the run that an agent is called in, if it is one."""
    found: RunProtocol | None = running.get(None) or vars(agent).get(_RUN)
    return found


def _metered(run: RunProtocol, agent: Any, run_config: RunConfig) -> Model:
    model, adapt = run.resolve(agent, run_config)
    is_own = vars(agent).get(_RUN) is run
    return MeteredModel(
        model,
        run,
        agent.name,
        adapt=adapt,
        speaks=isinstance(run_config, UserRunConfig) and run.aloud,  # `as_tool` hands the configuration on
        identity=agent.name if is_own else _identity(agent),
    )


def _identity(agent: Any) -> str:
    """Tell apart agents of one name that are none of the agency: two judges may both be called "Judge"."""
    instructions = agent.instructions
    if callable(instructions):  # what it returns may hold the time of day
        instructions = f"{getattr(instructions, '__module__', '')}.{getattr(instructions, '__qualname__', '')}"
    said = f"{instructions}\0{getattr(agent.output_type, '__qualname__', '')}"
    return f"{agent.name}/{hashlib.sha256(said.encode(errors='replace')).hexdigest()[:16]}"
