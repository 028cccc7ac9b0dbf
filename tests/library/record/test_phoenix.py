"""A run as Arize Phoenix shows it. PHOENIX=path of its command, from a virtual environment of its own."""

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.library.clients.server import serve

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
_PHOENIX = os.environ.get("PHOENIX") or shutil.which("phoenix")
pytestmark = pytest.mark.skipif(not _PHOENIX, reason="Phoenix is not installed: PHOENIX=.../bin/phoenix")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def phoenix(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    settings = {
        "PHOENIX_WORKING_DIR": f"{tmp_path}",
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": f"{port}",
        "PHOENIX_GRPC_PORT": f"{free_port()}",
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": f"{tmp_path}", **settings}
    with subprocess.Popen([str(_PHOENIX), "serve"], env=environment, stdout=-3, stderr=-3) as process:
        try:
            yield started(process, f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def started(process: subprocess.Popen[bytes], url: str) -> str:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/healthz").is_success:
                return url
        time.sleep(0.5)
    raise RuntimeError("Phoenix has not started")


def shown(url: str) -> list[dict[str, Any]]:
    end = time.monotonic() + 40
    while time.monotonic() < end:
        found = httpx.get(f"{url}/v1/projects/default/spans", params={"limit": 100}, timeout=30)
        if found.is_success and found.json()["data"]:
            return list(found.json()["data"])
        time.sleep(0.5)
    raise RuntimeError("nothing has arrived")


def test_phoenix_shows_the_tree_the_tokens_and_the_times(phoenix: str, tmp_path: Path) -> None:
    with serve(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=phoenix) as server:
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {server.key}"}) as client:
            made = client.post("/v1/responses", json={"model": "letters", "input": "hello"}, timeout=60).json()
        spans = shown(phoenix)
    kinds = Counter(span["span_kind"] for span in spans)
    assert kinds["LLM"] == made["usage"]["model_calls"]
    assert kinds["AGENT"] > 1
    assert kinds["TOOL"] > 1
    tokens = [span["attributes"].get("llm.token_count.prompt", 0) for span in spans]
    assert sum(tokens) == made["usage"]["input_tokens"]
    ids = {span["context"]["span_id"]: span for span in spans}
    (root,) = [span for span in spans if span["parent_id"] is None]
    assert root["context"]["trace_id"] == made["id"].removeprefix("resp_")
    for span in spans:
        outer = ids[span["parent_id"]] if span["parent_id"] else span
        assert outer["start_time"] <= span["start_time"] <= span["end_time"] <= outer["end_time"]
