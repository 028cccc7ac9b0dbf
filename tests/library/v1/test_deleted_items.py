"""DELETE /v1/conversations/{id}/items/{item}: gone for clients, for agents, and from the store."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.history import deleting
from agency_lambda.runs import creation
from agency_lambda.settings import get_settings
from agency_lambda.store import open_store
from tests.library.conftest import Service
from tests.library.model_server import ModelServer
from tests.library.v1.test_conversations import ASK, new, other_process, texts

SECRET = "Nordwind"


def items(service: Service, name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = service.get(f"/v1/conversations/{name}/items?order=asc&limit=100")[1]["data"]
    return listed


def delete(service: Service, name: str, item: str) -> tuple[int, Any]:
    return service.delete(f"/v1/conversations/{name}/items/{item}")


def stored(name: str) -> str:
    """Everything that the conversation's log holds."""

    async def read() -> str:
        store = open_store(get_settings().store)
        records = await store.query(f"local/conversation/{name}")
        await store.aclose()
        return json.dumps([record.body for record in records])

    return asyncio.run(read())


def test_item_is_gone_and_the_conversation_is_returned(service: Service) -> None:
    name = new(service, items=[{"role": "user", "content": f"I am {SECRET}."}], metadata={"a": "b"})
    service.respond("hello", conversation=name)
    first, second, *_ = items(service, name)
    status, conversation = delete(service, name, first["id"])
    assert (status, conversation) == (200, service.get(f"/v1/conversations/{name}")[1])
    assert conversation["metadata"] == {"a": "b"}
    assert SECRET not in stored(name)
    assert items(service, name)[0] == second
    for answer in (
        delete(service, name, first["id"]),
        service.get(f"/v1/conversations/{name}/items/{first['id']}"),
        delete(service, "conv_none", second["id"]),
    ):
        assert (answer[0], answer[1]["error"]["code"]) == (404, "not_found")
    service.respond("again", conversation=name)
    assert texts(service, name)[0] == "hello"


def test_no_model_is_given_it(start: Callable[..., Service]) -> None:
    with ModelServer(lambda request: "Fine.") as provider:
        service = start(OPENAI_API_KEY="k", OPENAI_BASE_URL=provider.base_url)
        name = new(service, items=[{"role": "user", "content": text} for text in ("x", f"I am {SECRET}.")])
        response = service.respond("Who am I?", conversation=name)
        for _ in range(2):  # and remembers the turns
            service.respond("Really?", conversation=name)
        assert SECRET in json.dumps(provider.requests[-1].body)
        assert delete(service, name, items(service, name)[1]["id"])[0] == 200
        for goes_on, turns in (({"previous_response_id": response["id"]}, 1), ({"conversation": name}, 3)):
            service.respond("Who am I now?", **goes_on)
            assert SECRET not in json.dumps(provider.requests[-1].body)
            assert len(provider.requests[-1].body["input"]) == 2 + 2 * turns
        for item in items(service, name):
            assert delete(service, name, item["id"])[0] == 200
        service.respond("Alone?", conversation=name)
        assert [item["content"] for item in provider.requests[-1].body["input"]] == ["Alone?"]


def test_run_holds_the_conversation(service: Service) -> None:
    name = new(service, items=[{"role": "user", "content": "x"}])
    (item,) = items(service, name)
    asyncio.run(other_process(name))
    status, answer = delete(service, name, item["id"])
    assert (status, answer["error"]["code"]) == (409, "conversation_busy")
    asyncio.run(other_process(name, takes=False))
    assert delete(service, name, item["id"])[0] == 200


def test_run_that_begins_meanwhile_reads_anew(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The item is deleted between the run's look at the conversation and its first write."""
    name = new(service, items=[{"role": "user", "content": f"Client {SECRET} asks for a date."}])
    (item,) = items(service, name)
    new_run, times = creation.new_run, [0]

    async def slow(store: Any, *args: Any) -> Any:
        run = await new_run(store, *args)
        times[0] += 1
        if times[0] == 1:
            await deleting.delete_item(store, "local", name, item["id"])
        return run

    monkeypatch.setattr("agency_lambda.runs.requests.new_run", slow)
    answer = service.respond("And the reply?", conversation=name)
    assert times[0] == 2
    assert SECRET not in json.dumps(answer["output"])
    assert texts(service, name)[0] == "And the reply?"


def test_two_at_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    name = new(service, items=[{"role": "user", "content": text} for text in "abc"])
    first, second, _ = items(service, name)
    load, times = deleting.load_records, [0]

    async def slow(store: Any, span: Any) -> Any:
        records = await load(store, span)
        times[0] += 1
        if times[0] == 1:
            await deleting.delete_item(store, "local", name, second["id"])
        return records

    monkeypatch.setattr(deleting, "load_records", slow)
    assert delete(service, name, first["id"])[0] == 200
    assert times[0] == 3
    assert texts(service, name) == ["c"]


def test_large_turn_on_every_store(start: Callable[..., Service], url: str) -> None:
    service = start(STORE=url)
    name = new(
        service, items=[{"role": "user", "content": "x" * 1_500_000}, {"role": "user", "content": "y" * 1_500_000}]
    )
    for item in items(service, name):
        assert delete(service, name, item["id"])[0] == 200
    assert items(service, name) == []
    assert service.respond("hello", conversation=name)["status"] == "completed"


def test_what_was_said_before_in_a_response_stays_there(service: Service) -> None:
    name = new(service)
    response = service.respond(f"I am {SECRET}.", conversation=name)
    for item in items(service, name):
        assert delete(service, name, item["id"])[0] == 200
    assert SECRET in str(service.get(f"/v1/responses/{response['id']}/input_items")[1])
    assert service.post("/v1/responses", {**ASK, "previous_response_id": response["id"]})[0] == 200
