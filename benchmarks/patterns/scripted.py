"""Agencies whose model says what a pattern needs, at once and without a network."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agency_swarm import Agency, Agent
from agents import Model, ModelResponse, Usage
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

Say = str | list[tuple[str, str]]  # a text, or calls: (tool, JSON arguments)


THINKING = 0.02  # seconds that the model takes


class Scripted(Model):
    """Says one thing after the other."""

    model = "scripted"

    def __init__(self, *says: Say) -> None:
        self._says = list(says)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        await asyncio.sleep(THINKING)
        return ModelResponse(output=_items(self._says.pop(0)), usage=Usage(requests=1), response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(THINKING)
        response = Response(
            id="resp_scripted",
            created_at=0,
            model=self.model,
            object="response",
            output=_items(self._says.pop(0)),
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(response=response, type="response.completed", sequence_number=0)


def _items(say: Say) -> list[Any]:
    if isinstance(say, str):
        text = ResponseOutputText(text=say, type="output_text", annotations=[])
        return [ResponseOutputMessage(id="msg", content=[text], role="assistant", status="completed", type="message")]
    return [
        ResponseFunctionToolCall(id=f"fc_{i}", call_id=f"call_{i}", name=name, arguments=args, type="function_call")
        for i, (name, args) in enumerate(say)
    ]


async def work(value: str = "done") -> str:
    """Do what legacy code wants to run: it needs the loop more than once."""
    await asyncio.sleep(0.001)
    await asyncio.gather(asyncio.sleep(0.001), asyncio.sleep(0.001))
    return value


def agent(name: str, *says: Say, **options: Any) -> Agent:
    """An agent that says what it is told to."""
    return Agent(name=name, instructions=options.pop("instructions", name), model=Scripted(*says), **options)


def one(*says: Say, **options: Any) -> Agency:
    """An agency of one agent."""
    return Agency(agent("One", *(says or ("done",)), **options))


def to(recipient: str, message: str = "please") -> tuple[str, str]:
    """A call of send_message."""
    return (
        "send_message",
        f'{{"recipient_agent": "{recipient}", "message": "{message}", "additional_instructions": ""}}',
    )


def chain() -> Agency:
    """The flow of the original report: five hops, the last back to an agent that has worked already."""
    manager = agent("Manager", [to("Registrar")], [to("Writer")], "done")
    registrar = agent("Registrar", "subtask 7", "details of 7", "stored in 7")
    writer = agent("Writer", [to("Registrar")], [to("Registrar")], "the letter")
    return Agency(manager, communication_flows=[manager > registrar, manager > writer, writer > registrar])


def using(tool: Any, **options: Any) -> Agency:
    """An agency whose agent calls the tool once and repeats its output, so that a swallowed error is seen."""
    name = getattr(tool, "name", None) or tool.__name__
    return Agency(agent("One", [(name, "{}")], "done", tools=[tool], **options))


async def answer(agency: Agency) -> str:
    """The agency's final word, and every tool output before it that is an error."""
    result = await agency.get_response("hello")
    outputs = [str(getattr(item, "output", "")) for item in result.new_items]
    return next((text for text in outputs if "rror" in text), str(result.final_output))
