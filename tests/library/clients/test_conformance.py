"""Open Responses, as its public tools judge it: the cases of the official suite and of `llm-comply`.

The official suite (github.com/openresponses/openresponses, src/lib) needs bun, and a copy of its repository for the
schemas that it generates; here its cases are judged by `openresponses-types`, which is made from the same document.
"""

import base64
import dataclasses
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import llm_comply
import openresponses_types as types
import pytest
from llm_comply.config import ComplianceConfig
from llm_comply.runner import TestRunner as Runner
from llm_comply.schema import SpecLoader
from llm_comply.tests import get_tests

from tests.library.clients.server import MODEL, Server, serve
from tests.library.clients.wire import Event, read_events, well_formed

EVENTS = {
    kind.value: model
    for name, model in vars(types).items()
    if name.endswith("StreamingEvent")
    for kind in model.model_fields["type"].annotation
}
LIMIT = 2  # model calls; asking a colleague takes more


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PIXEL = b"\x89PNG\r\n\x1a\n" + b"".join(
    chunk(kind, data)
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\xff\0\0")),
        (b"IEND", b""),
    )
)
PDF = base64.b64encode(b"%PDF-1.1\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF").decode()
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place now.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "A city, such as Stuttgart"}},
        "required": ["location"],
    },
}


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


CASES: dict[str, dict[str, Any]] = {
    "basic": {"input": [said("user", "Greet me in three words.")]},
    "plain text": {"input": "Greet me in three words."},
    "system prompt": {"input": [said("system", "Speak like a pirate."), said("user", "Greet me.")]},
    "developer prompt": {"input": [said("developer", "Answer in one word."), said("user", "Greet me.")]},
    "instructions": {"input": "Greet me.", "instructions": "Answer in one word."},
    "tools": {"input": [said("user", "How is the weather in Stuttgart?")], "tools": [WEATHER]},
    "tool demanded": {"input": "How is the weather?", "tools": [WEATHER], "tool_choice": "required"},
    "tool named": {
        "input": "How is the weather?",
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "name": "get_weather"},
    },
    "image": {
        "input": [
            said(
                "user",
                [
                    {"type": "input_text", "text": "What is in this image?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"},
                ],
            )
        ]
    },
    "file": {
        "input": [
            said(
                "user",
                [
                    {"type": "input_text", "text": "What is the title of this file?"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
                ],
            )
        ]
    },
    "several turns": {
        "input": [said("user", "I am Alice."), said("assistant", "Hello Alice."), said("user", "What is my name?")]
    },
    "phases": {
        "input": [
            said("assistant", "I look up the number that was saved.", phase="commentary"),
            said("assistant", "It is four.", phase="final_answer"),
            said("user", "Say the number again."),
        ]
    },
    "reasoning": {"input": "How much is 15 * 37?", "reasoning": {"effort": "low", "summary": "auto"}},
    "reasoning before tools": {"input": "What now?", "reasoning": {"summary": "detailed"}, "tools": [WEATHER]},
    "everything named": {
        "input": "Greet me.",
        "metadata": {"case": "7"},
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 2000,
        "max_tool_calls": 5,
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [WEATHER],
        "store": False,
        "truncation": "disabled",
        "safety_identifier": "u1",
        "prompt_cache_key": "c1",
        "text": {"format": {"type": "text"}, "verbosity": "low"},
    },
    "JSON": {
        "input": "Who asks?",
        "text": {
            "format": {
                "type": "json_schema",
                "name": "client",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            }
        },
    },
    "any JSON": {"input": "Answer in JSON.", "text": {"format": {"type": "json_object"}}},
    "one agent": {"input": "Which tasks are open?", "model": f"{MODEL}/Registrar"},
}
CALLS = {"tools", "tool demanded", "tool named", "reasoning before tools"}


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=60) as client:
        yield client


def valid(model: Any, resource: Any) -> Any:
    """As the standard's schemas have it: no other types, no other items; further fields are no offence."""
    judged = json.loads(json.dumps(resource))
    match judged.get("response", judged):
        case {"text": {"format": {"schema": _} as form}}:
            form["schema"] = None  # the standard's document allows nothing but null, which no server can keep to
    model.model_validate_json(json.dumps(judged), strict=True)
    return resource


def response(resource: Any) -> Any:
    return valid(types.ResponseResource, resource)


