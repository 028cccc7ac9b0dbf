"""What a client asks for holds for the agent that it addresses, as that agent speaks with the user."""

import pytest
from agency_swarm import Agency, Agent
from agents import ModelSettings

from tests.library.model_server import ModelServer, call, scripts
from tests.library.models.agencies import office, read_task, settings
from tests.library.models.test_offline_script import ANSWER, SCRIPT
from tests.library.runs.stage import play

APIS = pytest.mark.parametrize("api", ["responses", "chat"])
LIVE = pytest.mark.parametrize("stream", [True, False])
WISHES = {"instructions": "Be brief.", "temperature": 0.3, "top_p": 0.9, "user": "someone"}
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"], "additionalProperties": False}


def solo(**more):
    return Agency(Agent(name="Solo", instructions="You are Solo.", **more))


def asked_by(server, agent):
    return [request for request in server.requests if f"You are {agent}" in request.instructions]


@LIVE
@APIS
def test_wishes_hold_for_the_agent_that_is_addressed_and_not_for_its_colleagues(api, stream):
    with ModelServer(scripts(SCRIPT)) as server:
        shown = play(office, settings(server.base_url, model_api=api), stream=stream, **WISHES)
        manager, planner, writer = (asked_by(server, name) for name in ("Manager", "Planner", "Writer"))
    assert shown.words == [ANSWER]
    assert (len(manager), len(planner), len(writer)) == (3, 3, 2)
    for request in manager:
        assert request.instructions.endswith("\n\nBe brief.")
        assert {name: request.body.get(name) for name in ("temperature", "top_p", "user")} == {
            **{"temperature": 0.3, "top_p": 0.9, "user": "someone"}
        }
    for request in (*planner, *writer):
        assert "Be brief." not in request.instructions
        assert request.body.get("user") is None
        assert request.body.get("temperature") != 0.3


def test_another_agent_may_be_addressed():
    def entries():
        manager, writer = (Agent(name=name, instructions=f"You are {name}.") for name in ("Manager", "Writer"))
        return Agency(manager, writer)

    with ModelServer(["hello"]) as server:
        play(entries, settings(server.base_url), model="desk/Writer", **WISHES)
        (request,) = server.requests
    assert request.instructions == "You are Writer.\n\nBe brief."


def test_an_agents_own_settings_stay_where_the_client_has_no_wish():
    own = ModelSettings(temperature=0.7, top_p=0.5)
    with ModelServer(["hello"]) as server:
        play(lambda: solo(model_settings=own), settings(server.base_url), top_p=0.9)
        body = server.requests[0].body
    assert (body["temperature"], body["top_p"]) == (0.7, 0.9)


@APIS
def test_a_choice_of_tools_holds_for_one_call(api):
    with ModelServer([call("read_task", number=1), "done"]) as server:
        play(lambda: solo(tools=[read_task]), settings(server.base_url, model_api=api), tool_choice="required")
        first, second = (request.body.get("tool_choice") for request in server.requests)
    assert first == "required"
    assert second != "required"


@APIS
def test_a_function_may_be_chosen_by_name(api):
    chosen = {"type": "function", "name": "weather"}
    with ModelServer([call("weather")]) as server:
        play(solo, settings(server.base_url, model_api=api), tools=[WEATHER], tool_choice=chosen)
        told = server.requests[0].body["tool_choice"]
    assert told == (chosen if api == "responses" else {"type": "function", "function": {"name": "weather"}})


@LIVE
@APIS
def test_functions_are_offered_to_the_agent_that_is_addressed(api, stream):
    with ModelServer(scripts(SCRIPT)) as server:
        service = settings(server.base_url, model_api=api)
        shown = play(office, service, stream=stream, tools=[WEATHER])
        offered = {name: {"weather" in r.tools for r in asked_by(server, name)} for name in ("Manager", "Planner")}
    assert offered == {"Manager": {True}, "Planner": {False}}
    assert shown.words == [ANSWER]


@LIVE
@APIS
def test_a_call_of_a_function_comes_from_the_wire_to_the_client(api, stream):
    with ModelServer([call("weather", city="Riga")]) as server:
        shown = play(solo, settings(server.base_url, model_api=api), stream=stream, tools=[WEATHER])
    (item,) = shown.items
    assert (item["type"], item["name"], item["arguments"]) == ("function_call", "weather", '{"city": "Riga"}')
    assert item["status"] == "completed"


def test_as_a_colleague_the_same_agent_is_as_it_always_is():
    def boss(turn):
        if "from Aide" in turn.message:
            return "offline model: plain"
        ask = {"recipient_agent": "Aide", "message": "?", "additional_instructions": ""}
        return "offline model: end" if turn.calls else [("send_message", ask)]

    def aide(turn):
        ask = {"recipient_agent": "Boss", "message": "from Aide", "additional_instructions": ""}
        return "offline model: aye" if turn.calls else [("send_message", ask)]

    def desk():
        one, other = (Agent(name=name, instructions=f"You are {name}.") for name in ("Boss", "Aide"))
        return Agency(one, communication_flows=[one > other, other > one])

    with ModelServer(scripts({"Boss": boss, "Aide": aide})) as server:
        shown = play(desk, settings(server.base_url), tools=[WEATHER], **WISHES)
        asked = asked_by(server, "Boss")
    nested = [request for request in asked if "from Aide" in str(request.items)]
    assert len(asked) == 3
    assert len(nested) == 1
    assert "weather" not in nested[0].tools
    assert "Be brief." not in nested[0].instructions
    assert shown.words == ["offline model: end"]
    assert shown.activities == ["Boss asks Aide", "Aide asks Boss"]


@LIVE
@APIS
def test_a_schema_of_the_clients_goes_to_the_model_and_the_text_comes_back(api, stream):
    wanted = {"type": "json_schema", "name": "letter", "schema": SCHEMA, "strict": True}
    with ModelServer(['{"to":  "Riga"}']) as server:
        service = settings(server.base_url, model_api=api)
        shown = play(solo, service, stream=stream, text={"format": wanted})
        body = server.requests[0].body
    sent = body["text"]["format"] if api == "responses" else body["response_format"]["json_schema"]
    assert sent["schema"] == SCHEMA
    assert sent["strict"] is True
    assert shown.words == ['{"to":  "Riga"}']


@APIS
def test_a_json_object_without_a_schema(api):
    with ModelServer(["{}"]) as server:
        service = settings(server.base_url, model_api=api)
        shown = play(solo, service, text={"format": {"type": "json_object"}})
        body = server.requests[0].body
    assert (body["text"]["format"] if api == "responses" else body["response_format"]) == {"type": "json_object"}
    assert shown.words == ["{}"]


@APIS
def test_usage_is_of_all_agents(api):
    for stream in (True, False):
        with ModelServer(scripts(SCRIPT)) as server:
            shown = play(office, settings(server.base_url, model_api=api), stream=stream)
            usage = shown.response["usage"]
            assert (usage["input_tokens"], usage["output_tokens"]) == server.tokens
        assert usage["model_calls"] == 8
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["input_tokens_details"]["cached_tokens"] > 0
        assert usage["output_tokens_details"]["reasoning_tokens"] > 0
