"""What is clearly a mistake of the client's is a 400 that names it, and what only looks like one is taken."""

from typing import Any

import pytest

from tests.library.conftest import Service

MODEL = "letters"
USER = {"role": "user", "content": "go on"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "z"}


def refused(answer: tuple[int, Any], param: str, code: str = "invalid_request") -> str:
    status, body = answer
    assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, code), body
    return str(body["error"]["message"])


def ask(service: Service, items: list[Any], **more: Any) -> tuple[int, Any]:
    return service.post("/v1/responses", {"model": MODEL, "input": items, **more})


@pytest.mark.parametrize(
    ("items", "wrong"),
    [
        ([CALL, OUTPUT, USER], None),
        ([OUTPUT, CALL, USER], None),
        ([CALL, OUTPUT, OUTPUT, USER], 1),
        ([CALL, OUTPUT, {**OUTPUT, "output": "other"}, USER], 1),
        ([CALL, OUTPUT, CALL, OUTPUT, USER], None),  # a server that counts its calls anew each time
        ([CALL, OUTPUT, CALL, OUTPUT, OUTPUT, USER], 1),
        ([CALL, OUTPUT, {**CALL, "call_id": "c2"}, {**OUTPUT, "call_id": "c2"}, USER], None),
    ],
)
def test_a_call_has_one_output(service: Service, items: list[Any], wrong: int | None) -> None:
    for background in (False, True):
        answer = ask(service, items, background=background)
        if wrong is None:
            assert answer[0] == 200
        else:
            assert "'c1' has more than one output" in refused(answer, f"input[{wrong}].call_id")


def test_a_call_of_an_earlier_turn_has_one_output(service: Service) -> None:
    first = service.respond([CALL, OUTPUT, USER])["id"]
    other = {**OUTPUT, "output": "other"}
    refused(ask(service, [other, USER], previous_response_id=first), "input[0].call_id")
    assert ask(service, [CALL, OUTPUT, USER], previous_response_id=first)[0] == 200


def test_the_output_of_an_earlier_turn_may_be_sent_again(service: Service) -> None:
    """Semantic Kernel sends all of a loop with each answer; the model has it once."""
    first = service.respond([CALL, OUTPUT, USER])["id"]
    again = ask(service, [OUTPUT, USER], previous_response_id=first)[1]
    status, refusal = ask(service, [OUTPUT], previous_response_id=again["id"])
    assert (status, refusal["error"]["param"]) == (400, "input")  # nothing new
    repeated = {**CALL, "call_id": "c2"}, {**OUTPUT, "call_id": "c2"}
    assert ask(service, [OUTPUT, *repeated, USER], previous_response_id=again["id"])[0] == 200


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e400", '"\\ud800"', '{"\\udfff": 1}'])
@pytest.mark.parametrize("route", ["", "/compact", "/input_tokens"])
def test_what_json_cannot_hold_is_named(service: Service, route: str, value: str) -> None:
    text = f'{{"model": "letters", "input": [{{"role": "user", "content": "NaN"}}, {{"a": [0, {value}]}}]}}'
    param = "input[1].a[1]" + ".?" * value.startswith("{")
    assert refused(service.post(f"/v1/responses{route}", text), param).startswith(param)


@pytest.mark.parametrize("name", ["id", "agent", "parent", "recipient", "tool"])
@pytest.mark.parametrize("item", [USER, {"type": "reasoning"}, CALL], ids=["message", "reasoning", "call"])
def test_what_is_read_over_is_a_string_at_least(service: Service, item: dict[str, Any], name: str) -> None:
    for value in (5, True, [], {}):
        refused(service.post("/v1/conversations", {"items": [{**item, name: value}]}), f"items[0].{name}")
    for value in ("x", None):
        assert service.post("/v1/conversations", {"items": [{**item, name: value}]})[0] == 200


def test_the_status_of_a_message_is_one_that_a_message_has(service: Service) -> None:
    for value in ("bogus", 5, [], {}, ""):
        refused(service.post("/v1/conversations", {"items": [{**USER, "status": value}]}), "items[0].status")
    for value in ("in_progress", "completed", "incomplete", None):
        assert service.post("/v1/conversations", {"items": [{**USER, "status": value}]})[0] == 200


def test_a_reference_may_have_no_type_but_has_an_id(service: Service) -> None:
    answered = service.respond("hello")["output"][-1]["id"]
    for reference in ({"id": answered}, {"id": answered, "type": None}, {"id": answered, "type": "item_reference"}):
        status, response = ask(service, [reference, USER])
        assert status == 200
        shown = service.get(f"/v1/responses/{response['id']}/input_items?order=asc")[1]["data"]
        assert (shown[0]["type"], shown[0]["role"]) == ("message", "assistant")
    for name in (None, 5, [], {}):
        refused(ask(service, [USER, {"type": "item_reference", "id": name}]), "input[1].id")
    refused(ask(service, [USER, {"type": "item_reference"}]), "input[1].id")
    refused(ask(service, [{"id": answered, "foo": 1}, USER]), "input[0].type", "unsupported_parameter")
    assert ask(service, [{"id": "msg_" + "0" * 48}, USER])[0] == 404


def test_events_are_asked_for_as_the_openai_package_asks(service: Service) -> None:
    path = f"/v1/responses/{service.respond('hello', stream=True)[-1]['response']['id']}"
    assert service.get(f"{path}?include_obfuscation=false")[0] == 200
    assert service.get(f"{path}?include_obfuscation=true")[0] == 200
    for query in ("starting_after=1", "stream=false&starting_after=0", "starting_after=-1"):
        assert "stream=true" in refused(service.get(f"{path}?{query}"), "starting_after")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"annotations": [{"type": "file_citation", "index": "x", "file_id": "f", "filename": "n"}]}, "[0].index"),
        ({"annotations": [{"type": "url_citation", "url": 5}]}, "[0]"),
        ({"annotations": [5]}, "[0]"),
        ({"annotations": 5}, ""),
    ],
)
def test_a_wrong_field_of_an_annotation_is_named_as_it_was_sent(
    service: Service, part: dict[str, Any], param: str
) -> None:
    content = [{"type": "output_text", "text": "x", **part}]
    status, body = service.post("/v1/conversations", {"items": [{"role": "assistant", "content": content}]})
    assert status == 400
    found = body["error"]["param"]
    assert found.startswith(f"items[0].content[0].annotations{param}")
    assert "Annotation" not in found


def test_a_name_that_is_too_long_is_named_as_it_was_sent(service: Service) -> None:
    for name in ("agent", "agency"):
        status, body = service.post("/completion", {"message": "x", name: "y" * 1_000_000})
        assert (status, body["error"]["message"][: len(name) + 1]) == (422, f"{name}:")
    assert service.post("/completion", {"message": "x", "agent": "y" * 256})[0] == 404
