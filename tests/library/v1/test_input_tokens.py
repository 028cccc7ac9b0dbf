"""POST /v1/responses/input_tokens: an estimate, of which no model and no store gets to know."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.framework.token_estimate import estimate_text
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form_event
from tests.library.model_server import ModelServer
from tests.library.v1.test_conversations import new

MODEL = "letters"
PATH = "/v1/responses/input_tokens"
TOOL = {"type": "function", "name": "f", "description": "x" * 400, "parameters": {"type": "object"}}


def count(service: Service, **body: Any) -> int:
    status, answer = service.post(PATH, {"model": MODEL, **body})
    assert (status, answer.keys()) == (200, {"object", "input_tokens"}), answer
    assert answer["object"] == "response.input_tokens"
    return int(answer["input_tokens"])


def part(kind: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": kind, **fields}]}]


@pytest.mark.parametrize(
    ("text", "tokens"),  # as OpenAI's o200k_base counts
    [
        ("Client Nordwind asks about next week's delivery. Prepare the reply, and say that we are sorry.", 20),
        ("Доставка на следующей неделе задерживается на два дня, так как поставщик сообщил нам только вчера.", 22),
        ("很抱歉。下周的交货将推迟两天。请您谅解。一旦有新的日期我们会立即通知您。", 31),
        ('{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}', 28),
        ("7919 15838 23757 31676 39595 47514 55433 63352 71271 79190", 29),
        ("", 0),
    ],
)
def test_estimate_is_near(text: str, tokens: int) -> None:
    assert abs(estimate_text(text) - tokens) <= 0.35 * tokens


def test_everything_that_the_model_would_get_counts(service: Service) -> None:
    least = count(service)
    assert 50 < least < 5_000
    assert count(service, model=f"{MODEL}/Registrar") != least  # each agent has its own tools
    assert count(service, input="x" * 4_000) - least == 1_000 + 4
    assert count(service, instructions="x" * 400) - least == 100
    assert 100 < count(service, tools=[TOOL]) - least < 150
    assert 10 < count(service, text={"format": {"type": "json_schema", "name": "n", "schema": {}}}) - least < 50
    image = "data:image/png;base64,iVBORw0KGgo="
    small = count(service, input=part("input_image", image_url=image, detail="low")) - least
    assert small < count(service, input=part("input_image", image_url=image)) - least < 2_000
    text = base64.b64encode(b"x" * 40_000).decode()
    assert count(service, input=part("input_file", file_data=f"data:text/plain;base64,{text}")) - least == 10_000 + 4
    assert count(service, input=part("input_file", file_data=f"data:application/pdf;base64,{text}")) - least < 2_000


def test_what_it_continues_counts(service: Service) -> None:
    name = new(service, items=[{"role": "user", "content": "x" * 4_000}])
    assert count(service, conversation=name) == count(service, conversation={"id": name}) == count(service) + 1_004
    response = service.respond("y" * 4_000)
    assert count(service, previous_response_id=response["id"], input="z") > count(service, input="z") + 1_000


def test_no_model_is_asked_and_nothing_is_stored(start: Callable[..., Service]) -> None:
    with ModelServer() as provider:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=provider.base_url)
        least = count(service, input="hello")
        assert provider.requests == []
        assert service.get("/v1/responses")[1]["data"] == []
        service.respond("hello")
        first = provider.requests[0].body
        sent = len(str(first["instructions"])) + len(str(first["tools"])) + len(str(first["input"]))
        assert abs(least - sent / 4) < 0.3 * sent / 4


def test_a_stored_text_counts_as_one_that_is_sent(service: Service) -> None:
    text = b"All appointments of the next week.\n" * 1_000
    _, file = service.send(form_event("/v1/files", file_form(text, "a.txt")))
    stored = count(service, input=part("input_file", file_id=file["id"]))
    url = "data:text/plain;base64," + base64.b64encode(text).decode()
    sent = count(service, input=part("input_file", filename="a.txt", file_data=url))
    assert 8_000 < sent <= stored < sent + 10


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"model": f"{MODEL}/Nobody"}, 404, "model"),
        ({"model": None}, 400, "model"),
        ({"personality": "friendly"}, 400, "personality"),
        ({"stream": True}, 400, "stream"),
        ({"tools": [{"type": "mcp"}]}, 400, "tools[0].type"),
        ({"tools": [{**TOOL, "name": "send_message"}]}, 400, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "none"}}, 400, "tool_choice"),
        ({"reasoning": {"effort": "most"}}, 400, "reasoning.effort"),
        ({"input": [{"type": "what"}]}, 400, "input[0].type"),
        ({"input": [{"role": "user", "content": "x"}] * 3_000}, 400, "input"),
        ({"input": part("input_file", file_id="../../x")}, 404, "input[0].content[0].file_id"),
        ({"input": part("input_file", file_id=f"file-{0:032x}")}, 404, "input[0].content[0].file_id"),
        ({"conversation": "conv_1"}, 404, "conversation"),
        ({"previous_response_id": "resp_1"}, 404, "previous_response_id"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, 400, "previous_response_id"),
    ],
)
def test_what_cannot_be_is_refused_by_name(service: Service, body: dict[str, Any], status: int, param: str) -> None:
    answered, answer = service.post(PATH, {"model": MODEL, "input": "x", **body})
    assert (answered, answer["error"]["param"]) == (status, param)
