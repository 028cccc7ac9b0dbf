"""Chat completions, whole and streamed: what agents are asked, and what clients get."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from agency_swarm import Agency, Agent
from openai.types.responses import ResponseOutputMessage

from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import QUESTION, Service
from tests.library.model_server import Items, ModelRequest, ModelServer, call
from tests.library.protocols.chat import ASK, complete, joined, send, stream
from tests.library.protocols.test_mcp_files import create as clerk

Start = Callable[..., Service]
IMAGE = "data:image/png;base64,iVBORw0KGgo="
FILE = "data:application/pdf;base64,JVBERi0="
WEATHER = {
    "name": "weather",
    "description": "Look.",
    "parameters": {"type": "object", "properties": {"in": {"type": "string"}}},
}
TOOLS = [{"type": "function", "function": WEATHER}]
CALL = {"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": '{"in": "Bonn"}'}}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}


@contextmanager
def asked(start: Start, monkeypatch: pytest.MonkeyPatch, answers: Any) -> Iterator[tuple[Service, ModelServer]]:
    """A service with one agent, whose model answers so."""
    agency = lambda: Agency(Agent(name="One", instructions="Be brief.", model="one"))  # noqa: E731
    monkeypatch.setattr("agencies.AGENCIES", {"letters": agency})
    with ModelServer(answers) as server:
        yield start(OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url), server


def message(*parts: dict[str, Any]) -> Items:
    return Items([ResponseOutputMessage.model_validate({**MESSAGE, "content": parts})])


def words(text: str, **part: Any) -> Items:
    return message({"type": "output_text", "text": text, "annotations": [], **part})


def test_whole_and_streamed_completion_say_the_same(service: Service) -> None:
    fields = {"messages": [{"role": "user", "content": QUESTION}], "include_reasoning": True}
    whole = complete(service, **fields)
    chunks = stream(service, **fields, stream_options={"include_usage": True})
    message, shown = whole["choices"][0]["message"], joined(chunks)
    assert "Dear Nordwind" in message["content"]
    assert "Secretary asks Registrar" in message["reasoning_content"]
    same = {"content", "reasoning_content"}
    numbers = str.maketrans("0123456789", "##########")  # tasks are counted on
    assert {name: shown[name].translate(numbers)[:60] for name in same} == {
        name: message[name].translate(numbers)[:60] for name in same
    }
    assert whole["choices"][0]["finish_reason"] == shown["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    for usage in (whole["usage"], shown["usage"]):
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


def test_colleagues_are_not_shown_unless_asked_for(service: Service) -> None:
    fields = {"messages": [{"role": "user", "content": QUESTION}]}
    assert "reasoning_content" not in complete(service, **fields)["choices"][0]["message"]
    chunks = stream(service, **fields)
    assert "reasoning_content" not in joined(chunks)
    assert "usage" not in chunks[-1]


@pytest.mark.parametrize(
    ("asks", "shown"),
    [
        ({"include_reasoning": True}, True),
        ({"reasoning_effort": "low"}, True),
        ({"thinking": {"type": "enabled"}}, True),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "low"}, False),
        ({"reasoning": {"summary": "auto"}}, True),
        ({"reasoning": {"effort": "high"}}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "low", "include_reasoning": False}, False),
        ({"reasoning_effort": None, "reasoning": None}, False),
    ],
)
def test_reasoning_is_shown_to_who_asks_for_it(service: Service, asks: dict[str, Any], shown: bool) -> None:
    fields = {"messages": [{"role": "user", "content": QUESTION}], **asks}
    assert ("reasoning_content" in complete(service, **fields)["choices"][0]["message"]) is shown


def test_the_completion_is_a_response_with_its_record(service: Service) -> None:
    completion = complete(service, metadata={"case": "7"}, user="ann")
    stored = service.get(f"/v1/responses/{completion['id']}")[1]
    assert (stored["status"], stored["metadata"], stored["user"]) == ("completed", {"case": "7"}, "ann")
    assert completion["metadata"] == {"case": "7"}
    assert completion["created"] == stored["created_at"]
    assert service.get(f"/v1/responses/{completion['id']}/trace")[0] == 200
    assert service.get("/v1/responses")[1]["data"][0]["id"] == completion["id"]
    listed = service.get(f"/v1/responses/{completion['id']}/input_items")[1]["data"]
    assert [item["content"][0]["text"] for item in listed] == ["Greet me."]


def test_what_is_not_stored_leaves_nothing(service: Service) -> None:
    completion = complete(service, store=False)
    assert service.get(f"/v1/responses/{completion['id']}")[0] == 404
    assert service.get("/v1/responses")[1]["data"] == []


def test_messages_of_every_role_reach_the_model(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [
        {"role": "system", "content": "Speak French.", "name": "app"},
        {"role": "developer", "content": [{"type": "text", "text": "No slang."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather?"},
                {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [CALL],
            "refusal": None,
            "annotations": [],
            "reasoning_content": "Hm.",
        },
        {"role": "tool", "tool_call_id": "call_7", "content": "rain"},
        {"role": "assistant", "content": "", "function_call": {"name": "clock", "arguments": ""}},
        {"role": "function", "name": "clock", "content": "noon"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Il pleut."}, {"type": "refusal", "refusal": "Non."}],
        },
        {
            "role": "user",
            "content": [{"type": "file", "file": {"file_data": FILE, "filename": "a.pdf"}}],
            "name": "ann",
        },
    ]
    with asked(start, monkeypatch, ["Oui."]) as (service, server):
        assert complete(service, messages=messages, tools=TOOLS)["choices"][0]["message"]["content"] == "Oui."
    body = server.requests[0].body
    sent = json.dumps(body["input"])
    for text in ("Speak French.", "No slang.", "Weather?", IMAGE, "rain", "noon", "Il pleut.", "Non.", FILE):
        assert text in sent
    kinds = [item.get("type", "message") for item in body["input"]]
    assert [kind for kind in kinds if kind != "message"] == ["function_call", "function_call_output"] * 2
    assert [tool["name"] for tool in body["tools"]] == ["weather"]


def test_a_function_of_the_client_is_called_and_answered(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    play = [call("weather", **{"in": "Bonn"}), call("weather", **{"in": "Bonn"}), "It rains."]
    with asked(start, monkeypatch, play) as (service, server):
        whole = complete(service, tools=TOOLS, tool_choice="required")
        chunks = stream(service, tools=TOOLS)
        choice = whole["choices"][0]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
        made, shown = choice["message"]["tool_calls"], joined(chunks)
        assert [each["function"] for each in made] == [each["function"] for each in shown["tool_calls"]]
        assert json.loads(made[0]["function"]["arguments"]) == {"in": "Bonn"}
        assert shown["finish_reason"] == "tool_calls"
        messages = [
            *ASK["messages"],
            choice["message"],
            {"role": "tool", "tool_call_id": made[0]["id"], "content": [{"type": "text", "text": "rain"}]},
        ]
        assert complete(service, messages=messages, tools=TOOLS)["choices"][0]["message"]["content"] == "It rains."
    assert server.requests[0].body["tool_choice"] == "required"
    assert "rain" in json.dumps(server.requests[2].body["input"])


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        ({"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3, "top_p": 0.5}),
        ({"max_tokens": 77}, {"max_output_tokens": 77}),
        ({"max_tokens": 5}, {"max_output_tokens": 16}),
        ({"max_tokens": 99, "max_completion_tokens": 55}, {"max_output_tokens": 55}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        ({"tools": TOOLS, "parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"tool_choice": {"type": "function", "name": "weather"}},
        ),
    ],
    ids=str,
)
def test_parameters_reach_the_model(
    start: Start, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], there: dict[str, Any]
) -> None:
    with asked(start, monkeypatch, ["done"]) as (service, server):
        complete(service, **fields)
    body = server.requests[0].body
    assert {name: body[name] for name in there} == there


def test_a_json_schema_is_the_format_of_the_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    named = {"name": "answer", "schema": schema, "strict": True, "description": "An answer."}
    with asked(start, monkeypatch, ['{"a": "b"}']) as (service, server):
        made = complete(service, response_format={"type": "json_schema", "json_schema": named})
    assert json.loads(made["choices"][0]["message"]["content"]) == {"a": "b"}
    sent = server.requests[0].body["text"]["format"]
    assert (sent["type"], sent["schema"], sent["strict"]) == ("json_schema", schema, True)


def test_citations_of_pages_are_annotations(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    cited = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 2}
    said = words("So.", annotations=[cited])
    with asked(start, monkeypatch, [said, said]) as (service, _):
        whole, shown = complete(service)["choices"][0]["message"], joined(stream(service))
    citation = {name: value for name, value in cited.items() if name != "type"}
    assert whole["annotations"] == shown["annotations"] == [{"type": "url_citation", "url_citation": citation}]


def test_files_that_agents_make_are_cited_by_their_url(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agencies.AGENCIES", {"letters": {"create_agency": clerk}})
    service = start()
    whole, shown = complete(service)["choices"][0]["message"], joined(stream(service))
    for cited in (whole["annotations"], shown["annotations"]):
        (page,) = [each["url_citation"] for each in cited]
        assert (page["title"], page["end_index"] <= len(whole["content"])) == ("table.csv", True)
        path = urlsplit(page["url"]).path
        assert service.handler(http_event("GET", path), Context(9))["body"] == "a,b\n"
    without = start(PROTOCOLS="chat-completions")
    assert complete(without)["choices"][0]["message"]["annotations"] == []


@pytest.mark.parametrize(("limit", "reason"), [({"max_completion_tokens": 16}, "length"), ({}, "stop")])
def test_an_answer_that_is_cut_off_says_so(
    start: Start, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any], reason: str
) -> None:
    text = "word " * 60
    with asked(start, monkeypatch, [text, text]) as (service, _):
        choice, shown = complete(service, **limit)["choices"][0], joined(stream(service, **limit))
    assert (choice["finish_reason"], shown["finish_reason"]) == (reason, reason)
    assert choice["message"]["content"] == shown["content"]
    assert "word " in shown["content"]
    assert (len(shown["content"]) < len(text)) is (reason == "length")


@pytest.mark.parametrize("stop", ["STOP", ["never", "STOP"], ["O", "STOP"]])
def test_nothing_behind_a_stop_sequence_is_sent(start: Start, monkeypatch: pytest.MonkeyPatch, stop: Any) -> None:
    text = "The first S ST STOP and the rest"
    with asked(start, monkeypatch, [text, text]) as (service, _):
        choice, shown = complete(service, stop=stop)["choices"][0], joined(stream(service, stop=stop))
    assert choice["message"]["content"] == shown["content"] == text.partition("O" if stop[0] == "O" else "STOP")[0]
    assert choice["finish_reason"] == shown["finish_reason"] == "stop"


def test_a_stop_sequence_that_does_not_come_holds_nothing_back(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(start, monkeypatch, ["Until STO", "Until STO"]) as (service, _):
        assert complete(service, stop="STOP")["choices"][0]["message"]["content"] == "Until STO"
        assert joined(stream(service, stop=["STOP", "\n"]))["content"] == "Until STO"


def test_the_same_idempotency_key_gives_the_same_completion(service: Service) -> None:
    key = {"idempotency-key": "once"}
    first = send(service, ASK, **key)
    assert send(service, ASK, **key)[:2] == first[:2]
    assert send(service, {**ASK, "temperature": 0.5}, **key)[1]["error"]["code"] == "idempotency_key_reused"
    assert len(service.get("/v1/responses")[1]["data"]) == 1


def the_text(request: ModelRequest) -> str:
    return str(request.items[-1]["content"])


def test_a_second_turn_has_the_first_in_its_messages(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(start, monkeypatch, the_text) as (service, server):
        first = complete(service)["choices"][0]["message"]
        messages = [*ASK["messages"], first, {"role": "user", "content": "And now?"}]
        assert complete(service, messages=messages)["choices"][0]["message"]["content"] == "And now?"
    assert "Greet me." in json.dumps(server.requests[-1].body["input"])
