"""Small agencies and the ways to run them, for the tests of this folder."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from agency_swarm import Agency, Agent, BaseTool, function_tool
from agents import Model, RunConfig
from agents.run_internal import turn_preparation
from openai.types.responses import ResponseStreamEvent
from pydantic import Field, SecretStr

from agency_lambda.framework.models import Limits, Meter, ModelAnswer, ModelRequest, Models
from agency_lambda.settings import Settings


class CreateTask(BaseTool):
    """Creates a task."""

    title: str = Field(..., min_length=1)
    priority: int = Field(..., ge=1, le=3)

    def run(self) -> str:
        return f"task 17: {self.title} (priority {self.priority})"


@function_tool
async def read_task(number: int) -> str:
    """Reads a task back."""
    await asyncio.sleep(0)
    return f"task {number}: details"


def office(**agent_settings: Any) -> Agency:
    """Manager -> Planner, Manager -> Writer, Writer -> Planner: the flow of the original problem."""
    manager = Agent(name="Manager", instructions="You are Manager.", **agent_settings)
    planner = Agent(name="Planner", instructions="You are Planner.", tools=[CreateTask, read_task], **agent_settings)
    writer = Agent(name="Writer", instructions="You are Writer.", **agent_settings)
    return Agency(manager, communication_flows=[manager > planner, manager > writer, writer > planner])


def single(**agent_settings: Any) -> Agency:
    return Agency(Agent(**{"name": "Solo", "instructions": "You are Solo.", **agent_settings}))


def settings(base_url: str | None = None, key: str | None = "sk-test-key", **more: Any) -> Settings:
    secret = SecretStr(key) if key else None
    kept = {"store": "sqlite:///:memory:", **more}
    return Settings(_env_file=None, openai_api_key=secret, openai_base_url=base_url, **kept)


def offline() -> Models:
    return Models(settings(key=None))


def model_of(agency: Agency, name: str = "Solo", run_config: RunConfig | None = None) -> Model:
    """The model of one agent, as the SDK finds it before a call."""
    return turn_preparation.get_model(agency.agents[name], run_config or RunConfig())


class Listener:
    """A run that keeps what it hears. on_event is called with every event as it comes.

    `questions` and `calls` are all model calls, by agent; `answers` and `broken` how they ended.
    """

    def __init__(self, live: bool = False, on_event: Callable[[ResponseStreamEvent], None] | None = None) -> None:
        self.meter, self.live = Meter(), live
        self.resolve: Any = None
        self.questions: list[tuple[str, ModelRequest]] = []
        self.events: list[ResponseStreamEvent] = []
        self.answers: list[tuple[list[Any], bool]] = []
        self.broken: list[BaseException] = []
        self._on_event = on_event

    @property
    def calls(self) -> list[str]:
        return [agent for agent, _ in self.questions]

    def adjust(self, agent: str, question: ModelRequest) -> ModelRequest:
        self.questions.append((agent, question))
        return question

    recorded = None
    is_outside_tools = True
    longest_silence = 120.0
    linked_content = None
    new_links = ()

    @asynccontextmanager
    async def model_call(self, agent: str, question: ModelRequest) -> AsyncIterator["Listener"]:
        try:
            yield self
        except BaseException as error:
            self.broken.append(error)
            raise

    async def reserve(self, model: Model, request: ModelRequest, *args: Any, **server_state: Any) -> ModelRequest:
        return request

    def record_event(self, event: ResponseStreamEvent) -> None:
        self.events.append(event)
        if self._on_event:
            self._on_event(event)

    async def record_answer(self, answered: ModelAnswer) -> ModelAnswer:
        self.answers.append(([*answered.response.output], answered.complete))
        return answered

    @property
    def deltas(self) -> list[str]:
        """The pieces of text that were heard."""
        return [event.delta for event in self.events if event.type == "response.output_text.delta"]


def unlimited() -> Listener:
    """A run that may call models as often as it likes."""
    run = Listener()
    run.meter.limits = Limits(model_calls=math.inf)
    return run


def attach(models: Models, agency: Agency, run: Listener, script: Any = None) -> None:
    """Have a run hear every model call of an agency."""
    run.resolve = models.resolver(script)
    models.attach(agency, run)


def ask(
    models: Models,
    agency: Agency,
    message: str = "Order paper",
    script: Any = None,
    *,
    live: bool = False,
    run: Listener | None = None,
) -> tuple[Any, Meter]:
    """One run on a loop of its own: (final output, what it used). live: heard event by event."""
    run = run or Listener(live)
    attach(models, agency, run, script)

    async def final_output() -> Any:
        return (await agency.get_response(message)).final_output

    return closing(models, final_output), run.meter


ask_streamed = partial(ask, live=True)


def closing[T](models: Models, run: Callable[[], Awaitable[T]]) -> T:
    """A loop for one test; the client's sockets belong to it, so they are closed on it."""

    async def whole() -> T:
        try:
            return await run()
        finally:
            await models.aclose()

    return asyncio.run(whole())
