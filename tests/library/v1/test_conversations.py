"""/v1/conversations, and runs in them: one at a time, nothing lost, nothing mixed."""

import asyncio
import json
import time
from typing import Any

import pytest

from agency_lambda.history.conversations import Conversations
from agency_lambda.runs.model import Lease
from agency_lambda.settings import get_settings
from agency_lambda.store import Delete, StoreUnavailable, open_store
from agency_lambda.store.sqlite import SQLiteStore
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

ASK = {"model": "letters", "input": "hello"}


def new(service: Service, **body: Any) -> str:
    status, conversation = service.post("/v1/conversations", body)
    assert (status, conversation["object"]) == (200, "conversation")
    return str(conversation["id"])


def texts(service: Service, conversation: str, query: str = "?order=asc&limit=100") -> list[str]:
    _, listed = service.get(f"/v1/conversations/{conversation}/items{query}")
    return [item["content"][0]["text"] for item in listed["data"] if item["type"] == "message"]


def test_a_conversation_is_made_read_changed_and_deleted(service: Service) -> None:
    name = new(service, metadata={"case": "7"})
    path = f"/v1/conversations/{name}"
    assert service.get(path)[1]["metadata"] == {"case": "7"}
    assert service.post(path, {"metadata": {"case": "8"}})[1]["metadata"] == {"case": "8"}
    assert service.delete(path) == (200, {"id": name, "object": "conversation.deleted", "deleted": True})
    for answer in (service.get(path), service.delete(path), service.get(f"{path}/items")):
        assert (answer[0], answer[1]["error"]["code"]) == (404, "not_found")
    assert service.post("/v1/responses", {**ASK, "conversation": name})[0] == 404


def test_what_is_said_in_it_is_kept_and_remembered(service: Service) -> None:
    name = new(service, items=[{"role": "user", "content": "My name is Alice."}])
    first = service.respond("What is my name?", conversation=name)
    assert first["conversation"] == {"id": name}
    second = service.respond("And again?", conversation={"id": name})
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    said = texts(service, name)
    assert said[:2] == ["My name is Alice.", "What is my name?"]
    assert said[3] == "And again?"
    assert len(said) == 5


def test_items_are_added_listed_in_pages_and_read(service: Service) -> None:
    name = new(service)
    path = f"/v1/conversations/{name}/items"
    for number in range(3):
        status, added = service.post(path, {"items": [{"role": "user", "content": f"message {number}"}]})
        assert (status, len(added["data"])) == (200, 1)
    assert texts(service, name) == ["message 0", "message 1", "message 2"]
    _, newest = service.get(f"{path}?limit=2")
    assert [item["content"][0]["text"] for item in newest["data"]] == ["message 2", "message 1"]
    assert newest["has_more"] is True
    assert texts(service, name, f"?after={newest['last_id']}") == ["message 0"]
    assert service.get(f"{path}/{newest['last_id']}") == (200, newest["data"][1])
    assert service.get(f"{path}/nobody")[0] == 404
    assert service.post(path, {"items": []})[0] == 400


def test_a_response_of_a_conversation_branches_without_touching_it(service: Service) -> None:
    name = new(service)
    first = service.respond("one", conversation=name)
    service.respond("two", conversation=name)
    beside = service.respond("beside", previous_response_id=first["id"])
    assert "conversation" not in beside
    assert "beside" not in texts(service, name)
    newest = service.respond("three", conversation=name)
    assert newest["status"] == "completed"
    assert len(texts(service, name)) == 6


