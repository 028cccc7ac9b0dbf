"""What newer clients send is accepted, and does what it says."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agency_lambda import validators
from agency_lambda.framework.models import endpoint
from agency_lambda.protocol.obfuscation import _STEP
from agency_lambda.testing.events import http_event
from agency_lambda.testing.service import read_events
from tests.library.conftest import Service
from tests.library.model_server import ModelServer

MODEL = "letters"
TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("one", "two", "three")]
CACHE = {"prompt_cache_options": {"mode": "explicit", "ttl": "12h"}, "prompt_cache_retention": "24h"}


@pytest.fixture
def provider() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def asking(provider: ModelServer, start: Callable[..., Service]) -> Service:
    return start(OPENAI_API_KEY="k", OPENAI_BASE_URL=provider.base_url)


def allowed(mode: str, *names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": name} for name in names]}


def own_names(body: dict[str, Any]) -> list[str]:
    declared = {tool["name"] for tool in TOOLS}
    return [tool["name"] for tool in body["tools"] if tool["name"] in declared]


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        (allowed("auto", "one", "three"), ["one", "three"], "auto"),
        (allowed("required", "one", "two"), ["one", "two"], "required"),
        (allowed("required", "two"), ["two"], {"type": "function", "name": "two"}),
    ],
)
def test_allowed_tools_are_those_that_the_model_is_given(
    asking: Service, provider: ModelServer, choice: Any, names: list[str], sent: Any
) -> None:
    response = asking.respond("hello", tools=TOOLS, tool_choice=choice)
    assert (response["tool_choice"], len(response["tools"])) == (choice, 3)
    first = provider.requests[0].body
    assert own_names(first) == names
    assert {"get_task", "send_message"} & {tool["name"] for tool in first["tools"]}  # the agent's own stay
    assert first["tool_choice"] == sent


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        (allowed("auto", "one", "none"), "tool_choice.tools[1].name"),
        (allowed("auto"), "tool_choice.tools"),
        (allowed("never", "one"), "tool_choice.mode"),
        ({**allowed("auto", "one"), "foo": 1}, "tool_choice.foo"),
        ({"type": "function", "name": "none"}, "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({**allowed("auto"), "tools": [{"type": "mcp"}]}, "tool_choice.tools[0].type"),
        ({**allowed("auto"), "tools": "one"}, "tool_choice.tools"),
        ({**allowed("auto"), "tools": [allowed("auto")["tools"]] * 10_000}, "tool_choice.tools"),
    ],
)
def test_choice_that_cannot_be_is_refused_by_name(service: Service, choice: Any, param: str) -> None:
    status, answer = service.post(
        "/v1/responses", {"model": MODEL, "input": "x", "tools": TOOLS, "tool_choice": choice}
    )
    assert (status, answer["error"]["param"]) == (400, param)
    assert len(answer["error"]["message"]) < 300


def test_options_of_openais_cache_go_to_openai_alone(
    asking: Service, provider: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = asking.respond("hello", **CACHE)
    assert {name: response[name] for name in CACHE} == CACHE
    assert not provider.requests[-1].body.keys() & CACHE.keys()
    monkeypatch.setattr(validators, "_OPENAI", "127.0.0.1")
    asking.respond("hello", **CACHE, text={"format": {"type": "json_object"}})
    assert {name: provider.requests[-1].body[name] for name in CACHE} == CACHE
    assert provider.requests[-1].body["text"] == {"format": {"type": "json_object"}}
    assert "prompt_cache_options" not in asking.respond("hello")


@pytest.mark.parametrize(("url", "is_it"), [(None, True), ("https://eu.api.openai.com/v1", True)])
@pytest.mark.parametrize("api", ["responses", "chat"])
def test_openai_is_known_by_its_host(url: str | None, is_it: bool, api: str) -> None:
    from agents.models.openai_provider import OpenAIProvider

    model = OpenAIProvider(api_key="k", base_url=url, use_responses=api == "responses").get_model("gpt-5")
    assert endpoint.is_openai(model) is is_it
    for other in ("https://api.openai.com.example.com/v1", "https://example.com/api.openai.com", "http://127.0.0.1/"):
        assert not endpoint.is_openai(OpenAIProvider(api_key="k", base_url=other).get_model("gpt-5"))


def test_highest_effort_goes_to_the_model(asking: Service, provider: ModelServer) -> None:
    response = asking.respond("hello", reasoning={"effort": "max", "generate_summary": "auto"})
    assert response["reasoning"] == {"effort": "max", "summary": None, "generate_summary": "auto"}
    assert provider.requests[0].body["reasoning"] == {"effort": "max", "generate_summary": "auto"}


def test_deltas_are_padded_where_that_is_asked_for(service: Service) -> None:
    asked = {"stream": True, "stream_options": {"include_obfuscation": True}}
    events = service.respond("hello", **asked)
    deltas = [event for event in events if event["type"].endswith(".delta")]
    assert deltas
    assert all((len(event["delta"]) + len(event["obfuscation"])) % _STEP == 0 for event in deltas)
    assert len({event["obfuscation"] for event in deltas if event["obfuscation"]}) > 1
    path = f"/v1/responses/{events[-1]['response']['id']}?stream=true"
    for query, padded in (("&include_obfuscation=true", True), ("&include_obfuscation=false", False), ("", False)):
        again = read_events(service.handler(http_event("GET", f"{path}{query}"), None)["body"])
        assert [event["delta"] for event in again if "delta" in event] == [event["delta"] for event in deltas]
        assert any("obfuscation" in event for event in again) is padded
    plain = service.respond("hello", stream=True, stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in event for event in plain)


@pytest.mark.parametrize(
    ("metadata", "param", "words"),
    [
        ({str(number): "x" for number in range(17)}, "metadata", "at most 16 properties, but got an object with 17"),
        ({"a": "x" * 513}, "metadata.a", "maximum length 512, but got a string with length 513"),
        ({"a" * 65: "x"}, "metadata", "maximum length 64, but got a string with length 65"),
        ({"a": 1}, "metadata.a", "valid string"),
        ([], "metadata", "dictionary"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/conversations"])
def test_metadata_has_openais_limits_and_words(
    service: Service, path: str, metadata: Any, param: str, words: str
) -> None:
    body = {"model": MODEL, "input": "x"} if path == "/v1/responses" else {}
    status, answer = service.post(path, {**body, "metadata": metadata})
    assert (status, answer["error"]["param"]) == (400, param)
    assert words in answer["error"]["message"]
    most = {"a" * 64: "x" * 512, **{str(number): "" for number in range(15)}}
    assert service.post(path, {**body, "metadata": most})[0] == 200


def test_what_is_included_where_there_is_none_changes_nothing(service: Service) -> None:
    include = ["reasoning.encrypted_content", "message.output_text.logprobs", "web_search_call.action.sources"]
    output = service.respond("hello", include=include)["output"]
    assert not any("encrypted_content" in item or "tool" not in item for item in output[:-1])
    assert output[-1]["content"][0]["logprobs"] == []
    for wrong in (["no.such"], "message.output_text.logprobs", ["x"] * 10_000):
        status, answer = service.post("/v1/responses", {"model": MODEL, "input": "x", "include": wrong})
        assert (status, answer["error"]["param"].partition("[")[0]) == (400, "include")


def test_fields_of_newer_items_are_read_over(service: Service) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    direct: dict[str, Any] = {"caller": {"type": "direct"}, "async": False}
    image = {"type": "image_generation_call", "revised_prompt": "x", "size": "auto", "error": {"code": "e"}}
    items = [image, {**call, **direct}, {**output, **direct, "name": "f", "namespace": "n"}]
    file = {"type": "input_file", "file_data": "data:text/plain;base64,eA==", "detail": "auto"}
    asked = {"role": "user", "content": [file]}
    assert service.respond([*items, asked])["status"] == "completed"
    for field, value in (("caller", {"type": "program", "caller_id": "p"}), ("async", True)):
        status, answer = service.post("/v1/responses", {"model": MODEL, "input": [{**call, field: value}, output]})
        assert (status, answer["error"]["param"]) == (400, f"input[0].{field}")
