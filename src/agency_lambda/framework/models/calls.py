"""What a model call is to a run: the question, who hears the answer, and what was answered."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from agents import AgentOutputSchemaBase, Model, ModelResponse, ModelSettings, RunConfig, Tool, TResponseInputItem
from openai.types.responses import ResponseStreamEvent

from agency_lambda.framework.models.meter import Meter
from agency_lambda.framework.patches import Reason

Adapt = Callable[[ModelSettings], ModelSettings]


@dataclass(frozen=True)
class ModelAnswer:
    """What a model has answered. incomplete: why the provider broke it off."""

    response: ModelResponse
    incomplete: Reason | None = None

    @property
    def complete(self) -> bool:
        """Whether the provider did not break it off."""
        return self.incomplete is None


class ModelCallProtocol(Protocol):
    """One model call, as the run hears it. known: the run has this answer already, and need not ask for it."""

    known: ModelAnswer | None

    def event(self, event: ResponseStreamEvent) -> None:
        """One event of the provider's stream."""
        ...

    async def answer(self, answered: ModelAnswer) -> ModelAnswer:
        """The whole answer. It is the run's when this returns, whatever happens then.

        Returns the one that counts; of one that was broken off, only what can be used.
        """
        ...


@dataclass(frozen=True)
class ModelRequest:
    """What a model is asked, in the SDK's terms.

    speaks: the answer is for the user, and not for a tool, a guardrail, a hook or another agent.
    identity: who asks, the same in every attempt at the run; an agent's name alone may be that of several.
    """

    instructions: str | None
    items: str | list[TResponseInputItem]
    settings: ModelSettings
    tools: list[Tool]
    output_schema: AgentOutputSchemaBase | None
    speaks: bool = False
    identity: str = ""


class RunProtocol(Protocol):
    """The run that models are asked for."""

    meter: Meter
    live: bool
    """It wants every event as it comes, not only the whole answer."""
    longest_silence: float
    """Seconds after which a model has failed that says nothing."""
    resolve: Callable[[Any, RunConfig], tuple[Model, Adapt | None]]
    """Finds the model of an agent, and what has to be done to the settings that the agent has."""

    @property
    def aloud(self) -> bool:
        """Whether the code that runs now is no tool's: what an agent says here is for the user."""
        ...

    def ask(self, agent: str, question: ModelRequest) -> ModelRequest:
        """The question as this run puts it."""
        ...

    def model_call(self, agent: str, question: ModelRequest) -> AbstractAsyncContextManager[ModelCallProtocol]:
        """Around one call: when it ends with an exception, its answer was broken off."""
        ...


# Not kept with the agents: an agency may build itself from agents that it shares between runs.
running: ContextVar[RunProtocol] = ContextVar("running")
