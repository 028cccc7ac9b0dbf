"""What a chat asks that is wrong, or not supported, is refused by the name that its client knows."""

import time
from typing import Any

import pytest

from tests.library.conftest import Service
from tests.library.protocols.chat import ASK, complete, send
from tests.library.test_unknown_parameters import objects, with_key

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
FUNCTION = {"name": "f", "arguments": "{}"}
NAMED = {"type": "function", "function": {"name": "f"}}
WHOLE: dict[str, Any] = {
    "model": "letters",
    "messages": [
        {"role": "system", "content": "x"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": IMAGE}}],
        },
        {
            "role": "user",
            "content": [{"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,eA=="}}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "y"}, {"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "z"}]},
        {"role": "assistant", "function_call": FUNCTION},
        {"role": "function", "name": "f", "content": "z"},
        {"role": "user", "content": "go on"},
    ],
    "metadata": {"a": "b"},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "reasoning": {"effort": "low"},
    "stream_options": {"include_usage": True},
    "thinking": {"type": "enabled"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
}
#: what is the client's own, and passed on
OWN = ("metadata", "tools[0].function.parameters", "response_format.json_schema.schema")


def refused(service: Service, body: Any, param: str | None, code: str = "invalid_request") -> str:
    status, answer, _ = send(service, body)
    error = answer["error"]
    assert (status, error["param"], error["code"]) == (400, param, code), error
    return str(error["message"])


def message(**fields: Any) -> dict[str, Any]:
    return {**ASK, "messages": [{"role": "user", "content": "x"}, fields]}


def part(**fields: Any) -> dict[str, Any]:
    return message(role="user", content=[{"type": "text", "text": "x"}, fields])


@pytest.mark.parametrize("path", [path for path in objects(WHOLE) if not path.startswith(OWN)])
def test_an_unknown_key_is_refused_wherever_it_is(service: Service, path: str) -> None:
    for key in ("foo", "Type", "extra_body"):
        body = with_key(WHOLE, path, key, {"bar": 1})
        name = f"{path}.{key}".removeprefix(".")
        assert name in refused(service, body, name, "unsupported_parameter")
    assert send(service, with_key(WHOLE, path, "foo", None))[0] == 200  # null says nothing


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "a", "format": "mp3"}}, "audio"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "c"}}}, "tool_choice.type"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        (part(type="input_audio", input_audio={"data": "", "format": "mp3"}), "messages[1].content[1].type"),
        (part(type="image_url", image_url={"url": "ftp://a.example/b.png"}), "messages[1].content[1].image_url.url"),
        (message(role="assistant", content="x", audio={"id": "a"}), "messages[1].audio"),
        (message(role="assistant", tool_calls=[{"id": "c", "type": "custom"}]), "messages[1].tool_calls[0].type"),
        (
            message(role="assistant", content=[{"type": "image_url", "image_url": {"url": IMAGE}}]),
            "messages[1].content[0].type",
        ),
    ],
    ids=str,
)
def test_what_is_not_supported_is_refused_by_name(service: Service, fields: dict[str, Any], param: str) -> None:
    refused(service, {**ASK, **fields}, param, "unsupported_parameter")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {"text": "x"}}]}, "messages[0].content"),
        (message(role="user", content="x", name=7), "messages[1].name"),
        (message(role="assistant", content=7), "messages[1].content"),
        (message(role="assistant", content="x", reasoning_content=7), "messages[1].reasoning_content"),
        (message(role="assistant", content="x", refusal=7), "messages[1].content[1].refusal"),
        (message(role="assistant", tool_calls="f"), "messages[1].tool_calls"),
        (message(role="assistant", tool_calls=["f"]), "messages[1].tool_calls[0]"),
        (message(role="assistant", tool_calls=[{"id": "c"}]), "messages[1].tool_calls[0].function"),
        (message(role="assistant", tool_calls=[{"function": FUNCTION}]), "messages[1].tool_calls[0].id"),
        (
            message(role="assistant", tool_calls=[{"id": "c", "function": {"name": 7}}]),
            "messages[1].tool_calls[0].function.name",
        ),
        (message(role="assistant", tool_calls=[{"id": "c", "function": {**FUNCTION, "arguments": {}}}]), None),
        (
            message(role="assistant", tool_calls=[{"id": "c", "function": {**FUNCTION, "arguments": {"a": 1}}}]),
            "messages[1].tool_calls[0].function.arguments",
        ),
        (message(role="assistant", function_call={"name": 7}), "messages[1].function_call.name"),
        (message(role="assistant", tool_calls=[{"id": "c", "function": FUNCTION}]), "messages"),
        (message(role="tool", tool_call_id="c", content="x"), "messages[1].tool_call_id"),
        (message(role="tool", content="x"), "messages[1].tool_call_id"),
        (message(role="tool", tool_call_id="c"), "messages[1].content"),
        (
            message(
                role="tool",
                tool_call_id="c",
                content=[{"type": "image_url", "image_url": {"url": IMAGE, "detail": "x"}}],
            ),
            "messages[1].content[0].image_url.detail",
        ),
        (part(type="text"), "messages[1].content[1].text"),
        (part(type="image_url", image_url=IMAGE), "messages[1].content[1].image_url"),
        (part(type="image_url", image_url={"url": IMAGE, "detail": "x"}), "messages[1].content[1].image_url.detail"),
        (part(type="file", file={"file_data": "eA==", "filename": "x"}), "messages[1].content[1].file.file_data"),
        *(
            (part(type="image_url", image_url={"url": f"data:image/png{rest}"}), "messages[1].content[1].image_url.url")
            for rest in (";base64,%%%", ";base64,", ",iVBORw0KGgo=", ";base64,é", ";base64,iVBOR")
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": "x" * 999}, "stop"),
        ({"reasoning_effort": "most"}, "reasoning_effort"),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning_effort"),
        ({"verbosity": "much"}, "verbosity"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": "f"}]}, "tools[0].function"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}},
            "tool_choice.allowed_tools.tools[0].function.name",
        ),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": 7, "schema": SCHEMA}}},
            "response_format.json_schema.name",
        ),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_name(service: Service, fields: dict[str, Any], param: str | None) -> None:
    body = {**ASK, **fields}
    if param is None:
        assert (
            "error"
            not in send(
                service, {**body, "messages": [*body["messages"], {"role": "tool", "tool_call_id": "c", "content": ""}]}
            )[1]
        )
        return
    text = refused(service, body, param)
    assert "input" not in text
    assert "output_tokens" not in text


