"""`include: ["reasoning.encrypted_content"]`: what a client is given, it can send back, and nobody else."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agency_lambda.framework.models import provider as asking
from agency_lambda.run_service import close_run_service
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.history.provider import Provider

INCLUDE = ["reasoning.encrypted_content"]
GO_ON = {"role": "user", "content": "Go on."}


@pytest.fixture
def provider() -> Iterator[Provider]:
    asking._encrypts.clear()
    asking._unreadable.clear()
    with Provider() as provider:
        yield provider
    assert provider.refusals == []


@pytest.fixture
def service(provider: Provider, start: Callable[..., Service]) -> Service:
    return start(OPENAI_API_KEY="sk-secret", OPENAI_BASE_URL=provider.base_url, MODEL="gpt-5", API_KEYS=api_keys())


def ask(service: Service, given: Any = "hello", owner: str = "ann", **fields: Any) -> Any:
    body = {"model": "letters", "input": given, "store": False, **fields}
    status, answer = service.post("/v1/responses", body, **bearer(owner))
    assert status == 200, answer
    return answer


def thoughts(items: Any) -> list[Any]:
    return [item for item in items if item.get("type") == "reasoning" and "tool" not in item]


def sent(provider: Provider) -> list[str]:
    """The encrypted contents that the model was sent last."""
    return [item["encrypted_content"] for item in provider.bodies[-1]["input"] if "encrypted_content" in item]


@pytest.mark.parametrize("summary", [None, "auto"])
def test_it_is_given_and_goes_back_to_the_model(service: Service, provider: Provider, summary: str | None) -> None:
    provider.script = {"": ["reasoning+text", "reasoning+text"]}
    reasoning = {"reasoning": {"summary": summary}} if summary else {}
    output = ask(service, include=INCLUDE, **reasoning)["output"]
    (thought,) = thoughts(output)
    assert [item["type"] for item in output] == ["reasoning", "message"]
    assert set(thought) == {"type", "id", "summary", "status", "encrypted_content"}
    assert "gAAA1" in thought["encrypted_content"]
    again = ask(service, [{"role": "user", "content": "hello"}, *output, GO_ON], include=INCLUDE)["output"]
    assert sent(provider) == ["gAAA1"]
    kinds = [item.get("type") for item in provider.bodies[-1]["input"]]
    assert kinds == ["message", "reasoning", "message", "message"]
    ask(service, [{"role": "user", "content": "hello"}, *output, GO_ON, *again, GO_ON])
    assert sent(provider) == ["gAAA1", "gAAA3"]


def test_stream_has_the_items_of_the_whole_answer(service: Service, provider: Provider) -> None:
    for stream in (False, True):
        provider.script = {"": ["reasoning+text"]}
        provider.answers = type(provider.answers)()
        if not stream:
            whole = ask(service, include=INCLUDE, store=True)["output"]
            continue
        events = service_events(service, include=INCLUDE)
    output = events[-1]["response"]["output"]
    strip = [{name: value for name, value in item.items() if name != "id"} for item in output]
    assert strip == [{name: value for name, value in item.items() if name != "id"} for item in whole]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert "encrypted_content" not in added[0]
    assert done == output


def service_events(service: Service, **fields: Any) -> list[dict[str, Any]]:
    from agency_lambda.testing.events import Context, http_event
    from agency_lambda.testing.service import read_events

    body = {"model": "letters", "input": "hello", "stream": True, **fields}
    answer = service.handler(http_event("POST", "/v1/responses", body, **bearer("ann")), Context(60))
    return read_events(answer["body"])


def test_who_does_not_ask_is_not_given_it(service: Service, provider: Provider) -> None:
    provider.script = {"": ["reasoning+text", "reasoning+text"]}
    assert thoughts(ask(service)["output"]) == []
    shown = ask(service, reasoning={"summary": "auto"}, include=["message.output_text.logprobs"])["output"]
    assert "encrypted_content" not in json.dumps(shown)
    provider.encrypts = False
    asking._encrypts.clear()
    provider.script = {"": ["reasoning+text"]}
    assert thoughts(ask(service, include=INCLUDE)["output"]) == []
    provider.refusals.clear()  # it was asked once, and is not any more


def test_nobody_else_can_send_it(service: Service, provider: Provider) -> None:
    provider.script = {"": ["reasoning+text"]}
    output = ask(service, include=INCLUDE)["output"]
    given = [{"role": "user", "content": "hello"}, *output, GO_ON]
    ask(service, given, owner="bob")
    assert sent(provider) == []
    ask(service, given, model="letters/Registrar")
    assert sent(provider) == []
    content = output[0]["encrypted_content"]
    origin, code, rest = content.removeprefix("r1.").split(".")
    forged = ["gAAA1", "r1.", "r1.x", f"r1.{origin}.{code}.{rest}2", f"r1.{origin}.{'0' * 32}.{rest}"]
    for text in (*forged, f"r1.{'0' * 12}.{code}.{rest}", f"r1.é.é.{rest}", content[:-1]):
        ask(service, [given[0], {**output[0], "encrypted_content": text}, *given[2:]])
        assert sent(provider) == [], text
    ask(service, given)
    assert sent(provider) == ["gAAA1"]


def test_another_model_is_not_sent_it(provider: Provider, start: Callable[..., Service]) -> None:
    def served(model: str, key: str, given: Any, **fields: Any) -> list[Any]:
        url = provider.base_url
        service = start(OPENAI_API_KEY=key, OPENAI_BASE_URL=url, MODEL=model, API_KEYS=api_keys())
        output = ask(service, given, **fields)["output"]
        service.handler.run(close_run_service())
        return list(output)

    provider.script = {"": ["reasoning+text"]}
    given = [*served("gpt-5", "sk-secret", "hello", include=INCLUDE), GO_ON]
    for model, key, found in (
        ("gpt-5.1", "sk-secret", []),
        ("gpt-5", "sk-other", []),
        ("gpt-5", "sk-secret", ["gAAA1"]),
    ):
        served(model, key, given)
        assert sent(provider) == found


def test_conversation_and_input_items_show_it_as_it_was_sent(service: Service, provider: Provider) -> None:
    provider.script = {"": ["reasoning+text"]}
    output = ask(service, include=INCLUDE, store=True)["output"]
    _, conversation = service.post("/v1/conversations", {"items": [*output, GO_ON]}, **bearer("ann"))
    _, listed = service.get(f"/v1/conversations/{conversation['id']}/items?order=asc", **bearer("ann"))
    assert listed["data"][0]["encrypted_content"] == output[0]["encrypted_content"]
    ask(service, conversation=conversation["id"], store=True)
    assert sent(provider) == []  # what a client adds to a conversation is no memory of the agents' own thoughts
    references = [{"type": "item_reference", "id": item["id"]} for item in output]
    ask(service, [*references, GO_ON])
    assert sent(provider) == ["gAAA1"]
    status, answer = service.post("/v1/responses", {"model": "letters", "input": [output[0]]}, **bearer("ann"))
    assert (status, answer["error"]["param"]) == (400, "input")


def test_later_turn_is_stored_with_it(service: Service, provider: Provider) -> None:
    provider.script = {"": ["reasoning+text"]}
    output = ask(service, include=INCLUDE)["output"]
    response = ask(service, [{"role": "user", "content": "hello"}, *output, GO_ON], store=True)
    ask(service, previous_response_id=response["id"])
    assert sent(provider) == ["gAAA1"]
    provider.reads_encrypted = False  # the provider has other keys by now
    ask(service, previous_response_id=response["id"])
    assert sent(provider) == []
    provider.refusals.clear()
