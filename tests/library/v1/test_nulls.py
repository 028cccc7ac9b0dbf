"""`null` counts as not sent: the classes of OpenAI's clients write it for every field that was not set."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from openai.types import responses, shared
from openai.types.responses import response_create_params, response_input_item
from pydantic import BaseModel

from agency_lambda.protocol.items import encode_compaction
from tests.library.conftest import Service

MODEL = "letters"
IMAGE = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
PACKED = encode_compaction("They want a date.", [{"role": "user", "content": "Tuesday?"}])["encrypted_content"]
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "z"}
USER = {"role": "user", "content": "go on"}

#: what is sent, and OpenAI's class for it
ITEMS: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (response_input_item.Message, USER),
    (responses.ResponseOutputMessage, {"role": "assistant", "content": "x"}),
    (responses.ResponseFunctionToolCall, CALL),
    (response_input_item.FunctionCallOutput, OUTPUT),
    (responses.ResponseReasoningItem, {"type": "reasoning"}),
    (responses.ResponseCompactionItem, {"type": "compaction", "encrypted_content": PACKED}),
    (response_input_item.ImageGenerationCall, {"type": "image_generation_call"}),
]
PARTS: list[tuple[str, type[BaseModel], dict[str, Any]]] = [
    ("user", responses.ResponseInputText, {"type": "input_text", "text": "x"}),
    ("user", responses.ResponseInputImage, {"type": "input_image", "image_url": IMAGE}),
    ("user", responses.ResponseInputFile, {"type": "input_file", "file_data": "data:text/plain;base64,eA=="}),
    ("assistant", responses.ResponseOutputText, {"type": "output_text", "text": "x"}),
    ("assistant", responses.ResponseOutputRefusal, {"type": "refusal", "refusal": "x"}),
]
FORMAT = {"type": "json_schema", "name": "n", "schema": SCHEMA}
TOOL = {"type": "function", "name": "f", "parameters": SCHEMA}


def filled(names: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, and null for every other name of the class."""
    return {**{"schema" if name == "schema_" else name: None for name in names}, **given}


def shown(service: Service, item: dict[str, Any]) -> Any:
    """An item as it is kept, without its id."""
    status, answer = service.post("/v1/conversations", {"items": [item]})
    assert status == 200, answer
    (kept,) = service.get(f"/v1/conversations/{answer['id']}/items")[1]["data"]
    return {key: value for key, value in kept.items() if key != "id"}


@pytest.mark.parametrize(("model", "item"), ITEMS, ids=lambda each: getattr(each, "__name__", ""))
def test_null_in_an_item_counts_as_not_sent(service: Service, model: type[BaseModel], item: dict[str, Any]) -> None:
    assert shown(service, filled(model.model_fields, item)) == shown(service, item)


@pytest.mark.parametrize(("role", "model", "part"), PARTS, ids=lambda each: getattr(each, "__name__", ""))
def test_null_in_a_part_counts_as_not_sent(
    service: Service, role: str, model: type[BaseModel], part: dict[str, Any]
) -> None:
    full = filled(model.model_fields, part)
    assert shown(service, {"role": role, "content": [full]}) == shown(service, {"role": role, "content": [part]})
    if role == "user":
        assert shown(service, {**OUTPUT, "output": [full]}) == shown(service, {**OUTPUT, "output": [part]})


@pytest.mark.parametrize(
    ("plain", "nulls"),
    [
        ({}, filled(response_create_params.ResponseCreateParamsBase.__annotations__, {})),
        ({}, filled(response_create_params.ResponseCreateParamsStreaming.__annotations__, {})),
        ({}, {"stream_options": {"include_obfuscation": None}}),
        ({}, {"anything": None}),
        ({"tools": [TOOL]}, {"tools": [filled(responses.FunctionTool.model_fields, TOOL)]}),
        ({"reasoning": {"effort": "low"}}, {"reasoning": filled(shared.Reasoning.model_fields, {"effort": "low"})}),
        ({"text": {}}, {"text": filled(responses.ResponseTextConfig.model_fields, {"foo": None})}),
        (
            {"text": {"format": FORMAT}},
            {"text": {"format": filled(responses.ResponseFormatTextJSONSchemaConfig.model_fields, FORMAT)}},
        ),
        ({"text": {"format": {"type": "text"}}}, {"text": {"format": {"type": "text", "name": None, "schema": None}}}),
    ],
    ids=range(9),
)
def test_null_in_a_request_counts_as_not_sent(service: Service, plain: dict[str, Any], nulls: dict[str, Any]) -> None:
    def sent(body: dict[str, Any]) -> Any:
        status, answer = service.post("/v1/responses", {**body, "model": MODEL, "input": [CALL, OUTPUT, USER]})
        assert status == 200, answer
        return {
            key: answer[key] for key in answer if key not in ("id", "created_at", "completed_at", "output", "usage")
        }

    assert sent(nulls) == sent(plain)


def test_null_in_a_schema_and_in_metadata_is_the_clients_own(service: Service) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": None}}}
    body = {"model": MODEL, "input": "x", "tools": [{**TOOL, "parameters": schema}]}
    status, answer = service.post("/v1/responses", {**body, "text": {"format": {**FORMAT, "schema": schema}}})
    assert status == 200
    assert answer["tools"][0]["parameters"] == answer["text"]["format"]["schema"] == schema
    assert service.post("/v1/responses", {**body, "metadata": {"a": None}})[0] == 400
