"""The official Python client: functions that the client declares and runs itself."""

import json
from typing import Any

import openai
import pytest
from openai.types.responses import ParsedResponseFunctionToolCall, Response, ResponseFunctionToolCall
from pydantic import BaseModel

from tests.library.clients.server import MODEL


def tool(name: str, argument: str) -> Any:
    return {
        "type": "function",
        "name": name,
        "description": f"The {name.removeprefix('get_')} at a place now.",
        "parameters": {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]},
    }


WEATHER, TIME = tool("get_weather", "location"), tool("get_time", "zone")


class GetWeather(BaseModel):
    location: str
    days: int


def calls(response: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]


def answers(response: Response) -> list[Any]:
    return [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} says 21"}
        for call in calls(response)
    ]


def test_a_round_trip_by_previous_response(client: openai.OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="How is the weather?", tools=[WEATHER])
    [call] = calls(first)
    assert (call.name, call.status) == ("get_weather", "completed")
    assert set(json.loads(call.arguments)) == {"location"}
    assert first.output_text == ""
    final = client.responses.create(model=MODEL, input=answers(first), previous_response_id=first.id, tools=[WEATHER])
    assert calls(final) == []
    assert "get_weather answered: get_weather says 21" in final.output_text


@pytest.mark.parametrize("reasoning", [None, {"summary": "auto"}])
def test_a_round_trip_by_sending_everything_again(client: openai.OpenAI, reasoning: Any) -> None:
    said: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    for _ in range(2):
        made = client.responses.create(model=MODEL, input=said, tools=[WEATHER, TIME], store=False, reasoning=reasoning)
        assert [item.type for item in made.output].count("reasoning") >= (reasoning is not None)
        said += [*made.output, *answers(made)]
    assert "get_weather answered: get_weather says 21" in made.output_text
    assert "get_time answered: get_time says 21" in made.output_text
    said.append({"role": "user", "content": "Thank you."})  # the activities of the agents come back too
    assert client.responses.create(model=MODEL, input=said, store=False).output_text


def test_two_tools_at_once_or_one_by_one(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "input": "Weather and time?", "tools": [WEATHER, TIME]}
    assert len(calls(client.responses.create(**asked))) == 2
    first = client.responses.create(**asked, parallel_tool_calls=False)
    second = client.responses.create(
        **{**asked, "input": answers(first)}, previous_response_id=first.id, parallel_tool_calls=False
    )
    assert [call.name for call in (*calls(first), *calls(second))] == ["get_weather", "get_time"]


def test_half_of_the_outputs_are_refused(client: openai.OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="Weather and time?", tools=[WEATHER, TIME])
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input=answers(first)[:1], previous_response_id=first.id)
    assert calls(first)[1].call_id in str(refused.value)


def test_an_output_without_its_call_is_refused(client: openai.OpenAI) -> None:
    loose: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "21"}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input=loose)
    assert refused.value.param == "input[0].call_id"


def test_the_choice_of_tools(client: openai.OpenAI) -> None:
    def chosen(choice: Any) -> list[str]:
        made = client.responses.create(
            model=MODEL, input="Weather and time?", tools=[WEATHER, TIME], tool_choice=choice, store=False
        )
        return [call.name for call in calls(made)]

    assert chosen("none") == []
    assert chosen("required")
    assert chosen({"type": "function", "name": "get_time"}) == ["get_time"]


def test_typed_arguments(client: openai.OpenAI) -> None:
    made = client.responses.parse(
        model=MODEL, input="How is the weather?", tools=[openai.pydantic_function_tool(GetWeather)]
    )
    [call] = calls(made)
    assert isinstance(call, ParsedResponseFunctionToolCall)
    assert isinstance(call.parsed_arguments, GetWeather)


def test_streamed_arguments(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "input": "Weather and time?", "tools": [WEATHER, TIME]}
    with client.responses.stream(**asked) as stream:
        grown = {
            event.output_index: event.snapshot
            for event in stream
            if event.type == "response.function_call_arguments.delta"
        }
        final = stream.get_final_response()
    assert len(calls(final)) == 2
    assert list(grown.values()) == [call.arguments for call in calls(final)]


def test_a_tool_of_the_agent_cannot_be_declared_again(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="Hello.", tools=[tool("send_message", "message")])
    assert refused.value.param == "tools[0].name"
