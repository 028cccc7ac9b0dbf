"""Clients of MCP that leave, and calls that are silent for long, over real connections."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.library.clients.server import Server, serve
from tests.library.conftest import AGENTS

AGENCIES = """
from agency_lambda.protocol import stream

stream.HEARTBEAT = 0.5  # before the first request imports it
AGENCIES = {"slow": "slow_agency:create_agency"}
"""
AGENCY = '''
import asyncio
from agency_swarm import Agency, Agent, function_tool
from agency_lambda.framework.offline_model import OfflineModel


@function_tool
async def rest(seconds: float) -> str:
    """Rest."""
    await asyncio.sleep(seconds)
    return "rested"


def script(turn):
    return "done" if turn.calls else [("rest", {"seconds": float(turn.message)})]


def create_agency():
    return Agency(Agent(name="Slow", instructions=".", tools=[rest], model=OfflineModel("Slow", script)))
'''
ACCEPT = {"accept": "application/json, text/event-stream"}
MODERN = "2026-07-28"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("agents")
    (folder / "agencies.py").write_text(AGENCIES)
    (folder / "slow_agency.py").write_text(AGENCY)
    path = f"{folder}:{AGENTS.parents[2]}:{AGENTS.parents[2] / 'src'}"
    with serve(tmp_path_factory.mktemp("server"), PYTHONPATH=path) as running:
        yield running


def call(server: Server, seconds: float, version: str, **more: Any) -> dict[str, Any]:
    """What httpx sends."""
    meta: dict[str, Any] = {}
    headers = {**ACCEPT, "authorization": f"Bearer {server.key}", "mcp-protocol-version": version}
    if version == MODERN:
        own = "io.modelcontextprotocol/"
        meta = {f"{own}protocolVersion": version, f"{own}clientCapabilities": {}}
        headers |= {"mcp-method": "tools/call", "mcp-name": "slow"}
    parameters = {"name": "slow", "arguments": {"message": str(seconds)}, "_meta": {**meta, **more}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
    return {"method": "POST", "url": f"{server.url}/mcp", "json": message, "headers": headers, "timeout": 20}


def status_of_last(server: Server, known: int) -> str:
    """Returns the status of the newest run when it is over, and there are more than were known."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        page = httpx.get(f"{server.url}/v1/responses", headers={"authorization": f"Bearer {server.key}"}).json()["data"]
        if len(page) > known and page[0]["status"] not in ("queued", "in_progress"):
            return str(page[0]["status"])
        time.sleep(0.1)
    return "not over"


def known(server: Server) -> int:
    return len(
        httpx.get(f"{server.url}/v1/responses", headers={"authorization": f"Bearer {server.key}"}).json()["data"]
    )


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
def test_a_call_that_is_silent_for_long_becomes_a_stream(server: Server, version: str) -> None:
    with httpx.stream(**call(server, 1.5, version)) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        body = answer.read().decode()
    assert body.count(": still working") >= 1
    (event,) = [chunk for chunk in body.split("\n\n") if chunk.startswith("event: ")]
    assert "done" in json.loads(event.partition("data: ")[2])["result"]["content"][0]["text"]
    request = call(server, 1.5, version)
    request["headers"]["accept"] = "application/json"
    whole = httpx.request(**request)
    assert whole.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("version", "status"), [("2025-11-25", "completed"), (MODERN, "cancelled")])
@pytest.mark.parametrize("begins", [False, True])
def test_who_leaves_cancels_in_the_newest_version_alone(
    server: Server, version: str, status: str, begins: bool
) -> None:
    """begins: whether the stream has begun when the client leaves."""
    before = known(server)
    token = {"progressToken": 1} if begins else {}
    seconds = 12 if version == MODERN else 2  # whoever works on a run sees within three that it is cancelled
    request = {**call(server, seconds, version, **token), "timeout": 0.3}
    with contextlib.suppress(httpx.ReadTimeout), httpx.stream(**request) as answer:
        next(answer.iter_lines())
    assert status_of_last(server, before) == status
