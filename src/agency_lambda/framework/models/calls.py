"""The interface between models and a run: what is asked, what was answered, and what a run does around each call."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from agents import AgentOutputSchemaBase, Model, ModelResponse, ModelSettings, RunConfig, Tool, TResponseInputItem
from openai.types.responses import ResponseStreamEvent

from agency_lambda.framework.models.endings import Reason
from agency_lambda.framework.models.meter import Meter

AdaptSettings = Callable[[ModelSettings], ModelSettings]
Resolve = Callable[[Any, RunConfig], tuple[Model, AdaptSettings | None]]
"""Find the model of an agent, and the function that changes the agent's settings for it."""


class ModelsOfRun(NamedTuple):
    """longest_silence: seconds after which a model has failed that says nothing."""

    longest_silence: float
    resolve: Resolve


@dataclass(frozen=True)
class ModelRequest:
    """What a model is asked, in the SDK's terms.

    for_user: the answer is for the user, and not for a tool, a guardrail, a hook or another agent.
    identity: who asks, the same in every attempt at the run; several agents may have one name.
    """

    instructions: str | None
    items: str | list[TResponseInputItem]
    settings: ModelSettings
    tools: list[Tool]
    output_schema: AgentOutputSchemaBase | None
    for_user: bool = False
    identity: str = ""


@dataclass(frozen=True)
class ModelAnswer:
    """What a model has answered. incomplete: why the provider broke it off."""

    response: ModelResponse
    incomplete: Reason | None = None

    @property
    def complete(self) -> bool:
        """Return whether the provider did not break the answer off."""
        return self.incomplete is None


class ModelCallProtocol(Protocol):
    """One model call of a run. recorded: the answer that the run has already; then the model is not asked."""

    recorded: ModelAnswer | None

    def record_event(self, event: ResponseStreamEvent) -> None:
        """Take one event of the provider's stream."""
        ...

    async def record_answer(self, answer: ModelAnswer) -> ModelAnswer:
        """Store the whole answer. Returns the one that counts; of one that was broken off, only what can be used."""
        ...


class RunProtocol(Protocol):
    """The run that models are asked for.

    live: it takes every event of an answer as it comes. longest_silence: see `ModelsOfRun`.
    """

    meter: Meter
    live: bool
    longest_silence: float
    resolve: Resolve

    @property
    def is_outside_tools(self) -> bool:
        """Return whether this code runs outside of tools, where an agent's answer is for the user."""
        ...

    def adjust(self, agent: str, asked: ModelRequest) -> ModelRequest:
        """Return the request with the run's own changes."""
        ...

    def model_call(self, agent: str, asked: ModelRequest) -> AbstractAsyncContextManager[ModelCallProtocol]:
        """Return the context manager around one call. An exception that leaves it has broken the answer off."""
        ...


# A context variable, and not an attribute of agents: an agency may share its agents between runs.
active_run: ContextVar[RunProtocol] = ContextVar("active_run")