def streamed(api: httpx.Client, **body: Any) -> list[Event]:
    with api.stream("POST", "/responses", json={"model": MODEL, **body, "stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = read_events(answer.iter_lines())
    for event in events:
        valid(EVENTS[event["type"]], event)
    well_formed(events)
    return events


def output_is_right(case: str, final: Any) -> None:
    kinds = [item["type"] for item in final["output"]]
    assert final["status"] == "completed"
    assert kinds[-1] == ("function_call" if case in CALLS else "message")
    if case.startswith("reasoning"):
        assert "Next:" in final["output"][0]["summary"][0]["text"]
    if case == "JSON":
        assert json.loads(final["output"][-1]["content"][0]["text"])["name"]


every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_a_whole_response(api: httpx.Client, case: str) -> None:
    answer = api.post("/responses", json={"model": MODEL, **CASES[case]})
    assert answer.status_code == 200, answer.text
    output_is_right(case, response(answer.json()))


@every_case
def test_a_streamed_response(api: httpx.Client, case: str) -> None:
    events = streamed(api, **CASES[case])
    output_is_right(case, events[-1]["response"])
    told = [event["type"] for event in events]
    if case in CALLS:
        opened, closed = (
            [event["item"] for event in events if event["type"] == f"response.output_item.{change}"]
            for change in ("added", "done")
        )
        assert "function_call" in [item["type"] for item in opened]
        assert "function_call" in [item["type"] for item in closed]
        assert "response.function_call_arguments.delta" in told
        assert "response.function_call_arguments.done" in told


def test_a_response_that_is_cut_off(api: httpx.Client) -> None:
    short = {"model": f"{MODEL}/Registrar", "input": "Which tasks are open?", "max_output_tokens": 16}
    whole = response(api.post("/responses", json=short).json())
    final = streamed(api, **short)[-1]
    assert final["type"] == "response.incomplete"
    for each in (whole, final["response"]):
        assert each["status"] == "incomplete"
        assert each["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_response_that_fails(tmp_path: Any) -> None:
    with (
        serve(tmp_path, MAX_MODEL_CALLS=str(LIMIT)) as limited,
        httpx.Client(base_url=limited.base_url, headers={"authorization": f"Bearer {limited.key}"}, timeout=60) as api,
    ):
        events = streamed(api, input="Client Nordwind asks for a date.")
        assert events[-1]["type"] == "response.failed"
        failed = events[-1]["response"]
        assert failed["error"]["detail_code"] == "run_limit_exceeded"
        assert response(api.get(f"/responses/{failed['id']}").json()) == failed
        whole = api.post("/responses", json={"model": MODEL, "input": "Client Nordwind asks for a date."})
        assert whole.status_code == 400
        assert whole.json()["error"]["code"] == "run_limit_exceeded"


def test_a_response_that_was_kept(api: httpx.Client) -> None:
    made = api.post("/responses", json={"model": MODEL, **CASES["tools"]}).json()
    assert response(api.get(f"/responses/{made['id']}").json()) == made


def test_a_call_and_its_output(api: httpx.Client) -> None:
    called = response(api.post("/responses", json={"model": MODEL, **CASES["tool named"]}).json())
    output = {"type": "function_call_output", "call_id": called["output"][-1]["call_id"], "output": "18 C"}
    asked = {"model": MODEL, "tools": [WEATHER], "previous_response_id": called["id"], "input": [output]}
    output_is_right("a call and its output", response(api.post("/responses", json=asked).json()))


def test_a_response_that_continues_another(api: httpx.Client) -> None:
    first = response(api.post("/responses", json={"model": MODEL, **CASES["plain text"]}).json())
    asked = {"model": MODEL, "previous_response_id": first["id"], "input": "And again?"}
    next_one = response(api.post("/responses", json=asked).json())
    output_is_right("continued", next_one)
    assert next_one["previous_response_id"] == first["id"]


def test_a_stream_that_was_kept(api: httpx.Client) -> None:
    events = streamed(api, **CASES["reasoning before tools"])
    kept = f"/responses/{events[0]['response']['id']}"
    with api.stream("GET", kept, params={"stream": True, "starting_after": 2}) as answer:
        assert read_events(answer.iter_lines()) == events[3:]


def test_a_compaction_is_sent_back(api: httpx.Client) -> None:
    asked = {"model": MODEL, "input": [*CASES["several turns"]["input"], said("assistant", "Alice.")]}
    compacted = valid(types.CompactResource, api.post("/responses/compact", json=asked).json())
    assert [item["type"] for item in compacted["output"]] == ["compaction"]
    continued = api.post("/responses", json={"model": MODEL, "input": [*compacted["output"], said("user", "Again?")]})
    output_is_right("compaction", response(continued.json()))


def test_llm_comply_finds_nothing(server: Server) -> None:
    asked = ["run", "-u", server.base_url, "-k", server.key, "-m", MODEL, "--json"]
    done = subprocess.run([sys.executable, "-m", "llm_comply.cli", *asked], capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    complaints = {each["id"]: _own_complaints(each) for each in report["results"] if each["status"] != "passed"}
    assert len(report["results"]) == 13
    assert complaints.pop("reasoning-summary")  # it is skipped
    assert not any(complaints.values())
    assert not [each for each in report["results"] if each.get("warnings")]


def _own_complaints(result: Any) -> list[str]:
    """Without what its version 0.5 has wrong: how the standard names the events of summaries."""
    wrong = {f"unknown SSE event type: response.reasoning_summary_text.{end}" for end in ("delta", "done")}
    return [error for error in result["errors"] if error not in wrong]


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver")
def test_llm_comply_finds_nothing_in_what_it_skips(server: Server) -> None:
    """It asks for reasoning only where the model is called like one of OpenAI's."""
    skipped = [case for case in get_tests("open-responses") if case.id == "reasoning-summary"]
    cases = [dataclasses.replace(case, skip_reason=None) for case in skipped]
    config = ComplianceConfig(server.base_url, server.key, MODEL)
    found = Runner(
        config, cases, SpecLoader(str(Path(llm_comply.__file__).parent / "specs/openresponses.json"))
    ).run_all()
    assert [(each.status.value, each.errors, each.warnings) for each in found.results] == [("passed", [], [])]
