"""The official suite for servers of MCP: what it asks of a server whose tools are agencies."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.library.clients.server import ROOT, Server, serve

SUITE = ROOT / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = shutil.which("node")
pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node is not installed"),
    pytest.mark.skipif(not SUITE.is_file(), reason="not in node_modules: @modelcontextprotocol/conformance"),
]
APPLY = ("server-initialize", "ping", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection")
OF_ITS_OWN = "calls a tool of its own, with a fixed answer"
ELSEWHERE = {
    "tools-call-.*|json-schema-2020-12|elicitation-.*": OF_ITS_OWN,
    "server-sse-polling": f"{OF_ITS_OWN}, on a stream that is resumed by GET, which a server without sessions has not",
    "resources-.*|prompts-.*|completion-complete": "there are no resources, prompts and completions",
    "logging-set-level": "logs are for who runs the service",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It needs no key, as the suite has none."""
    with serve(tmp_path_factory.mktemp("open"), API_KEYS="", AUTH="none") as running:
        yield running


def suite(*arguments: str) -> str:
    script = Path(__file__).parent / "node" / "mcp_conformance.mjs"
    done = subprocess.run(
        [str(NODE), str(script), *arguments],
        env={"PATH": os.environ["PATH"], "SUITE": str(SUITE)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_scenario_applies_or_says_why_not() -> None:
    known = set(re.findall(r"^  - ([\w-]+)", suite("list", "--server"), re.MULTILINE))
    assert len(known) >= 30
    assert {*APPLY} <= known
    others = {name for name in known if any(re.fullmatch(pattern, name) for pattern in ELSEWHERE)}
    assert known == others | {*APPLY}
    assert not others & {*APPLY}


@pytest.mark.parametrize("scenario", APPLY)
def test_a_scenario_passes(server: Server, scenario: str) -> None:
    said = suite("server", "--url", f"{server.url.replace('127.0.0.1', 'localhost')}/mcp", "--scenario", scenario)
    passed = re.search(r"Passed: (\d+)/(\d+), 0 failed, 0 warnings", said)
    assert passed, said
    assert passed[1] == passed[2] != "0"
