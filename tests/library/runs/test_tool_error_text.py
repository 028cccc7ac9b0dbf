"""What a model is told of a tool that raised: the error's text, whichever version of the SDK is installed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from agency_swarm import Agency, Agent, BaseTool
from agency_swarm.tools import mcp_converter
from agents import FunctionTool, function_tool

from agency_lambda.framework import patches
from agency_lambda.framework.models.events import call_item, message_item
from tests.library.runs.stage import Plays, play

RAN = "An error occurred while running the tool. Please try again. Error: "


@function_tool
async def broken(count: int) -> str:
    """Fails."""
    raise ValueError(f"no disk {count}")


@function_tool(failure_error_function=lambda context, error: "It is broken.")
async def discreet(count: int) -> str:
    """Fails, and does not tell why."""
    raise ValueError("no disk")


class Brittle(BaseTool):  # type: ignore[misc]
    """Fails."""

    count: int

    def run(self) -> str:
        """Fail."""
        raise ValueError(f"no disk {self.count}")


def output_of(tool: Any, name: str, arguments: str) -> str:
    """Return the output that the model sees of one call."""
    seen: list[Any] = []

    class Calls(Plays):
        async def get_response(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(args[1])
            return await super().get_response(*args, **kwargs)

    def agency() -> Agency:
        model = Calls([call_item(name, arguments)], [message_item("offline model: ok")])
        return Agency(Agent(name="Solo", instructions=".", model=model, tools=[tool]))

    assert play(agency, stream=False).response["status"] == "completed"
    return str(seen[1][-1]["output"])


@pytest.mark.parametrize(
    ("tool", "name", "arguments", "expected"),
    [
        (broken, "broken", '{"count": 3}', f"{RAN}no disk 3"),
        (discreet, "discreet", '{"count": 3}', "It is broken."),
        (Brittle, "Brittle", '{"count": 3}', f"{RAN}no disk 3"),
        (broken, "broken", '{"count": "many"}', f"{RAN}Invalid JSON input for tool broken"),
        (
            broken,
            "broken",
            "{",
            f"{RAN}Invalid JSON input for tool broken",
        ),
    ],
)
def test_model_is_told_the_text_of_an_error(tool: Any, name: str, arguments: str, expected: str) -> None:
    assert output_of(tool, name, arguments).startswith(expected)


def test_model_is_told_the_text_of_an_error_of_an_mcp_tool() -> None:
    patches.install()

    async def fails(context: Any, arguments: str) -> str:
        raise ValueError("no disk")

    tool = mcp_converter._with_error_handling(FunctionTool("remote", "Fails.", {}, fails, strict_json_schema=False))
    context: Any = SimpleNamespace()
    assert asyncio.run(tool.on_invoke_tool(context, "{}")) == f"{RAN}no disk"
