"""What a request insists on is called once, by whatever agent is asked."""

import asyncio

import pytest
from agents import ModelSettings
from agents.model_settings import MCPToolChoice

from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.offline import FinishedCall, Turn, decide
from tests.library.models.agencies import read_task, single
from tests.library.models.test_offline_client_tools import TIME, WEATHER, answer, answered, calls, text

NUMBER = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOLS = {"add": NUMBER, "tell": {"type": "object"}}


def plan(choice, script=lambda turn: "offline model", turn=None):
    return decide("Solo", turn or Turn("hi", tools=TOOLS), script, tool_choice=choice)


def test_a_script_that_would_only_talk_calls_the_first_tool():
    assert plan("required") == [("add", {"number": 1})]


@pytest.mark.parametrize("choice", [None, "auto", "web_search", "add", "required"])
def test_a_call_that_was_made_is_enough(choice):
    made = Turn("hi", calls=[FinishedCall("add", {}, "3")], tools=TOOLS)
    assert plan(choice, turn=made) == "offline model"


def test_a_call_of_the_clients_function_is_enough():
    assert text(answer(answered(WEATHER, TIME), lambda turn: "offline model", tool_choice="required"))


def test_where_there_is_no_tool_none_can_be_required():
    assert plan("required", turn=Turn("hi")) == "offline model"


def test_a_named_tool_comes_before_the_scripts_calls():
    def script(turn):
        return [("add", {"number": 7})] if len(turn.calls) < 2 else "offline model"

    assert plan("tell", script) == [("tell", {})]
    assert plan("tell", script, Turn("hi", calls=[FinishedCall("tell", {}, "")], tools=TOOLS)) == [
        ("add", {"number": 7})
    ]


@pytest.mark.parametrize("choice", ["add", "required"])
def test_a_script_that_makes_the_demanded_call_chooses_the_arguments(choice):
    assert plan(choice, lambda turn: [("add", {"number": 7})]) == [("add", {"number": 7})]


def test_a_named_tool_comes_before_the_clients_functions():
    assert calls(answer("Riga", own=("add", "tell"), tool_choice="tell")) == [("tell", {})]
    after = calls(answer(answered("tell"), own=("add", "tell"), tool_choice="tell"))
    assert [name for name, _ in after] == [WEATHER, TIME]


def test_a_named_function_of_the_clients_comes_alone():
    assert calls(answer("Riga", tool_choice=TIME)) == [(TIME, {"city": "Riga"})]
    assert calls(answer(answered(TIME), tool_choice=TIME)) == [(WEATHER, {"city": "Riga"})]


def test_a_named_colleague_is_asked_the_message_as_far_as_colleagues_ask():
    schema = {"properties": {"recipient_agent": {"enum": ["Planner", "Writer"]}, "message": {"type": "string"}}}
    asked = {"recipient_agent": "Planner", "message": "hi\n[asked by Solo]"}
    assert plan("send_message", turn=Turn("hi", tools={"send_message": schema})) == [("send_message", asked)]
    far = Turn("hi\n[asked by A > B > C]", tools={"send_message": schema})
    assert plan("send_message", turn=far) == "offline model"


def test_a_choice_of_another_kind_is_passed_over():
    assert text(answer("Riga", tools=(), own=(), tool_choice=MCPToolChoice(server_label="a", name="b")))


@pytest.mark.parametrize("choice", ["required", "read_task"])
@pytest.mark.parametrize("reset", [True, False])
def test_a_run_comes_to_an_end(choice, reset):
    agency = single(
        model=OfflineModel("Solo", lambda turn: f"offline model, {len(turn.calls)} calls"),
        tools=[read_task],
        model_settings=ModelSettings(tool_choice=choice),
        reset_tool_choice=reset,
    )
    assert asyncio.run(agency.get_response("hi")).final_output == "offline model, 1 calls"
