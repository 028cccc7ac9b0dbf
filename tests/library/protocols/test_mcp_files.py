"""Files of calls of MCP: what a client sends by id, and what agents make."""

from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, Agent, function_tool

from agency_lambda import save_file
from agency_lambda.framework.offline_model import OfflineModel
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.files.forms import file_form, form_event
from tests.library.protocols.mcp_client import MODERN, Client, text

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 30


@function_tool
async def write() -> str:
    """Write a table."""
    return (await save_file(b"a,b\n", "table.csv")).name


def create() -> Agency:
    def script(turn: Any) -> Any:
        return "It is attached." if turn.calls else [("write", {})]

    return Agency(Agent(name="Clerk", instructions=".", tools=[write], model=OfflineModel("Clerk", script)))


@pytest.fixture
def service(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr("agencies.AGENCIES", {"desk": {"create_agency": create}})
    return start(API_KEYS=api_keys())


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", MODERN])
def test_what_an_agent_has_made_is_linked(service: Service, version: str) -> None:
    result = Client(service, version, **bearer("ann"), host="api.example.com").call("desk", message="x")
    (file,) = result["structuredContent"]["files"]
    assert file["uri"] == f"https://api.example.com/v1/files/{file['file_id']}/content"
    link = result["content"][-1]
    if version == "2025-03-26":
        assert link["text"] == f"table.csv: {file['uri']}"
    else:
        assert link == {"type": "resource_link", "uri": file["uri"], "name": "table.csv"}
    assert service.get(f"/v1/files/{file['file_id']}", **bearer("ann"))[1]["filename"] == "table.csv"


def test_without_its_routes_a_file_has_no_link(start: Callable[..., Service], service: Service) -> None:
    result = Client(start(PROTOCOLS="mcp"), **bearer("ann")).call("desk", message="x")
    assert "files" not in result["structuredContent"]


def test_files_are_sent_by_their_ids_and_are_their_owners(service: Service) -> None:
    ids = [
        service.send(form_event("/v1/files", file_form(content, name), **bearer("ann")))[1]["id"]
        for content, name in ((PNG, "a.png"), (b"hello", "a.txt"))
    ]
    arguments = {"message": "x", "images": ids[:1], "files": ids[1:]}
    result = Client(service, **bearer("ann")).call("desk", **arguments)
    assert result["isError"] is False
    response_id = result["structuredContent"]["response_id"]
    (item,) = service.get(f"/v1/responses/{response_id}/input_items", **bearer("ann"))[1]["data"]
    assert [part.get("file_id") for part in item["content"]] == [None, *ids]
    refusals = [("bob", arguments, "not found"), ("ann", {**arguments, "files": ids[:1]}, "is sent as 'input_image'")]
    for owner, given, words in refusals:
        refused = Client(service, **bearer(owner)).call("desk", **given)
        assert (refused["isError"], words in text(refused)) == (True, True)
