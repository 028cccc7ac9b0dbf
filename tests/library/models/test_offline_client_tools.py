"""Functions that the client declared: called first, once for one message, out of the script's sight."""

import asyncio
import json

import pytest
from agents import AgentOutputSchema, ModelSettings
from letters.offline import SCRIPT
from openai.types.responses import FunctionTool as DeclaredTool
from pydantic import BaseModel

from agency_lambda.framework.client_tools import ClientTool
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.models.agencies import read_task, single
from tests.library.models.test_events import request, tool

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TIME, WEATHER = "get_time", "get_weather"


class Letter(BaseModel):
    lines: list[str]


def declared(name, parameters=CITY):
    return ClientTool(DeclaredTool(type="function", name=name, parameters=parameters, strict=False))


def answer(items, script=None, tools=(WEATHER, TIME), own=("add",), **more):
    """The output of one model call; the agent's own tools stand before the client's."""
    given = [*map(tool, own), *map(declared, tools)]
    settings = ModelSettings(**{key: more.pop(key) for key in ("tool_choice", "parallel_tool_calls") if key in more})
    asked = request(input=items, tools=given, model_settings=settings, **more)
    return asyncio.run(OfflineModel("Solo", script).get_response(**asked)).output


def calls(output):
    return [(item.name, json.loads(item.arguments)) for item in output if item.type == "function_call"]


def text(output):
    return output[-1].content[0].text


def answered(*names, outputs=None, message="Riga"):
    """A conversation in which these functions were called for the message."""
    items = [{"role": "user", "content": message}]
    for name in names:
        output = (outputs or {}).get(name, f"{name}'s output")
        items.append({"type": "function_call", "call_id": f"call_{name}", "name": name, "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": f"call_{name}", "output": output})
    return items


def never(turn):
    raise AssertionError("the script is asked before the client's functions are called")


@pytest.mark.parametrize("script", [None, never])
def test_all_are_called_at_once_and_before_everything_else(script):
    output = answer("Riga", script)
    assert calls(output) == [(WEATHER, {"city": "Riga"}), (TIME, {"city": "Riga"})]
    assert len(output) == len({item.call_id for item in output}) == 2


def test_one_by_one_where_parallel_calls_are_forbidden():
    assert calls(answer("Riga", parallel_tool_calls=False)) == [(WEATHER, {"city": "Riga"})]
    assert calls(answer(answered(WEATHER), parallel_tool_calls=False)) == [(TIME, {"city": "Riga"})]
    assert calls(answer(answered(WEATHER, TIME), parallel_tool_calls=False)) == [("add", {})]


def test_a_generic_agent_goes_on_with_its_own_tools_and_says_what_all_answered():
    output = answer(answered(WEATHER, TIME, "add"))
    assert text(output) == (
        "[offline model] Solo was asked: Riga\nadd answered: add's output\n\n"
        "get_weather answered: get_weather's output\nget_time answered: get_time's output"
    )


def test_a_script_sees_neither_the_functions_nor_their_calls():
    seen = []

    def script(turn):
        seen.append((turn.calls, list(turn.tools)))
        return "offline model: done" if turn.calls else [("add", {})]

    assert calls(answer(answered(WEATHER, TIME), script)) == [("add", {})]
    output = answer(answered(WEATHER, "add", TIME), script)
    assert [(len(made), tools) for made, tools in seen] == [(0, ["add"]), (1, ["add"])]
    assert text(output).splitlines() == [
        "offline model: done",
        "",
        "get_weather answered: get_weather's output",
        "get_time answered: get_time's output",
    ]


def test_they_are_the_clients_also_when_it_does_not_declare_them_again():
    output = answer(answered(WEATHER), lambda turn: f"offline model: {len(turn.calls)} calls", tools=())
    assert text(output) == "offline model: 0 calls\n\nget_weather answered: get_weather's output"


