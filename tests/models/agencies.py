"""Small agencies and the ways to run them, for the tests of this folder."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agency_swarm import Agency, Agent, BaseTool, function_tool
from agents import ItemHelpers
from pydantic import Field, SecretStr

from handler.models import Meter, Models
from handler.settings import Settings


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
    return Settings(_env_file=None, openai_api_key=secret, openai_base_url=base_url, store="sqlite:///:memory:", **more)


def offline() -> Models:
    return Models(settings(key=None))


def ask(models: Models, agency: Agency, message: str = "Order paper", script: Any = None) -> tuple[str, Meter]:
    """One buffered run on a loop of its own: (final text, what it used)."""
    meter = Meter()
    models.attach(agency, meter, script)

    async def run() -> Any:
        return (await agency.get_response(message)).final_output

    return closing(models, run), meter


def ask_streamed(
    models: Models, agency: Agency, message: str = "Order paper", script: Any = None
) -> tuple[list[Any], Meter]:
    """One streamed run on a loop of its own: (every event, what it used)."""
    meter = Meter()
    models.attach(agency, meter, script)

    async def run() -> list[Any]:
        return [event async for event in agency.get_response_stream(message)]

    return closing(models, run), meter


def closing[T](models: Models, run: Callable[[], Awaitable[T]]) -> T:
    """A loop for one test; the client's sockets belong to it, so they are closed on it."""

    async def whole() -> T:
        try:
            return await run()
        finally:
            await models.aclose()

    return asyncio.run(whole())


def final_text(events: list[Any]) -> str:
    """The last message that the events of a stream complete."""
    items = [event.item for event in events if getattr(event, "name", "") == "message_output_created"]
    return ItemHelpers.text_message_output(items[-1])