def test_what_clients_send_back_of_an_answer_is_read_over(service: Service) -> None:
    said = {"role": "assistant", "refusal": None, "annotations": []}
    parts = [{"type": "text", "text": "Hello.", **said}]
    assert (
        send(service, {**ASK, "messages": [message(**said, content=parts)["messages"][1], *ASK["messages"]]})[0] == 200
    )
    image = {"url": IMAGE, "format": "image/png"}
    assert send(service, part(type="image_url", image_url=image))[0] == 200


def test_the_field_that_a_choice_of_forms_lacks_is_named(service: Service) -> None:
    chat = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    refused(service, {**ASK, "response_format": chat}, "response_format.json_schema.name", "missing_required_parameter")
    shaped = {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    for fields, param in (
        (shaped, "text.format.name"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].function"),
    ):
        status, answer = service.post("/v1/responses", {"model": "letters", "input": "x", **fields})
        assert (status, answer["error"]["param"]) == (400, param)


def test_a_missing_parameter_and_an_unknown_model(service: Service) -> None:
    refused(service, {"model": "letters"}, "messages", "missing_required_parameter")
    refused(service, {"messages": ASK["messages"]}, "model", "missing_required_parameter")
    status, answer, _ = send(service, {**ASK, "model": "gpt-5"})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": "x"}] * 10_000}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 5_000}]}, "messages[0].content"),
        (message(role="assistant", tool_calls=[{"id": "c", "function": FUNCTION}] * 3_000), "messages"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}] * 129}, "tools"),
        ({"metadata": {str(number): "x" for number in range(200)}}, "metadata"),
        (message(role="user", content="x", **{f"f{number}": 1 for number in range(9_000)}), "messages[1].f0"),
        (
            message(role="assistant", tool_calls=[{"id": "c" * 300, "function": FUNCTION}]),
            "messages[1].tool_calls[0].id",
        ),
        ({"messages": [{"role": "user", "content": "\x01" * 800_000}]}, "messages[0]"),
    ],
    ids=["messages", "parts", "calls", "tools", "metadata", "fields", "id", "size"],
)
def test_what_is_too_much_is_refused_before_it_costs(service: Service, fields: dict[str, Any], param: str) -> None:
    code = "unsupported_parameter" if param.endswith(".f0") else "invalid_request"
    complete(service)  # what the first request imports costs more
    began = time.process_time()
    refused(service, {**ASK, **fields}, param, code)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text", ['{"messages": ' + "[" * 70 + "]" * 70 + "}", '{"n": ' + "9" * 301 + "}", '["x"]', "{"]
)
def test_a_body_out_of_bounds_is_no_crash(service: Service, text: str) -> None:
    assert send(service, text)[0] == 400


def test_half_of_a_surrogate_pair_is_refused(service: Service) -> None:
    refused(
        service, '{"model": "letters", "messages": [{"role": "user", "content": "\\ud83d"}]}', "messages[0].content"
    )
