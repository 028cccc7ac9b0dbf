"""Files as input, by id: models are sent the bytes, and what is stored has the id."""

import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from agency_swarm import Agency, Agent, Handoff, function_tool

from agency_lambda import catalogue
from agency_lambda.errors import FilesUnavailable
from agency_lambda.files.folder import FolderStorage
from agency_lambda.protocol import bounds
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form_event
from tests.library.model_server import Failure, ModelServer

PNG, PDF = b"\x89PNG\r\n\x1a\n\0\xff", b"%PDF-1.7\n\xff"
FILES = {"a.png": PNG, "a.pdf": PDF, "a.md": "# Grüße".encode(), "a.zip": b"PK\x03\x04\xff"}
KEYS = ",".join(f"{name}:{sha256(name.encode()).hexdigest()}" for name in ("ann", "bob"))
ANN, BOB = {"authorization": "Bearer ann"}, {"authorization": "Bearer bob"}


@pytest.fixture(autouse=True)
def desk(clean_environment: pytest.MonkeyPatch) -> None:
    def create_agency() -> Agency:
        other = Agent(name="Other", instructions=".")
        solo = Agent(name="Solo", instructions=".", tools=[look])
        return Agency(solo, communication_flows=[(solo, other, Handoff)])

    @function_tool
    def look() -> str:
        return "seen"

    clean_environment.setattr(catalogue, "factories", lambda: {"desk": create_agency})


def with_model(start: Callable[..., Service], server: ModelServer, **settings: str) -> Service:
    return start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url, API_KEYS=KEYS, **settings)


def create(service: Service, name: str, content: bytes | None = None, key: dict[str, str] = ANN) -> str:
    event = form_event("/v1/files", file_form(FILES[name] if content is None else content, name), **key)
    status, file = service.send(event)
    assert status == 200, file
    return str(file["id"])


def part(file_id: str, kind: str = "input_file", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "file_id": file_id, **fields}


def ask(service: Service, *parts: dict[str, Any], key: dict[str, str] = ANN, **fields: Any) -> tuple[int, Any]:
    text = {"type": "input_text", "text": "What is it?"}
    body = {"model": "desk", "input": [{"role": "user", "content": [text, *parts]}], **fields}
    return service.post("/v1/responses", body, **key)


def sent(server: ModelServer, number: int = -1) -> list[Any]:
    """The parts of all messages in a request to the provider."""
    contents = [item["content"] for item in server.requests[number].items if item.get("role") == "user"]
    return [each for content in contents for each in (content if isinstance(content, list) else [content])]


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"


def test_models_are_sent_the_bytes_and_the_id_is_stored(start: Callable[..., Service]) -> None:
    with ModelServer(["a", "b"]) as server:
        service = with_model(start, server)
        image, pdf, text = (create(service, name) for name in ("a.png", "a.pdf", "a.md"))
        parts = [part(image, "input_image", detail="high"), part(pdf), part(text)]
        status, response = ask(service, *parts)
        assert (status, response["status"]) == (200, "completed")
        _, image_sent, pdf_sent, text_sent = sent(server)
        assert image_sent == {
            **{"type": "input_image", "detail": "high"},
            "image_url": data_url("image/png", PNG),
        }
        assert pdf_sent == {
            **{"type": "input_file", "filename": "a.pdf"},
            "file_data": data_url("application/pdf", PDF),
        }
        assert text_sent == {"type": "input_text", "text": "[File a.md]\n# Grüße"}
        (stored,) = service.get(f"/v1/responses/{response['id']}/input_items", **ANN)[1]["data"]
        assert stored["content"][1:] == parts
        assert ask(service, previous_response_id=response["id"])[0] == 200
        assert sent(server)[1:4] == [image_sent, pdf_sent, text_sent]  # in the next turn, too


def test_chat_completions_of_a_provider_are_sent_the_bytes(start: Callable[..., Service]) -> None:
    with ModelServer(["a"]) as server:
        service = with_model(start, server, MODEL_API="chat")
        image, pdf, text = (create(service, name) for name in ("a.png", "a.pdf", "a.md"))
        assert ask(service, part(image, "input_image"), part(pdf), part(text))[0] == 200
        content = server.requests[0].body["messages"][-1]["content"]
        assert content[1]["image_url"]["url"] == data_url("image/png", PNG)
        assert content[2]["file"]["file_data"] == data_url("application/pdf", PDF)
        assert content[3]["text"] == "[File a.md]\n# Grüße"


