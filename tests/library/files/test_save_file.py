"""`save_file`: what a tool makes is the caller's, once, and is cited in the answer."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import Agency, Agent, BaseTool, function_tool
from openai.types.responses import Response
from pydantic import BaseModel

from agency_lambda import catalogue, save_file
from agency_lambda.errors import InvalidRequest, StoreUnavailable
from agency_lambda.protocol import bounds
from agency_lambda.runs import model
from agency_lambda.runs.journal_store import JournalStore
from agency_lambda.store import Delete, Store
from agency_lambda.testing.events import Context, http_event
from agency_lambda.testing.service import read_events
from tests.library.conftest import Service
from tests.library.files.test_inputs import ANN, BOB, KEYS
from tests.library.model_server import Failure, ModelServer

CSV = b"a,b\n1,2\n"
calls: list[str] = []


@function_tool
async def awaits() -> str:
    """Save a file."""
    calls.append("awaits")
    return (await save_file(CSV, "table.csv")).id


@function_tool
def blocks() -> str:
    """Save a file."""
    file = save_file(CSV, "../table.csv")
    return f"{file.name} {file.size} {file.media_type}"


class Writes(BaseTool):
    """Save a file of the disk."""

    folder: str

    def run(self) -> str:
        path = Path(self.folder) / "table.csv"
        path.write_bytes(CSV)
        return save_file(path).id


@function_tool
def with_a_loop_of_its_own() -> str:
    """Save a file from another loop."""

    async def save() -> str:
        return (await save_file(CSV, "table.csv")).id

    return asyncio.run(save())


@function_tool
async def forgets() -> str:
    """Forget to await."""
    return save_file(CSV, "table.csv").id


@function_tool
async def too_much() -> str:
    """Save too large a file, and go on."""
    try:
        await save_file(b"x" * 11, "x.txt")
    except InvalidRequest as error:
        return f"refused: {error}"
    return "saved"


class Report(BaseModel):
    text: str


@pytest.fixture
def served(start: Callable[..., Service], clean_environment: pytest.MonkeyPatch) -> Callable[..., Service]:
    tools = [awaits, blocks, Writes, with_a_loop_of_its_own, forgets, too_much]
    agents = {
        "desk": lambda: Agency(Agent(name="Solo", instructions=".", tools=tools)),
        "typed": lambda: Agency(Agent(name="Solo", instructions=".", tools=tools, output_type=Report)),
    }
    clean_environment.setattr(catalogue, "factories", lambda: agents)
    calls.clear()

    def serve(server: ModelServer) -> Service:
        return start(OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url, API_KEYS=KEYS)

    return serve


def cited(response: Any) -> list[Any]:
    (message,) = [item for item in response["output"] if item["type"] == "message"]
    return [each for part in message["content"] for each in part["annotations"]]


def content(service: Service, path: str, **key: str) -> tuple[int, str]:
    answer = service.handler(http_event("GET", path, **key), Context(60))
    return answer["statusCode"], answer["body"]


@pytest.mark.parametrize("tool", ["awaits", "blocks", "Writes", "with_a_loop_of_its_own"])
def test_file_is_cited_and_can_be_downloaded(served: Callable[..., Service], tmp_path: Path, tool: str) -> None:
    arguments = {"folder": str(tmp_path)} if tool == "Writes" else {}
    with ModelServer([[(tool, arguments)], "See table.csv."]) as server:
        service = served(server)
        status, response = service.post("/v1/responses", {"model": "desk", "input": "Save it."}, **ANN)
        assert status == 200
        Response.model_validate(response, strict=True)
        (citation,) = cited(response)
        assert citation == {
            "type": "container_file_citation",
            "container_id": f"cntr_{response['id'].removeprefix('resp_')}",
            "file_id": citation["file_id"],
            "filename": "table.csv",
            "start_index": 4,
            "end_index": 13,
        }
        file = service.get(f"/v1/files/{citation['file_id']}", **ANN)[1]
        assert (file["filename"], file["bytes"], file["purpose"]) == ("table.csv", len(CSV), "assistants_output")
        in_container = f"/v1/containers/{citation['container_id']}/files/{file['id']}/content"
        for path in (f"/v1/files/{file['id']}/content", in_container):
            assert content(service, path, **ANN) == (200, CSV.decode())
            assert content(service, path, **BOB)[0] == 404
        assert content(service, in_container.replace("cntr_", "cntr_x"), **ANN)[0] == 404


def test_stream_announces_what_is_cited(served: Callable[..., Service]) -> None:
    with ModelServer([[("awaits", {}), ("blocks", {})], "Here they are."]) as server:
        service = served(server)
        body = {"model": "desk", "input": "Save it.", "stream": True}
        answer = service.handler(http_event("POST", "/v1/responses", body, **ANN), Context(60))
        events = read_events(answer["body"])
        added = [event for event in events if event["type"] == "response.output_text.annotation.added"]
        assert [event["annotation_index"] for event in added] == [0, 1]
        final = events[-1]["response"]
        assert [event["annotation"] for event in added] == cited(final)
        (done,) = [event for event in events if event["type"] == "response.content_part.done"]
        assert done["part"]["annotations"] == cited(final)
        types = [event["type"] for event in events]
        last_delta = len(types) - 1 - types[::-1].index("response.output_text.delta")
        assert last_delta < types.index(added[0]["type"]) < types.index("response.content_part.done")


def test_answer_that_waits_for_its_checks_cites_too(served: Callable[..., Service]) -> None:
    with ModelServer([[("awaits", {})], '{"text": "See table.csv."}']) as server:
        status, response = served(server).post("/v1/responses", {"model": "typed", "input": "Save it."}, **ANN)
        assert (status, len(cited(response))) == (200, 1)


def test_next_attempt_cites_what_an_earlier_one_has_saved(served: Callable[..., Service]) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    with ModelServer([[("awaits", {})], Failure(503), "done"]) as server:
        service = served(server)
        _, begun = service.post("/v1/responses", {"model": "desk", "input": "Save.", "background": True}, **ANN)
        for _ in range(2):
            service.handler.run(worker.work(get_run_service(), begun["id"]))
        _, ended = service.get(f"/v1/responses/{begun['id']}", **ANN)
        files = service.get("/v1/files", **ANN)[1]["data"]
        assert [each["file_id"] for each in cited(ended)] == [each["id"] for each in files]
        assert (len(files), calls) == (1, ["awaits"])


@pytest.mark.parametrize("lost", ["tool", "file"])
def test_tool_that_is_called_again_gets_the_same_file(
    served: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Its attempt has ended before its output was stored, or before the file was."""
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    original, losses = JournalStore._add, [1]

    async def add(journal: JournalStore, store: Store, key: str, *args: Any) -> Any:
        if not (key.startswith("tool/") and losses):
            return await original(journal, store, key, *args)
        losses.clear()
        if lost == "file":
            (record,) = await store.query("ann/files")
            await store.write(Delete("ann/files", record.sort))
        raise StoreUnavailable("away")

    monkeypatch.setattr(JournalStore, "_add", add)
    monkeypatch.setattr(model, "LEASE_SECONDS", 0.5)
    with ModelServer([[("awaits", {})], "done"]) as server:
        service = served(server)
        _, begun = service.post("/v1/responses", {"model": "desk", "input": "Save.", "background": True}, **ANN)
        service.handler.run(worker.work(get_run_service(), begun["id"]))
        time.sleep(0.6)
        service.handler.run(worker.work(get_run_service(), begun["id"]))
        _, ended = service.get(f"/v1/responses/{begun['id']}", **ANN)
        (file,) = service.get("/v1/files", **ANN)[1]["data"]
        assert [each["file_id"] for each in cited(ended)] == [file["id"]]
        assert calls == ["awaits", "awaits"]


def test_who_forgets_to_await_is_told(served: Callable[..., Service]) -> None:
    with ModelServer([[("forgets", {})], "done"]) as server:
        service = served(server)
        assert service.post("/v1/responses", {"model": "desk", "input": "Save."}, **ANN)[0] == 200
        assert "await save_file" in str(server.requests[1].items)
        assert service.get("/v1/files", **ANN)[1]["data"] == []


def test_file_that_is_refused_is_neither_stored_nor_cited(
    served: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agency_lambda.run_service import get_run_service
    from agency_lambda.runs import worker

    monkeypatch.setattr(bounds, "FILE", 10)
    with ModelServer([[("too_much", {})], Failure(503), "done"]) as server:
        service = served(server)
        _, begun = service.post("/v1/responses", {"model": "desk", "input": "Save.", "background": True}, **ANN)
        for _ in range(2):
            service.handler.run(worker.work(get_run_service(), begun["id"]))
        _, ended = service.get(f"/v1/responses/{begun['id']}", **ANN)
        assert (ended["status"], cited(ended)) == ("completed", [])
        assert service.get("/v1/files", **ANN)[1]["data"] == []


def test_outside_of_a_tool_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="in a tool"):
        save_file(CSV, "table.csv")
