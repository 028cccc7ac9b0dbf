"""docs/api.md says what is refused; all else in the newest types of a request is accepted."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types import responses

from agency_lambda.protocol.request import CreateResponse
from tests.library.conftest import Service
from tests.library.paths import ROOT
from tests.library.v1 import newest_types

SECTION = (ROOT / "docs" / "api.md").read_text().split("## What is refused")[1].split("\n## ")[0]
MODEL = "letters"
FUNCTION = {"type": "function", "name": "f"}
PARTS: dict[str, dict[str, Any]] = {
    "ResponseInputText": {"type": "input_text", "text": "x"},
    "ResponseInputImage": {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
    "ResponseInputFile": {"type": "input_file", "file_data": "data:text/plain;base64,eA=="},
}


ITEMS: dict[str, dict[str, Any]] = {
    "EasyInputMessage": {"role": "user", "content": "x"},
    "ResponseInputItem.Message": {"role": "user", "content": "x"},
    "ResponseOutputMessage": {"role": "assistant", "content": "x"},
    "ResponseFunctionToolCall": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    "ResponseInputItem.FunctionCallOutput": {"type": "function_call_output", "call_id": "c", "output": "x"},
    "ResponseReasoningItem": {"type": "reasoning"},
    "ResponseInputItem.ImageGenerationCall": {"type": "image_generation_call"},
}


def rows() -> Iterator[tuple[dict[str, Any], str]]:
    """What is sent beside the model, and the `param` of the answer."""
    for sent, param, why in re.findall(r"^\| `(\{.*?\})` \| `(\S+?)` \| (.*) \|$", SECTION, re.MULTILINE):
        for kind in re.findall(r"`([\w]+)`", why) if "TYPE" in sent else [""]:
            yield json.loads(sent.replace("TYPE", kind)), param


ROWS = list(rows())


def in_table(param: str) -> set[str]:
    """The types that the table names at such a place."""
    kinds = [re.findall(r'"type": "(\w+)"', json.dumps(sent))[-1] for sent, named in ROWS if named == param]
    return set(kinds)


def test_the_table_is_read() -> None:
    assert SECTION.count("\n| `") == len({param for _, param in ROWS}) >= 20
    assert len(ROWS) > 70


@pytest.mark.parametrize(("sent", "param"), ROWS, ids=[f"{param} {number}" for number, (_, param) in enumerate(ROWS)])
def test_row_is_refused_by_its_name(service: Service, sent: dict[str, Any], param: str) -> None:
    status, answer = service.post("/v1/responses", {"model": MODEL, "input": "x", **sent})
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "unsupported_parameter", param)


def test_parameter_of_the_newest_types_is_accepted_or_refused_by_the_table() -> None:
    named = {re.split(r"[.\[]", param)[0] for _, param in ROWS}
    assert newest_types.parameters() - set(CreateResponse.model_fields) - named == set()
    assert len(newest_types.parameters()) >= 30


def test_type_of_the_newest_types_is_accepted_or_refused_by_the_table() -> None:
    taken = {"message", "function_call", "function_call_output", "reasoning", "compaction", "image_generation_call"}
    taken |= {"mcp_approval_request", "mcp_approval_response", "item_reference"}
    assert newest_types.item_types() - taken == in_table("input[0].type")
    assert newest_types.tool_types() - {"function"} <= in_table("tools[0].type")
    assert newest_types.tool_choice_types() - {"function", "allowed_tools"} <= in_table("tool_choice.type")
    taken = {"input_text", "input_image", "input_file"}
    assert newest_types.part_types() - taken <= in_table("input[0].content[0].type")


@pytest.mark.parametrize("kind", ["FunctionTool", *PARTS])
def test_field_of_the_newest_types_is_accepted_or_refused_by_the_table(service: Service, kind: str) -> None:
    part = PARTS.get(kind, FUNCTION)
    for name in newest_types.fields(getattr(responses, kind), kind) - part.keys():
        one = {**part, name: {"no": "such value"}}
        body = {"tools": [one]} if kind == "FunctionTool" else {"input": [{"role": "user", "content": [one]}]}
        _, answer = service.post("/v1/responses", {"model": MODEL, "input": "x", **body})
        if (answer.get("error") or {}).get("code") == "unsupported_parameter":
            assert answer["error"]["param"] in {param for _, param in ROWS}


@pytest.mark.parametrize("name", sorted(newest_types.parameters() - {"model", "input"}))
def test_null_is_not_sent(service: Service, name: str) -> None:
    assert service.post("/v1/responses", {"model": MODEL, "input": "x", name: None})[0] == 200


def test_null_in_every_field_of_the_newest_types_is_not_sent(service: Service) -> None:
    tool = {**dict.fromkeys(newest_types.fields(responses.FunctionTool, "FunctionTool")), **FUNCTION}
    parts = [
        {**dict.fromkeys(newest_types.fields(getattr(responses, kind), kind)), **part} for kind, part in PARTS.items()
    ]
    items = [{**dict.fromkeys(newest_types.fields_in_node(kind)), **item} for kind, item in ITEMS.items()]
    body = {"model": MODEL, "input": [*items, {"role": "user", "content": parts}], "tools": [tool]}
    for name, interface in (
        ("reasoning", "Reasoning"),
        ("text", "ResponseTextConfig"),
        ("stream_options", "ResponseCreateParams.StreamOptions"),
        ("prompt_cache_options", "ResponseCreateParams.PromptCacheOptions"),
    ):
        body[name] = dict.fromkeys(newest_types.fields_in_node(interface))
    status, answer = service.post("/v1/responses", body)
    assert status == 200, answer


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("include", "ResponseIncludable"),
        ("service_tier", "ServiceTier"),
        ("truncation", "ResponseCreateParamsBase"),
        ("prompt_cache_retention", "ResponseCreateParamsBase"),
        ("reasoning.effort", "ReasoningEffort"),
        ("reasoning.summary", "Reasoning"),
        ("text.verbosity", "ResponseTextConfig"),
    ],
)
def test_value_of_the_newest_types_is_accepted(service: Service, name: str, alias: str) -> None:
    values = newest_types.values(name, alias)
    assert len(values) >= 2
    holder, _, field = name.rpartition(".")
    for value in values:
        sent: Any = {field: [value] if name == "include" else value}
        status, answer = service.post(
            "/v1/responses", {"model": MODEL, "input": "x", **({holder: sent} if holder else sent)}
        )
        assert (status, answer.get("service_tier")) == (200, "default"), answer


def test_the_newest_types_of_node_are_read() -> None:
    if not newest_types.HAS_NODE:
        pytest.skip("needs node_modules: `npm ci`")
    assert {"access_programs", "image", "prompt_cache_options"} <= newest_types.parameters()
    assert "max" in newest_types.values("reasoning.effort", "ReasoningEffort")
    assert "output_schema" in newest_types.fields_in_node("FunctionTool")
    assert "ttl" in newest_types.fields_in_node("ResponseCreateParams.PromptCacheOptions")