def test_a_failed_run_leaves_the_conversation_as_it_was(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    name = new(service)
    service.respond("one", conversation=name)
    with monkeypatch.context() as broken:
        broken.setattr("agency_lambda.framework.execution.AgencyExecution._final_result", None)
        assert service.post("/v1/responses", {**ASK, "conversation": name})[0] == 500
    assert len(texts(service, name)) == 2
    assert service.respond("two", conversation=name)["status"] == "completed"


async def other_process(name: str, *, takes: bool = True) -> None:
    """Another process runs in the conversation, or no longer does."""
    store = open_store(get_settings().store)
    conversation = await Conversations(store, "local").load_to_extend(name, create=True)
    now = time.time()
    lease = Lease("resp_other", "local", holder="other", until=now + 20, attempts=1, queued_at=now)
    if takes:
        await store.write(conversation.acquire("resp_other"), lease.put())
    else:
        await store.write(conversation.release("resp_other"), Delete(lease.partition, lease.id))
    await store.aclose()


def test_a_busy_conversation_says_so_before_anything_is_done(service: Service) -> None:
    name = new(service)
    asyncio.run(other_process(name))
    for path, body in (
        ("/v1/responses", {**ASK, "conversation": name}),
        ("/v1/responses", {**ASK, "conversation": name, "stream": True}),
        (f"/v1/conversations/{name}/items", {"items": [{"role": "user", "content": "x"}]}),
    ):
        status, answer = service.post(path, body)
        assert (status, answer["error"]["code"]) == (409, "conversation_busy")
        assert "model_calls" not in service.report.fields
    asyncio.run(other_process(name, takes=False))
    assert service.respond("now", conversation=name)["status"] == "completed"


def test_a_thread_of_completion_is_busy_too(service: Service) -> None:
    service.ask("one", thread_id="nordwind")
    asyncio.run(other_process("letters/nordwind"))
    status, answer = service.ask("two", thread_id="nordwind")
    assert (status, answer["error"]["type"]) == (409, "conversation_busy")


def test_two_requests_at_once_never_mix(service: Service) -> None:
    name = new(service)
    body = json.dumps({**ASK, "conversation": name}).encode()

    async def ask() -> int:
        sent: list[Any] = []
        received = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return received.pop() if received else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
        scope = {"type": "http", "method": "POST", "path": "/v1/responses", "query_string": b"", "headers": headers}
        await service.handler.asgi(scope, receive, send)
        return int(sent[0]["status"])

    async def both() -> list[int]:
        return await asyncio.gather(*(ask() for _ in range(4)))

    statuses = service.handler.run(both())
    assert sorted(statuses) == [200, 409, 409, 409]
    assert len(texts(service, name)) == 2


@pytest.mark.parametrize("path", ["/v1/responses", "/completion"])
def test_a_history_that_cannot_be_read_is_a_503_and_never_empty(
    service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    name = new(service)
    service.respond("one", conversation=name)
    service.ask("one", thread_id="nordwind")

    async def broken(*args: Any, **options: Any) -> Any:
        raise StoreUnavailable("The store could not be read.")

    monkeypatch.setattr(SQLiteStore, "query", broken)
    body = {**ASK, "conversation": name} if path == "/v1/responses" else {"message": "two", "thread_id": "nordwind"}
    status, answer = service.post(path, body)
    assert status == 503
    assert "store_unavailable" in json.dumps(answer)
    assert "model_calls" not in service.report.fields


@pytest.mark.parametrize("what", ["its end", "anything after its beginning"])
def test_what_cannot_be_kept_is_not_called_completed(
    service: Service, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name = new(service)
    write, writes = SQLiteStore.write, []

    async def breaks(self: SQLiteStore, *changes: Any) -> None:
        writes.append(changes)
        ends = any(isinstance(change, Delete) for change in changes)
        if ends or (len(writes) > 1 and what != "its end"):
            raise StoreUnavailable("The store could not be written.")
        await write(self, *changes)

    monkeypatch.setattr(SQLiteStore, "write", breaks)
    monkeypatch.setattr("agency_lambda.runs.heartbeat.FLUSH", 60)
    answer = service.handler(
        http_event("POST", "/v1/responses", {**ASK, "conversation": name, "stream": True}), Context(60)
    )
    *_, last, done, _ = answer["body"].split("\n\n")
    event = json.loads(last.split("data: ")[1])
    assert (event["type"], event["response"]["status"], done) == ("response.in_progress", "in_progress", "data: [DONE]")
    assert event["resume"].endswith(f"&starting_after={event['sequence_number']}")
    writes.clear()
    answer = service.handler(http_event("POST", "/v1/responses", ASK), Context(60))
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["status"], told["error"]) == (202, "in_progress", None)
    assert answer["headers"]["location"] == f"/v1/responses/{told['id']}"
    assert service.get(f"/v1/responses/{told['id']}")[1]["status"] == "in_progress"