def test_a_script_works_as_if_they_were_not_there():
    script, message = SCRIPT["Registrar"], "Client Nordwind wants a contract."
    alone = answer(message, script, tools=(), own=("list_tasks",))
    assert calls(answer(answered(WEATHER, TIME, message=message), script, own=("list_tasks",))) == calls(alone)
    listed = answered("list_tasks", outputs={"list_tasks": "no tasks"}, message=message)
    both = answered(WEATHER, TIME, "list_tasks", outputs={"list_tasks": "no tasks"}, message=message)
    alone = answer(listed, script, tools=(), own=("list_tasks",))
    assert text(answer(both, script, own=("list_tasks",))).startswith(f"{text(alone)}\n\nget_weather answered: ")


def test_outputs_may_be_parts_and_long_ones_are_clipped():
    parts = [{"type": "input_text", "text": "sunny"}, {"type": "input_image", "image_url": "x"}]
    image = [{"type": "input_image", "image_url": "x"}]
    names = (WEATHER, TIME, "chart")
    output = answer(answered(*names, outputs={WEATHER: parts, TIME: "x" * 900, "chart": image}), own=())
    assert text(output).splitlines()[-3:] == [
        "get_weather answered: sunny",
        f"get_time answered: {'x' * 400}...",
        "chart answered: (no text)",
    ]


@pytest.mark.parametrize("own", [(), ("add",)])
def test_json_stays_json(own):
    output = answer(answered(WEATHER, TIME, *own), own=own, output_schema=AgentOutputSchema(Letter))
    assert Letter.model_validate_json(text(output)).lines == ["[offline model] Riga"]


def test_calls_for_earlier_messages_do_not_count():
    items = [*answered(WEATHER, TIME), {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Oslo"}]
    assert calls(answer(items)) == [(WEATHER, {"city": "Oslo"}), (TIME, {"city": "Oslo"})]


def test_forbidden_tools_are_not_called_but_their_answers_stay():
    assert text(answer("Riga", tool_choice="none")) == "[offline model] Solo was asked: Riga"
    said = text(answer(answered(WEATHER), lambda turn: f"offline model {turn.tools}", tool_choice="none"))
    assert said == "offline model {}\n\nget_weather answered: get_weather's output"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"properties": []},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 10**12}}, "required": ["a"]},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": "long"}}, "required": ["a"]},
    ],
)
def test_a_schema_that_makes_no_sense_is_called_with_nothing(schema):
    asked = request(tools=[declared("odd", schema)])
    assert calls(asyncio.run(OfflineModel("Solo").get_response(**asked)).output) == [("odd", {})]


def test_without_a_text_the_arguments_say_so():
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]
    assert calls(answer(items, tools=(WEATHER,))) == [(WEATHER, {"city": "(no text)"})]


def test_an_argument_named_like_a_colleague_is_an_argument():
    schema = {"type": "object", "properties": {"recipient_agent": {"enum": ["Bob"]}}, "required": ["recipient_agent"]}
    asked = request(tools=[declared("mail", schema)])
    output = asyncio.run(OfflineModel("Solo").get_response(**asked)).output
    assert calls(output) == [("mail", {"recipient_agent": "Bob"})]
    items = answered("mail")
    items[1]["arguments"] = '{"recipient_agent": "Bob"}'
    assert text(answer(items, tools=("mail",), own=())).endswith("\nmail answered: mail's output")


def test_a_run_ends_with_the_calls_and_goes_on_with_their_outputs():
    def solo():
        stop = {"stop_at_tool_names": [WEATHER, TIME]}
        tools = [declared(WEATHER), declared(TIME), read_task]
        return single(model=OfflineModel("Solo"), tools=tools, tool_use_behavior=stop)

    async def both_runs():
        first = (await solo().get_response("Riga")).to_input_list()
        made = [item for item in first if item["type"] == "function_call"]
        outputs = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": f"{item['name']}: fine"}
            for item in made
        ]
        kept = [item for item in first if item["type"] != "function_call_output"]
        return made, (await solo().get_response([*kept, *outputs])).final_output

    made, final = asyncio.run(both_runs())
    assert [item["name"] for item in made] == [WEATHER, TIME]
    assert final.splitlines() == [
        "[offline model] Solo was asked: Riga",
        "read_task answered: task 1: details",
        "",
        "get_weather answered: get_weather: fine",
        "get_time answered: get_time: fine",
    ]