def test_file_that_is_gone_in_a_later_turn_is_said_to_be(start: Callable[..., Service]) -> None:
    with ModelServer(["a", "b"]) as server:
        service = with_model(start, server)
        file = create(service, "a.png")
        _, response = ask(service, part(file, "input_image"))
        assert service.delete(f"/v1/files/{file}", **ANN)[0] == 200
        status, answered = ask(service, previous_response_id=response["id"])
        assert (status, answered["status"]) == (200, "completed")
        assert sent(server)[1] == {
            "type": "input_text",
            "text": f"[The file {file} that was here is not stored any more.]",
        }


@pytest.mark.parametrize("stream", [False, True])
def test_files_that_are_no_input_are_refused_before_a_model_is_asked(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    with ModelServer([]) as server:
        service = with_model(start, server)
        mine = {name: create(service, name) for name in FILES}
        theirs, deleted = create(service, "a.md", key=BOB), create(service, "a.md")
        service.delete(f"/v1/files/{deleted}", **ANN)
        monkeypatch.setattr(bounds, "MODEL_FILES", 2 * len(FILES["a.md"]))
        refused = [
            *(
                (part(file), 404, "not_found")
                for file in (theirs, deleted, "file-abc123", "", "../x", "file-" + "0" * 32)
            ),
            (part(mine["a.zip"]), 400, "unsupported_parameter"),
            (part(mine["a.zip"], "input_image"), 400, "unsupported_parameter"),
            (part(mine["a.png"]), 400, "unsupported_parameter"),
            (part(mine["a.pdf"], "input_image"), 400, "unsupported_parameter"),
            (part(mine["a.pdf"], file_data="data:text/plain;base64,eA=="), 400, "invalid_request"),
        ]
        for each, status, code in refused:
            answer = ask(service, each, stream=stream)
            assert (answer[0], answer[1]["error"]["code"]) == (status, code), each
            assert answer[1]["error"]["param"].startswith("input[0].content[1].file_")
        status, answer = ask(service, *[part(mine["a.md"])] * 3)
        assert (status, answer["error"]["param"]) == (400, "input[0].content[3].file_id")
        many = [part(mine["a.md"])] * (bounds.INPUT_FILES + 1)
        assert ask(service, *many)[0] == 400
        assert server.requests == []
        assert service.get("/v1/responses", **ANN)[1]["data"] == []


def test_items_of_conversations(start: Callable[..., Service]) -> None:
    with ModelServer(["a"]) as server:
        service = with_model(start, server)
        file, theirs = create(service, "a.md"), create(service, "a.md", key=BOB)
        item = {"role": "user", "content": [part(file)]}
        for path in ("/v1/conversations", "/v1/conversations/x/items"):
            refused = {"items": [item, {"role": "user", "content": [part(theirs)]}]}
            status, answer = service.post(path, refused, **ANN)
            assert (status, answer["error"]["param"]) == (404, "items[1].content[0].file_id")
        conversation = service.post("/v1/conversations", {"items": [item]}, **ANN)[1]["id"]
        assert ask(service, conversation=conversation)[0] == 200
        assert sent(server)[0] == {"type": "input_text", "text": "[File a.md]\n# Grüße"}


def test_compaction_of_files_that_are_not_the_callers_is_refused(start: Callable[..., Service]) -> None:
    with ModelServer(["a"]) as server:
        service = with_model(start, server)
        for file in (create(service, "a.md", key=BOB), f"file-{0:032x}"):
            given = {"model": "desk", "input": [{"role": "user", "content": [part(file)]}]}
            status, answer = service.post("/v1/responses/compact", given, **ANN)
            assert (status, answer["error"]["param"]) == (404, "input[0].content[0].file_id")
        assert not server.requests


def test_compaction_with_a_file_that_is_gone_can_be_sent(start: Callable[..., Service]) -> None:
    with ModelServer(["a"]) as server:
        service = with_model(start, server)
        file = create(service, "a.md")
        given = {"model": "desk", "input": [{"role": "user", "content": [part(file)]}]}
        (compaction,) = service.post("/v1/responses/compact", given, **ANN)[1]["output"]
        service.delete(f"/v1/files/{file}", **ANN)
        question = {"role": "user", "content": "go on"}
        body = {"model": "desk", "input": [compaction, question]}
        assert service.post("/v1/responses", body, **ANN)[0] == 200
        assert "not stored any more" in str(sent(server))


def test_output_of_a_clients_function_may_be_a_file(start: Callable[..., Service]) -> None:
    tool = {"type": "function", "name": "fetch", "parameters": {"type": "object", "properties": {}}}
    with ModelServer([[("fetch", {})], "done"]) as server:
        service = with_model(start, server)
        file = create(service, "a.png")
        _, asked = ask(service, tools=[tool])
        output = {"type": "function_call_output", "call_id": asked["output"][-1]["call_id"]}
        body = {"model": "desk", "tools": [tool], "previous_response_id": asked["id"]}
        body["input"] = [{**output, "output": [part(file, "input_image")]}]
        assert service.post("/v1/responses", body, **ANN)[0] == 200
        (given,) = [item["output"] for item in server.requests[1].items if item["type"] == "function_call_output"]
        assert given[0]["image_url"] == data_url("image/png", PNG)


def test_colleague_who_takes_over_sees_the_file(start: Callable[..., Service]) -> None:
    with ModelServer([[("transfer_to_Other", {})], "done"]) as server:
        service = with_model(start, server)
        status, response = ask(service, part(create(service, "a.md")))
        assert (status, response["output"][-1]["agent"]) == (200, "Other")
        assert sent(server)[1] == sent(server, 0)[1] == {"type": "input_text", "text": "[File a.md]\n# Grüße"}


def test_next_attempt_finds_its_answers_although_the_file_is_gone(start: Callable[..., Service]) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    with ModelServer([[("look", {})], Failure(503), "done"]) as server:
        service = with_model(start, server)
        file = create(service, "a.md")
        _, begun = ask(service, part(file), background=True)
        service.handler.run(worker.work(get_run_service(), begun["id"]))
        service.delete(f"/v1/files/{file}", **ANN)
        service.handler.run(worker.work(get_run_service(), begun["id"]))
        _, ended = service.get(f"/v1/responses/{begun['id']}", **ANN)
        assert (ended["status"], ended["usage"]["replayed_calls"]) == ("completed", 1)
        assert len(server.requests) == 3
        assert "not stored any more" in str(sent(server))


def test_file_is_read_once_in_a_run(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    reads, original = list[str](), FolderStorage.get

    async def get(storage: FolderStorage, key: str) -> bytes:
        reads.append(key)
        return await original(storage, key)

    monkeypatch.setattr(FolderStorage, "get", get)
    with ModelServer([[("look", {})], [("look", {})], "done"]) as server:
        service = with_model(start, server)
        file = create(service, "a.md")
        assert ask(service, part(file), part(file))[0] == 200
        assert len(server.requests) == 3
        assert reads == [file]


def test_storage_that_is_away_for_a_while_costs_an_attempt_and_not_the_run(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import model, worker

    away, original = [True], FolderStorage.get
    monkeypatch.setattr(model, "LEASE_SECONDS", 0.5)

    async def get(storage: FolderStorage, key: str) -> bytes:
        if away[0]:
            raise FilesUnavailable("away")
        return await original(storage, key)

    monkeypatch.setattr(FolderStorage, "get", get)
    with ModelServer(["done"]) as server:
        service = with_model(start, server)
        status, begun = ask(service, part(create(service, "a.md")))
        assert (status, begun["status"]) == (202, "in_progress")
        away[0] = False
        time.sleep(0.6)
        service.handler.run(worker.work(get_run_service(), begun["id"]))
        assert service.get(f"/v1/responses/{begun['id']}", **ANN)[1]["status"] == "completed"


def test_last_files_of_a_long_conversation_are_sent(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MODEL_FILES", 10)
    with ModelServer(["a", "b", "c"]) as server:
        service = with_model(start, server)
        before = None
        for number in range(3):
            file = create(service, "a.md", f"{number}----".encode())
            status, response = ask(service, part(file), **({"previous_response_id": before} if before else {}))
            assert status == 200
            before = response["id"]
        files = [each["text"] for each in sent(server) if each["text"] != "What is it?"]
        assert files[0].startswith("[The file a.md that was here is left out")
        assert files[1:] == ["[File a.md]\n1----", "[File a.md]\n2----"]


def test_without_a_place_for_files_an_id_is_refused(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=KEYS, AWS_LAMBDA_FUNCTION_NAME="api")
    status, answer = ask(service, part("file-019a0000000070008000000000000000"))
    assert (status, answer["error"]["code"]) == (404, "files_not_configured")
