"""Rows of docs/agency-swarm.md: tools that run at the provider, and MCP servers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agency_swarm import (
    Agency,
    Agent,
    CodeInterpreter,
    CodeInterpreterTool,
    FileSearchTool,
    HostedMCPTool,
    ImageGenerationTool,
    WebSearchTool,
)
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai.types.responses import ResponseFileSearchToolCall
from openai.types.responses.response_file_search_tool_call import Result

from agency_lambda.errors import UpstreamFailed
from agency_lambda.framework.building import build
from agency_lambda.framework.models.events import message_item
from tests.library.features.rows import at_provider, holds, solo
from tests.library.runs.stage import Plays, play
from tests.library.runtime_emulator import free_ports

MCP: Any = {"type": "mcp", "server_label": "shop", "server_url": "https://shop.test", "require_approval": "never"}
HOSTED: dict[str, Any] = {
    "web_search": WebSearchTool(),
    "file_search": FileSearchTool(vector_store_ids=["vs_1"], include_search_results=True),
    "code_interpreter": CodeInterpreterTool(CodeInterpreter(type="code_interpreter", container={"type": "auto"})),
    "image_generation": ImageGenerationTool({"type": "image_generation"}),
    "mcp": HostedMCPTool(MCP),
}


def with_tools(*tools: Any, **settings: Any) -> Any:
    return lambda: Agency(Agent(name="Solo", instructions=".", tools=[*tools], **settings))


@holds("web_search", "file_search", "code_interpreter", "hosted_mcp")
@pytest.mark.parametrize("kind", HOSTED)
def test_a_hosted_tool_reaches_the_provider(kind: str) -> None:
    shown, (asked,) = at_provider(with_tools(HOSTED[kind]))
    (tool,) = asked.body["tools"]
    assert tool["type"] == kind
    assert shown.words == ["done"]


@holds("web_search_sources", "include_search_results")
def test_sources_and_results_are_asked_for() -> None:
    _, (asked,) = at_provider(with_tools(HOSTED["web_search"], HOSTED["file_search"]))
    assert {"web_search_call.action.sources", "file_search_call.results"} <= set(asked.body["include"])
    _, (asked,) = at_provider(with_tools(WebSearchTool(), include_web_search_sources=False))
    assert "web_search_call.action.sources" not in (asked.body.get("include") or [])


@holds("search_results_in_memory")
def test_what_was_found_is_no_secret_of_the_next_turn_and_no_item_of_the_answer() -> None:
    found = Result(file_id="file-1", filename="prices.txt", score=0.5, text="paper 3 EUR", attributes={})
    searched = ResponseFileSearchToolCall(
        id="fs_1", type="file_search_call", status="completed", queries=["paper"], results=[found]
    )
    model = Plays([searched, message_item("3 EUR")])
    shown = play(solo(model=model, tools=[HOSTED["file_search"]], include_search_results=True))
    assert shown.activities == ["Solo uses file_search"]
    assert "prices.txt" not in shown


STDIO = """
from mcp.server.fastmcp import FastMCP
server = FastMCP("words", log_level="ERROR")
@server.tool()
def shout(word: str) -> str:
    return word.upper()
server.run()
"""


@contextmanager
def running(port: int) -> Iterator[str]:
    """An MCP server on loopback with a tool `reverse_http`."""
    program = Path(__file__).parents[1] / "cdk" / "mcp_server.py"
    process = subprocess.Popen(
        [sys.executable, str(program), "http", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(*free_ports(1)) as url:
        yield url


@pytest.fixture
def apart() -> Iterator[None]:
    """The framework keeps connections to MCP servers by name for as long as the process lives."""
    from agency_swarm.tools.mcp_manager import default_mcp_manager

    yield
    loop = default_mcp_manager._bg_loop
    default_mcp_manager.shutdown_sync()
    assert loop is not None
    loop.close()


@holds("mcp_servers", "shared_mcp_servers")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("shared", [False, True])
def test_tools_of_an_mcp_server_are_called(url: str, apart: None, shared: bool) -> None:
    def desk() -> Agency:
        server = MCPServerStreamableHttp({"url": url}, name=f"words_{shared}")
        own, everybodys = ({}, [server]) if shared else ({"mcp_servers": [server]}, None)
        return Agency(Agent(name="Solo", instructions=".", **own), shared_mcp_servers=everybodys)

    shown, asked = at_provider(desk, [("reverse_http", {"word": "abc"})], "done")
    assert "cba" in str(asked[1].items)
    assert shown.activities == ["Solo uses reverse_http"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_agent_that_only_a_tool_knows_has_its_mcp_servers_too(url: str, apart: None) -> None:
    def desk() -> Agency:
        server = MCPServerStreamableHttp({"url": url}, name="words_inner")
        inner = Agent(name="Inner", instructions="You are Inner.", mcp_servers=[server])
        return Agency(Agent(name="Solo", instructions=".", tools=[inner.as_tool("inner", "Inner.")]))

    shown, _ = at_provider(desk, [("inner", {"input": "?"})], [("reverse_http", {"word": "abc"})], "cba", "done")
    assert shown.activities == ["Solo uses inner", "Inner uses reverse_http"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_that_is_away_is_named_and_tried_again_by_the_next_run(apart: None) -> None:
    (port,) = free_ports(1)

    def desk() -> Agency:
        server = MCPServerStreamableHttp({"url": f"http://127.0.0.1:{port}/mcp"}, name="away")
        return Agency(Agent(name="Solo", instructions=".", mcp_servers=[server]))

    build(desk)  # opens no connection
    for _ in range(2):
        with pytest.raises(UpstreamFailed, match="An MCP server of agent 'Solo' could not be reached: 'away'"):
            at_provider(desk)
    with running(port):
        shown, _ = at_provider(desk, [("reverse_http", {"word": "abc"})], "done")
        assert shown.activities == ["Solo uses reverse_http"]


@holds("mcp_stdio")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_mcp_server_that_is_a_program_is_started(apart: None) -> None:
    def desk() -> Agency:
        server = MCPServerStdio({"command": sys.executable, "args": ["-c", STDIO]}, name="shouting")
        return Agency(Agent(name="Solo", instructions=".", mcp_servers=[server]))

    _, asked = at_provider(desk, [("shout", {"word": "abc"})], "done")
    assert "ABC" in str(asked[1].items)
