"""The interface between models and a run."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from agents import AgentOutputSchemaBase, Model, ModelResponse, ModelSettings, RunConfig, Tool, TResponseInputItem
from openai.types.responses import ResponseStreamEvent

from agency_lambda.framework.models.endings import Reason
from agency_lambda.framework.models.meter import Meter

AdaptSettings = Callable[[ModelSettings], ModelSettings]
Resolve = Callable[[Any, RunConfig], tuple[Model, AdaptSettings | None]]
"""Find the model of an agent, and the function that changes the agent's settings for it."""


class ModelsOfRun(NamedTuple):
    """longest_silence: seconds without an event until a call fails."""

    longest_silence: float
    resolve: Resolve


def name_of(model: Model) -> str:
    """Return the provider's name of a model."""
    return str(getattr(model, "model", None) or type(model).__name__)


@dataclass(frozen=True)
class ModelRequest:
    instructions: str | None
    items: str | list[TResponseInputItem]
    settings: ModelSettings
    tools: list[Tool]
    output_schema: AgentOutputSchemaBase | None
    for_user: bool = False  # the user reads the answer; False for tools, guardrails, hooks and other agents
    identity: str = ""  # who asks, stable across attempts; several agents may share a name
    model: str = ""  # the provider's name of it

    @property
    def names_files(self) -> bool:
        """Return whether some part has the id of a file in place of its bytes."""
        return not isinstance(self.items, str) and _names_file(self.items)


def _names_file(items: Iterable[Any]) -> bool:
    for item in items:  # of each call, so without a generator
        parts = item.get("content") or item.get("output")
        if type(parts) is list:
            for part in parts:
                if type(part) is dict and "file_id" in part:
                    return True
    return False


@dataclass(frozen=True)
class ModelAnswer:
    """incomplete: why the provider broke the answer off. model: which one has answered."""

    response: ModelResponse
    incomplete: Reason | None = None
    model: str = ""

    @property
    def complete(self) -> bool:
        return self.incomplete is None


type FetchFile = Callable[[str, str], Awaitable[bytes | None]]
"""Fetches a file that a provider's tool has written: (container, file) -> its bytes, None if that fails."""


class ModelCallProtocol(Protocol):
    """recorded: an earlier attempt's answer, which replaces the call. fetch: from the model's provider."""

    recorded: ModelAnswer | None
    fetch: FetchFile | None

    async def reserve(self, model: Model, request: ModelRequest, *args: Any, **server_state: Any) -> ModelRequest:
        """Reserve what the call may cost, if its owner has a budget. Returns the request to send."""
        ...

    def record_event(self, event: ResponseStreamEvent) -> None: ...

    async def record_answer(self, answer: ModelAnswer) -> ModelAnswer:
        """Store the answer. Returns it without items that cannot be used."""
        ...


class RunProtocol(Protocol):
    """live: the run takes each event of an answer as it arrives.

    linked_content: the setting LINKED_CONTENT. new_links: those in the client's input of this run.
    """

    meter: Meter
    live: bool
    longest_silence: float
    resolve: Resolve
    linked_content: Literal["0", "1"] | None
    new_links: Collection[str]

    @property
    def is_outside_tools(self) -> bool:
        # In a tool, an agent's answer is not for the user.
        ...

    def adjust(self, agent: str, request: ModelRequest) -> ModelRequest: ...

    async def with_files(self, request: ModelRequest) -> ModelRequest:
        """Return the request with the bytes of the files that it names."""
        ...

    def model_call(self, agent: str, request: ModelRequest) -> AbstractAsyncContextManager[ModelCallProtocol]:
        """Return the context manager of one call; an exception in it marks the answer as broken off."""
        ...


# A context variable, and not an attribute of agents: an agency may share its agents between runs.
active_run: ContextVar[RunProtocol] = ContextVar("active_run")
