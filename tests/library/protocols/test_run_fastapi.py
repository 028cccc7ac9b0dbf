"""The routes of Agency Swarm's `run_fastapi`: the same runs, in its shapes, through the allowlist."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.testing.events import http_event
from tests.library.conftest import QUESTION, Service
from tests.library.model_server import Failure, ModelServer
from tests.library.protocols.swarm_client import Swarm

Start = Callable[..., Service]
SECRETS = ("You are", "additional_instructions", "tasks\\\\\\", "parent_id", "Give me the details")


@pytest.fixture
def swarm(service: Service) -> Swarm:
    return Swarm(service)


def without_ids(messages: list[Any]) -> list[Any]:
    ids = ("id", "call_id", "agent_run_id", "parent_run_id", "response_id", "history_digest")
    names = (*ids, "timestamp", "content")
    return [{name: value for name, value in each.items() if name not in names} for each in messages]


def test_an_answer_has_the_shape_of_run_fastapi(swarm: Swarm) -> None:
    answer = swarm.ask(QUESTION)
    assert "Dear Nordwind" in answer["response"]
    assert swarm.run(answer)["status"] == "completed"
    first, *_, last = answer["new_messages"]
    assert (first["role"], first["content"], first["agent"], first["callerAgent"]) == (
        *("user", QUESTION, "Secretary"),
        None,
    )
    assert (last["role"], last["content"][0]["text"], last["agent"]) == ("assistant", answer["response"], "Secretary")
    assert {each["type"] for each in answer["new_messages"]} == {"message", "function_call", "function_call_output"}
    times = [each["timestamp"] for each in answer["new_messages"]]
    assert times == sorted({*times})
    assert abs(times[0] / 1e6 - time.time()) < 60
    assert answer["usage"]["request_count"] == 15
    assert answer["usage"]["total_tokens"] == answer["usage"]["input_tokens"] + answer["usage"]["output_tokens"]


def test_calls_say_who_acts_for_whom_and_nothing_else(swarm: Swarm) -> None:
    answer = swarm.ask(QUESTION)
    calls = {each["call_id"]: each for each in answer["new_messages"] if each["type"] == "function_call"}
    outputs = [each for each in answer["new_messages"] if each["type"] == "function_call_output"]
    assert {each["call_id"] for each in outputs} == {*calls}
    assert {each["output"] for each in outputs} == {""}
    assert {json.dumps(json.loads(each["arguments"])) for each in calls.values()} == {
        "{}",
        '{"recipient_agent": "Registrar"}',
        '{"recipient_agent": "Writer"}',
    }
    for each in calls.values():
        caller = calls.get(each.get("parent_run_id", ""))
        assert each["callerAgent"] == (caller and caller["agent"])
        assert caller is None or json.loads(caller["arguments"]) == {"recipient_agent": each["agent"]}
    assert {each["agent"] for each in calls.values()} == {"Secretary", "Writer", "Registrar"}


def test_a_stream_has_what_the_whole_answer_has(swarm: Swarm) -> None:
    whole, streamed = swarm.ask(QUESTION), swarm.stream(QUESTION.replace("Nordwind", "Berg"))
    messages = streamed.named["messages"]
    assert streamed.named["meta"] == {"run_id": messages["run_id"]}
    assert streamed.errors == []
    assert streamed.text == messages["new_messages"][-1]["content"][0]["text"]
    assert "Dear Berg" in streamed.text
    assert without_ids(messages["new_messages"]) == without_ids(whole["new_messages"])
    assert messages["usage"]["request_count"] == whole["usage"]["request_count"]
    done = [each["item"] for each in streamed.raw if each["type"] == "response.output_item.done"]
    ids = [item["id"] for item in messages["new_messages"] if "id" in item]
    assert [item["id"] for item in done] == ids


def test_a_stream_shows_every_call_and_its_end(swarm: Swarm) -> None:
    streamed = swarm.stream(QUESTION)
    items = [frame["data"] for frame in streamed.frames if frame["data"]["type"] == "run_item_stream_event"]
    called = [each["item"]["raw_item"]["call_id"] for each in items if each["name"] == "tool_called"]
    ended = [each["item"]["raw_item"]["call_id"] for each in items if each["name"] == "tool_output"]
    listed = [each for each in streamed.named["messages"]["new_messages"] if each["type"] == "function_call"]
    assert called == [each["call_id"] for each in listed]
    assert sorted(called) == sorted(ended)
    assert {each["item"]["output"] for each in items if each["name"] == "tool_output"} == {""}
    by_agent = {(each["agent"], each["callerAgent"]) for each in items}
    assert by_agent == {
        *(("Secretary", "None"), ("Registrar", "Secretary")),
        *(("Writer", "Secretary"), ("Registrar", "Writer")),
    }
    updated = [frame["data"] for frame in streamed.frames if frame["data"]["type"] == "agent_updated_stream_event"]
    assert [each["new_agent"] for each in updated] == [{"name": "Secretary"}]


def test_nothing_of_prompts_arguments_or_outputs_is_sent(swarm: Swarm) -> None:
    whole, streamed = swarm.ask(QUESTION), swarm.stream(QUESTION)
    metadata = swarm.service.get("/letters/get_metadata")[1]
    for sent in (whole, streamed.frames, streamed.named, metadata):
        text = json.dumps(sent)
        assert [secret for secret in SECRETS if secret in text] == []


def test_the_metadata_is_a_graph_of_names(service: Service) -> None:
    status, graph = service.get("/letters/get_metadata")
    assert status == 200
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert [*nodes] == graph["metadata"]["agents"] == ["Secretary", "Registrar", "Writer"]
    assert graph["metadata"]["entryPoints"] == ["Secretary"]
    assert [node["data"]["isEntryPoint"] for node in nodes.values()] == [True, False, False]
    assert nodes["Registrar"]["data"]["toolCount"] == graph["metadata"]["totalTools"] == 5
    assert nodes["Registrar"]["data"]["tools"][0] == {"name": "add_comment"}
    assert {(edge["source"], edge["target"]) for edge in graph["edges"]} == {
        *(("Secretary", "Registrar"), ("Secretary", "Writer"), ("Writer", "Registrar")),
    }
    assert len({(node["position"]["x"], node["position"]["y"]) for node in nodes.values()}) == 3
    assert graph["agency_swarm_version"].startswith("1.")


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"client_config": {"base_url": "https://evil.example.com", "api_key": "k"}}, "client_config.base_url"),
        ({"client_config": {"model": "gpt-5"}}, "client_config.model"),
        ({"client_config": {"default_headers": {"a": "b"}}}, "client_config.default_headers"),
        ({"client_config": {"model_settings_extra_args": {"a": 1}}}, "client_config.model_settings_extra_args"),
        ({"client_config": "api_key"}, "client_config"),
        ({"client_config": []}, "client_config"),
        ({"file_urls": {"a.pdf": "http://169.254.169.254/latest"}}, "file_urls"),
        ({"file_urls": {"a.pdf": "/etc/passwd"}}, "file_urls"),
        ({"user_context": {"is_admin": True}}, "user_context.is_admin"),
        ({"user_context": {str(n): "x" for n in range(17)}}, "user_context"),
        ({"tools": []}, "tools"),
        ({"stream": True}, "stream"),
        ({"message": []}, "message"),
        ({"message": " "}, "message"),
        ({"message": ["hello"]}, "message"),
        ({"message": [{"role": "user", "content": [{"type": "input_what"}]}]}, "message[0].content[0].type"),
        (
            {"message": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://localhost/a"}]}]},
            "message[0].content[0].image_url",
        ),
        ({"file_ids": [f"file-{0:032x}"]}, "file_ids[0]"),
        ({"chat_history": [{}, "hello"]}, "chat_history"),
        ({"chat_history": [{"role": "user", "content": [{"type": "x"}]}]}, "chat_history[0].content[0].type"),
        ({"message": "\ud800"}, "surrogate"),
        ({"recipient_agent": ""}, "recipient_agent"),
    ],
)
@pytest.mark.parametrize("route", ["get_response", "get_response_stream"])
def test_what_is_not_supported_is_refused_by_name(swarm: Swarm, route: str, fields: dict[str, Any], name: str) -> None:
    status, refused = swarm.send(route, json.dumps({"message": "hello", **fields}))
    assert status in (400, 404, 422), refused
    assert name in refused["error"]["message"]
    assert swarm.service.get("/v1/responses")[1]["data"] == []


def test_keys_of_a_caller_are_read_over_and_kept_nowhere(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = {"api_key": "sk-callers-own", "litellm_keys": {"anthropic": "sk-callers-own"}, "base_url": None}
    with ModelServer(["hello"]) as server:
        swarm = Swarm(start(OPENAI_API_KEY="sk-ours", OPENAI_BASE_URL=server.base_url))
        swarm.ask("hi", client_config=keys)
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer sk-ours"]
    assert b"sk-callers-own" not in b"".join(path.read_bytes() for path in tmp_path.glob("agency.db*"))
    assert "sk-callers-own" not in "".join(capfd.readouterr())


def test_null_is_not_sent(swarm: Swarm) -> None:
    names = ("file_urls", "client_config", "recipient_agent", "additional_instructions", "user_context", "file_ids")
    assert swarm.ask("hello", generate_chat_name=None, **dict.fromkeys(names))["response"]


def test_instructions_and_context_arrive_as_they_do_in_a_response(swarm: Swarm) -> None:
    answer = swarm.ask("hello", additional_instructions="Be brief.", user_context={"plan": "gold"})
    run = swarm.run(answer)
    assert (run["instructions"], run["metadata"]) == ("Be brief.", {"plan": "gold"})


def test_instructions_reach_the_addressed_agents_model(start: Start) -> None:
    with ModelServer(["hello"]) as server:
        swarm = Swarm(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url))
        swarm.ask("hi", additional_instructions="Be brief.", recipient_agent="Writer")
        assert "Be brief." in server.requests[0].instructions


def test_a_handoff_is_seen_and_the_next_turn_goes_on_with_the_agent(service: Service) -> None:
    swarm = Swarm(service, "payments")
    streamed = swarm.stream("Partner! look here")
    updated = [frame["data"] for frame in streamed.frames if frame["data"]["type"] == "agent_updated_stream_event"]
    assert [each["new_agent"]["name"] for each in updated] == ["Entry", "Partner"]
    assert {each["callerAgent"] for each in updated} == {"None"}
    messages = streamed.named["messages"]
    assert messages["new_messages"][-1]["agent"] == "Partner"
    second = swarm.ask("look there", messages["new_messages"], recipient_agent="Partner")
    assert swarm.run(second)["previous_response_id"] == messages["run_id"]
    assert second["new_messages"][-1]["agent"] == "Partner"


def test_an_agent_may_be_addressed(swarm: Swarm) -> None:
    answer = swarm.ask("hello", recipient_agent="Writer")
    assert swarm.run(answer)["model"] == "letters/Writer"
    assert {each["agent"] for each in answer["new_messages"]} == {"Writer"}
    for route in ("get_response", "get_response_stream"):
        status, refused = swarm.send(route, {"message": "hello", "recipient_agent": "Nobody"})
        assert (status, "Nobody" in refused["error"]["message"]) == (404, True)


def test_an_image_reaches_the_model(start: Start) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}
    with ModelServer(["a picture"]) as server:
        swarm = Swarm(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url))
        content = [image, {"type": "input_text", "text": "What is it?"}]
        answer = swarm.ask([{"role": "user", "content": content}])
        assert server.requests[0].items[-1]["content"] == content
    assert answer["new_messages"][0]["content"] == content


def test_a_name_of_the_chat_is_its_first_words(swarm: Swarm) -> None:
    first = swarm.ask(QUESTION, generate_chat_name=True)
    assert first["chat_name"] == "Client Nordwind asks about next week's"
    second = swarm.stream("And then?", first["new_messages"], generate_chat_name=True)
    assert second.named["messages"]["chat_name"] == first["chat_name"]
    assert "chat_name" not in swarm.ask("hello")


def test_names_of_agencies_may_have_any_letters(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"büro+1%?": "letters.agency:create_agency"})
    service = start()
    path = "/b%C3%BCro+1%25%3F"
    assert service.post(f"{path}/get_response", {"message": "hello"})[0] == 200
    assert service.get(f"{path}/get_metadata")[1]["metadata"]["agencyName"] == "büro+1%?"


def agencies_in_document(service: Service, **headers: str) -> list[str]:
    status, document = service.get("/openapi.json", **headers)
    assert (status, "/v1/responses" in document["paths"]) == (200, True)
    # As agentswarm-cli reads it.
    found = [path.split("/")[-2] for path in document["paths"] if path.endswith("/get_metadata")]
    return [name for name in found if not name.startswith("{")]


def test_the_document_names_the_agencies_to_who_has_a_key(
    start: Start, monkeypatch: pytest.MonkeyPatch, clean_environment: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"büro": "letters.agency:create_agency"})
    assert agencies_in_document(start()) == ["b%C3%BCro"]  # AUTH=none
    service = start(API_KEYS=f"ann:{hashlib.sha256(b'al_ann').hexdigest()}")
    assert agencies_in_document(service, authorization="Bearer al_ann") == ["b%C3%BCro"]
    assert agencies_in_document(service) == agencies_in_document(service, authorization="Bearer al_bob") == []
    service = start(DOCS="0")
    assert service.get("/openapi.json", authorization="Bearer al_ann")[0] == 404


@pytest.mark.parametrize("route", ["get_response", "get_response_stream", "cancel_response_stream", "get_metadata"])
def test_an_unknown_agency_is_a_404(service: Service, route: str) -> None:
    body = {"run_id": "resp_1"} if "cancel" in route else {"message": "hello"}
    event = http_event("GET", f"/nobody/{route}") if "meta" in route else http_event("POST", f"/nobody/{route}", body)
    assert service.send(event)[0] == 404


def test_a_key_repeats_the_same_run(swarm: Swarm) -> None:
    body = {"message": "hello", "chat_history": []}
    first, again = (swarm.send("get_response", body, **{"idempotency-key": "k"}) for _ in range(2))
    assert first == again
    status, refused = swarm.send("get_response", {"message": "other"}, **{"idempotency-key": "k"})
    assert (status, refused["error"]["type"]) == (409, "idempotency_key_reused")


def test_every_route_needs_a_key(start: Start) -> None:
    swarm = Swarm(start(API_KEYS=f"ann:{hashlib.sha256(b'al_ann').hexdigest()}"), authorization="Bearer al_bob")
    for route in ("get_response", "get_response_stream", "cancel_response_stream"):
        assert swarm.send(route, {"message": "hello"})[0] == 401
    assert swarm.service.get("/letters/get_metadata")[0] == 401


def test_a_model_that_fails_in_the_middle_of_a_stream_is_an_error(start: Start) -> None:
    with ModelServer(lambda request: Failure(0, after=4)) as server:
        swarm = Swarm(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url, QUEUE="local"), "payments")
        streamed = swarm.stream("hello")
    assert streamed.errors == ["The model did not answer as it should. The request id finds the reason in the log."]
    messages = streamed.named["messages"]
    assert messages["new_messages"][0]["content"] == "hello"
    assert swarm.run(messages)["status"] == "failed"


def test_a_run_that_fails_is_a_failure(start: Start) -> None:
    with ModelServer(lambda request: Failure(400)) as server:
        swarm = Swarm(start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url))
        assert swarm.send("get_response", {"message": "hello"})[0] == 400


@pytest.mark.parametrize("history", [[{"type": "reasoning", "summary": []}] * 10_000, [{"role": "user"}] * 10_000])
def test_ten_thousand_entries_cost_little(swarm: Swarm, history: list[Any]) -> None:
    began = time.process_time()
    assert swarm.send("get_response", {"message": "hello", "chat_history": history})[0] == 200
    assert time.process_time() - began < 2


def test_more_messages_than_a_request_may_have_are_refused(swarm: Swarm) -> None:
    history = [{"role": "user", "content": "x"}] * 10_000
    status, refused = swarm.send("get_response", {"message": "hello", "chat_history": history})
    assert (status, "2,000" in refused["error"]["message"]) == (400, True)
