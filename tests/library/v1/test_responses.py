"""/v1/responses, whole answers: what is asked reaches the model, what is said comes back, what is refused is named."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool
from openai.types.responses import Response

from tests.library.conftest import Service
from tests.library.model_server import Failure, ModelServer, call

Start = Callable[..., Service]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
ASK = {"model": "letters", "input": "Client Nordwind asks about a date."}


def one(**options: Any) -> Callable[[], Agency]:
    return lambda: Agency(Agent(**{"name": "One", "instructions": "You are One.", "model": "one", **options}))


@pytest.fixture
def asked(start: Start, monkeypatch: pytest.MonkeyPatch) -> Any:
    """asked(answers, agency=..., api=...) -> (service, the requests that the model server gets)"""
    servers = []

    def with_model(answers: Any, agency: Any = None, api: str = "responses", **settings: str) -> Any:
        monkeypatch.setattr("agencies.AGENCIES", {"letters": agency or one()})
        server = ModelServer(answers)
        servers.append(server)
        server.__enter__()
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, MODEL_API=api, **settings)
        return service, server.requests

    yield with_model
    for server in servers:
        server.__exit__(None, None, None)


def text(response: Any) -> str:
    return Response.model_validate(response).output_text


def test_an_agency_answers(service: Service) -> None:
    response = service.respond("Client Nordwind asks about a date.", metadata={"case": "7"}, user="u")
    assert "Dear Nordwind" in text(response)
    assert response["status"] == "completed"
    assert response["metadata"] == {"case": "7"}
    assert response["model"] == "letters"
    assert response["usage"]["model_calls"] == 15
    assert response["usage"]["total_tokens"] == sum(response["usage"][f"{way}_tokens"] for way in ("input", "output"))
    assert len({item["id"] for item in response["output"]}) == len(response["output"])
    assert {item["status"] for item in response["output"]} == {"completed"}
    assert service.get(f"/v1/responses/{response['id']}") == (200, response)


def test_one_agent_is_addressed(service: Service) -> None:
    response = service.respond("List the tasks.", model="letters/Registrar")
    assert response["output"][-1]["agent"] == "Registrar"


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_what_the_client_asks_for_reaches_the_entry_agent(asked: Any, api: str) -> None:
    service, requests = asked(["done"], api=api)
    service.respond(
        "hello",
        instructions="Speak German.",
        temperature=0.3,
        top_p=0.9,
        max_output_tokens=500,
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        parallel_tool_calls=False,
        prompt_cache_key="key",
        safety_identifier="who",
    )
    sent = requests[0].body
    assert (sent["temperature"], sent["top_p"], sent["parallel_tool_calls"]) == (0.3, 0.9, False)
    assert (sent["prompt_cache_key"], sent["safety_identifier"]) == ("key", "who")
    if api == "responses":
        assert sent["instructions"] == "You are One.\n\nSpeak German."
        assert sent["max_output_tokens"] == 500
        assert sent["reasoning"] == {"effort": "low"}
        assert sent["text"]["format"]["schema"] == {"type": "object"}
        assert sent["text"]["verbosity"] == "low"
        assert sent["tool_choice"] == {"type": "function", "name": "get_weather"}
        assert sent["tools"][0]["parameters"] == WEATHER["parameters"]
    else:
        assert sent["messages"][0]["content"] == "You are One.\n\nSpeak German."
        assert sent["max_tokens"] == 500
        assert sent["reasoning_effort"] == "low"
        assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
        assert sent["tool_choice"]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_json_object_is_asked_for(asked: Any, api: str) -> None:
    service, requests = asked(["{}"], api=api)
    service.respond("hello", text={"format": {"type": "json_object"}, "verbosity": "low"})
    sent = requests[0].body
    wanted = sent["text"]["format"] if api == "responses" else sent["response_format"]
    assert wanted == {"type": "json_object"}
    assert (sent["text"]["verbosity"] if api == "responses" else sent["verbosity"]) == "low"


def test_instructions_and_settings_are_of_this_run_and_of_this_agent(asked: Any) -> None:
    def desk() -> Agency:
        chief = Agent(name="Chief", instructions="You are Chief.", model="one")
        clerk = Agent(name="Clerk", instructions="You are Clerk.", model="one")
        return Agency(chief, communication_flows=[chief > clerk])

    told = call("send_message", recipient_agent="Clerk", message="do it", additional_instructions="")
    service, requests = asked([told, "done", "all done", "again"], desk)
    first = service.respond("hello", instructions="Speak German.", temperature=0.3)
    chief, clerk, again = (request.body for request in requests)
    assert "German" in chief["instructions"]
    assert "German" in again["instructions"]
    assert "German" not in clerk["instructions"]
    assert "temperature" not in clerk
    service.respond("hello", previous_response_id=first["id"])
    assert "German" not in requests[-1].body["instructions"]
    assert "temperature" not in requests[-1].body


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_items_of_every_kind_reach_the_model(asked: Any, api: str) -> None:
    service, requests = asked(["done"], api=api)
    pixel = "data:image/png;base64," + base64.b64encode(b"no image").decode()
    service.respond(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}", "id": "fc_x"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "It is sunny."}], "id": "msg_x"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "And this?"},
                    {"type": "input_image", "image_url": pixel},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                ],
            },
        ]
    )
    sent = json.dumps(requests[0].body)
    for said in ("Be brief.", "Weather?", "c1", "sunny", "It is sunny.", "And this?", pixel, "a.pdf"):
        assert said in sent, said
    assert "rs_1" not in sent
    assert "msg_x" not in sent


def test_a_client_function_ends_the_run_and_its_output_goes_on(service: Service) -> None:
    first = service.respond("Weather for Nordwind?", tools=[WEATHER])
    called = first["output"][-1]
    assert (called["type"], called["name"], first["status"]) == ("function_call", "get_weather", "completed")
    assert json.loads(called["arguments"]) == {"location": "Weather for Nordwind?"}
    output = {"type": "function_call_output", "call_id": called["call_id"], "output": "sunny"}
    second = service.respond([output], previous_response_id=first["id"], tools=[WEATHER])
    assert "get_weather answered: sunny" in text(second)


def test_the_model_sees_the_output_where_its_call_was(asked: Any) -> None:
    @function_tool
    def own() -> str:
        """Its own."""
        return "own output"

    both = [*call("get_weather", location="Ulm"), *call("own")]
    service, requests = asked([both, "done"], one(tools=[own]))
    first = service.respond("go", tools=[WEATHER])
    assert [item["type"] for item in first["output"]] == ["function_call", "reasoning"]
    given = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "sunny"}
    service.respond([given], previous_response_id=first["id"])
    outputs = [item["output"] for item in requests[1].body["input"] if item["type"] == "function_call_output"]
    assert sorted(outputs) == ["own output", "sunny"]


def test_an_output_without_its_call_and_a_call_without_its_output_are_refused(service: Service) -> None:
    first = service.respond("Weather?", tools=[WEATHER])
    for given, param in (
        ([{"type": "function_call_output", "call_id": "nobody", "output": "x"}], "input[0].call_id"),
        ("Something else", "input"),
    ):
        status, body = service.post("/v1/responses", {**ASK, "input": given, "previous_response_id": first["id"]})
        assert (status, body["error"]["param"]) == (400, param)


def test_an_older_response_branches(service: Service) -> None:
    root = service.respond("one")
    used = {}
    for name in ("left", "right"):
        used[name] = service.respond("two", previous_response_id=root["id"])
    longer = service.respond("three", previous_response_id=used["left"]["id"])
    assert used["left"]["usage"]["input_tokens"] == used["right"]["usage"]["input_tokens"]
    beside = service.respond("three", previous_response_id=used["right"]["id"])
    assert beside["usage"]["input_tokens"] == longer["usage"]["input_tokens"]
    again = service.respond("two", previous_response_id=root["id"])
    assert again["usage"]["input_tokens"] == used["left"]["usage"]["input_tokens"]


def test_a_branch_sees_what_was_said_up_to_it_and_nothing_else(asked: Any) -> None:
    service, requests = asked(lambda request: "ok")

    def say(what: str, previous: Any = None) -> Any:
        response = service.respond(what, previous_response_id=previous and previous["id"])
        heard = [item["content"] for item in requests[-1].body["input"] if item.get("role") == "user"]
        return response, heard

    a, heard = say("a")
    assert heard == ["a"]
    b, heard = say("b", a)
    assert heard == ["a", "b"]
    c, heard = say("c", a)
    assert heard == ["a", "c"]
    _, heard = say("d", b)
    assert heard == ["a", "b", "d"]
    e, heard = say("e", c)
    assert heard == ["a", "c", "e"]
    _, heard = say("f", c)
    assert heard == ["a", "c", "f"]
    _, heard = say("g", e)
    assert heard == ["a", "c", "e", "g"]


def test_a_response_that_is_not_stored_is_not_there(service: Service) -> None:
    response = service.respond("hello", store=False)
    assert response["store"] is False
    status, body = service.get(f"/v1/responses/{response['id']}")
    assert (status, body["error"]["code"]) == (404, "not_found")
    status, body = service.post("/v1/responses", {**ASK, "previous_response_id": response["id"]})
    assert (status, body["error"]["code"]) == (404, "previous_response_not_found")


def test_a_deleted_response_is_gone(service: Service) -> None:
    response = service.respond("hello", stream=True)[-1]["response"]
    path = f"/v1/responses/{response['id']}"
    assert service.delete(path) == (200, {"id": response["id"], "object": "response", "deleted": True})
    for answer in (service.get(path), service.get(f"{path}/input_items"), service.delete(path)):
        assert answer[0] == 404


def test_input_items_are_pages(service: Service) -> None:
    given = [{"role": "user", "content": f"message {number}"} for number in range(5)]
    path = f"/v1/responses/{service.respond(given)['id']}/input_items"
    _, newest = service.get(path)
    assert [item["content"][0]["text"][-1] for item in newest["data"]] == ["4", "3", "2", "1", "0"]
    assert newest["has_more"] is False
    event_path = f"{path}?order=asc&limit=2&after={newest['data'][3]['id']}"
    _, some = service.get(event_path)
    assert [item["content"][0]["text"][-1] for item in some["data"]] == ["2", "3"]
    assert (some["has_more"], some["last_id"]) == (True, newest["data"][1]["id"])
    assert service.get(f"{path}?after=nobody")[1]["error"]["param"] == "after"
    assert service.get(f"{path}?limit=0")[0] == 400


BLANK = {"type": "input_text", "text": "\n "}
CUT = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}", "status": "incomplete"}
EMPTY: list[list[Any]] = [
    [{"role": "user", "content": " "}],
    [{"role": "user", "content": ""}, {"role": "developer", "content": "\t"}],
    [{"role": "user", "content": []}],
    [{"role": "user", "content": [BLANK, BLANK]}],
    [{"role": "assistant", "content": ""}],
    [{"role": "assistant", "content": [{"type": "refusal", "refusal": " "}]}],
    [{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}],
    [{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "user", "content": " "}],
    [CUT],
    [{"type": "image_generation_call", "id": "ig_1", "result": "AAAA", "status": "completed"}],
]
REFUSED = [
    ({"background": True, "store": False}, "invalid_request", "store"),
    ({"background": "yes"}, "invalid_request", "background"),
    ({"truncation": "some"}, "invalid_request", "truncation"),
    ({"top_logprobs": 3}, "unsupported_parameter", "top_logprobs"),
    ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter", "prompt"),
    ({"client_config": {"base_url": "http://evil"}}, "unsupported_parameter", "client_config"),
    ({"reasoning": {"depth": 3}}, "unsupported_parameter", "reasoning.depth"),
    ({"tools": [{"type": "web_search"}]}, "unsupported_parameter", "tools[0].type"),
    ({"tools": [{"type": "function", "name": "a b"}]}, "invalid_request", "tools[0].name"),
    ({"tools": [{**WEATHER, "name": "send_message"}]}, "invalid_request", "tools[0].name"),
    ({"tools": [WEATHER, WEATHER]}, "invalid_request", "tools[1].name"),
    ({"tool_choice": {"type": "function", "name": "nobody"}}, "invalid_request", "tool_choice"),
    ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "invalid_request", "previous_response_id"),
    ({"conversation": "conv_1", "store": False}, "invalid_request", "store"),
    ({"max_output_tokens": 1}, "invalid_request", "max_output_tokens"),
    ({"temperature": 3}, "invalid_request", "temperature"),
    ({"metadata": {"a": 1}}, "invalid_request", "metadata.a"),
    ({"model": "nobody"}, "model_not_found", "model"),
    ({"model": "letters/Nobody"}, "model_not_found", "model"),
    ({"input": []}, "invalid_request", "input"),
    ({"input": " "}, "invalid_request", "input"),
    *(({"input": given}, "invalid_request", "input") for given in EMPTY),
    ({"input": ["x"]}, "invalid_request", "input[0]"),
    ({"input": [{"type": "item_reference", "id": "msg_x"}]}, "not_found", "input[0].id"),
    ({"input": [{"type": "computer_call", "id": "x"}]}, "unsupported_parameter", "input[0].type"),
    ({"temperature": float("nan")}, "invalid_request", "temperature"),
    ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "unsupported_parameter", None),
    ({"input": [{"role": "robot", "content": "x"}]}, "invalid_request", "input[0].role"),
    ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "invalid_request", "input[0].encrypted_content"),
    ({"previous_response_id": "resp_nobody"}, "previous_response_not_found", "previous_response_id"),
    ({"previous_response_id": "../../x"}, "previous_response_not_found", "previous_response_id"),
    ({"conversation": "conv_nobody"}, "not_found", "conversation"),
]


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_is_not_supported_is_refused_by_name(service: Service, fields: Any, code: str, param: str | None) -> None:
    status, body = service.post("/v1/responses", {**ASK, **fields})
    assert status in (400, 404)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["code"] == code, body
    if param:
        assert body["error"]["param"] == param, body
    assert "model_calls" not in service.report.fields


@pytest.mark.parametrize("stream", [False, True])
def test_empty_input_is_refused_in_a_thread_that_has_items_too(service: Service, stream: bool) -> None:
    before = service.respond("hello")
    asked = {**ASK, "input": EMPTY[0], "previous_response_id": before["id"], "stream": stream}
    status, body = service.post("/v1/responses", asked)
    assert (status, body["error"]["param"]) == (400, "input")
    assert "must not be empty" in body["error"]["message"]


@pytest.mark.parametrize(("missing", "body"), [("model", {"input": "x"}), ("input", {"model": "letters"})])
def test_what_is_missing_is_named(service: Service, missing: str, body: Any) -> None:
    status, answer = service.post("/v1/responses", body)
    assert (status, answer["error"]["param"]) == (400, missing)
    assert answer["error"]["code"] == "missing_required_parameter"


def test_what_is_nested_without_end_is_refused(service: Service) -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    assert service.post("/v1/responses", {**ASK, "input": [deep]})[0] == 400


@pytest.mark.parametrize("stream", [False, True])
def test_at_the_limit_of_tokens_a_response_is_incomplete(service: Service, stream: bool) -> None:
    response = service.respond("hello", max_output_tokens=16, stream=stream)
    if stream:
        assert response[-1]["type"] == "response.incomplete"
        response = response[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert service.respond("go on", previous_response_id=response["id"])["status"] == "completed"


def test_an_answer_that_the_provider_cut_is_incomplete_and_remembered(asked: Any) -> None:
    service, requests = asked(lambda request: "a long answer that goes on and on and on and on", None)
    whole = service.respond("hello", max_output_tokens=5000)
    assert whole["status"] == "completed"
    assert requests[0].body["max_output_tokens"] == 5000


def test_the_services_own_limit_of_tokens_holds(asked: Any) -> None:
    @function_tool
    def again() -> str:
        """Again."""
        return "again"

    service, requests = asked(lambda request: call("again"), one(tools=[again]), MAX_OUTPUT_TOKENS="40")
    response = service.respond("hello")
    assert response["status"] == "incomplete"
    assert 1 < len(requests) < 50


def test_the_limit_of_model_calls_is_a_setting(asked: Any) -> None:
    @function_tool
    def again() -> str:
        """Again."""
        return "again"

    service, requests = asked(lambda request: call("again"), one(tools=[again]), MAX_MODEL_CALLS="3")
    status, body = service.post("/v1/responses", ASK)
    assert (status, body["error"]["code"]) == (400, "run_limit_exceeded")
    assert len(requests) == 3


def test_tools_are_not_called_behind_the_clients_limit(asked: Any) -> None:
    made = []

    @function_tool
    def count() -> str:
        """Counts."""
        made.append(1)
        return "counted"

    service, requests = asked([call("count") * 3, "done"], one(tools=[count]))
    assert text(service.respond("hello", max_tool_calls=2)) == "done"
    assert len(made) == 2
    outputs = [item["output"] for item in requests[1].body["input"] if item["type"] == "function_call_output"]
    assert sum("max_tool_calls" in output for output in outputs) == 1


def test_a_failed_run_is_kept_as_failed(asked: Any) -> None:
    service, _ = asked(lambda request: Failure(500))
    events = service.respond("hello", stream=True)
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.failed"]
    failed = events[-1]["response"]
    assert failed["error"]["detail_code"] == "upstream_failed"
    assert service.get(f"/v1/responses/{failed['id']}") == (200, failed)
    status, body = service.post("/v1/responses", {**ASK, "previous_response_id": failed["id"]})
    assert (status, body["error"]["param"]) == (400, "previous_response_id")


def test_models_are_the_agencies_and_their_agents(service: Service) -> None:
    assert service.get("/v1/models/letters/Registrar")[1]["id"] == "letters/Registrar"
    _, models = service.get("/v1/models")  # by now its agents are known, as they are after `make run`'s check
    names = [model["id"] for model in models["data"]]
    assert names[0] == "letters"
    assert "letters/Registrar" in names
    for name in names:
        assert service.get(f"/v1/models/{name}")[1]["id"] == name
    assert service.get("/v1/models/gpt-5")[1]["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_compaction_stands_for_what_was_said(asked: Any, api: str) -> None:
    service, requests = asked(lambda request: "They agreed on Tuesday.", api=api)
    said = [
        item
        for number in range(6)
        for item in (
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number}"},
        )
    ]
    status, compacted = service.post("/v1/responses/compact", {"model": "letters", "input": said})
    assert (status, compacted["object"]) == (200, "response.compaction")
    assert compacted["usage"]["total_tokens"] > 0
    asked_for = json.dumps(requests[0].body)
    assert "user: question 0" in asked_for
    assert "question 4" not in asked_for  # the last two are kept word for word
    service.respond([*compacted["output"], {"role": "user", "content": "and now?"}])
    sent = json.dumps(requests[1].body)
    for told in ("They agreed on Tuesday.", "question 4", "answer 4", "question 5", "answer 5", "and now?"):
        assert told in sent
    assert "question 0" not in sent


def test_a_stored_response_can_be_compacted_offline(service: Service) -> None:
    first = service.respond("Client Nordwind asks about a date.")
    for word in ("one", "two", "three"):
        first = service.respond(word, previous_response_id=first["id"])
    body = {"model": "letters", "previous_response_id": first["id"]}
    _, compacted = service.post("/v1/responses/compact", body)
    assert compacted["output"][0]["type"] == "compaction"
    assert text(service.respond([*compacted["output"], {"role": "user", "content": "go on"}]))
    assert service.post("/v1/responses/compact", {"model": "letters"})[1]["error"]["param"] == "input"


def test_an_item_is_sent_back_by_its_id(asked: Any) -> None:
    service, requests = asked(["It is sunny.", "fine"])
    said = service.respond("Weather?")["output"][-1]
    service.respond([{"type": "item_reference", "id": said["id"]}, {"role": "user", "content": "And now?"}])
    assert "It is sunny." in json.dumps(requests[1].body)
