"""`make run` prints what waits for a person, and commands that answer."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.library.conftest import PYTHONPATH
from tests.library.test_local import ROOT, environment

AGENCY = """
from agency_swarm import Agency, Agent, function_tool

@function_tool(needs_approval=True)
def pay(order: str) -> str:
    "Pays."
    return "paid"

def create_agency():
    return Agency(Agent(name="Payer", instructions=".", tools=[pay]))
"""


@contextmanager
def serving(folder: Path, port: int) -> Iterator["Queue[str]"]:
    """Yield the lines that the server prints."""
    command = [sys.executable, "-m", "handler.local"]
    settings = environment(folder, PORT=str(port)) | {"PYTHONPATH": f"{folder}:{PYTHONPATH}"}
    server = subprocess.Popen(command, env=settings, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    lines: Queue[str] = Queue()
    assert server.stdout
    reader = Thread(target=lambda out: [lines.put(line) for line in out], args=(server.stdout,))
    reader.start()
    try:
        yield lines
    finally:
        server.kill()
        server.wait()
        reader.join()
        server.stdout.close()


def printed(lines: "Queue[str]", begins: str) -> str:
    while not (line := lines.get(timeout=30)).startswith(begins):
        pass
    return line


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
def test_what_waits_is_printed_with_commands_that_answer(tmp_path: Path) -> None:
    (tmp_path / "payer").mkdir()
    (tmp_path / "payer" / "agency.py").write_text(AGENCY)
    (tmp_path / "agencies.py").write_text('AGENCIES = {"payer": "payer.agency:create_agency"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1/responses"
    with serving(tmp_path, port) as lines:
        printed(lines, "payer on http")
        run = httpx.post(url, json={"model": "payer", "input": "hello", "background": True}, timeout=30).json()["id"]
        assert "Payer of payer wants to call pay" in printed(lines, f"{run} waits:")
        command = printed(lines, "approve:")
        whole = httpx.post(url, json={"model": "payer", "input": "hello"}, timeout=30).json()["id"]
        (waiting, _) = httpx.get(f"http://127.0.0.1:{port}/v1/approvals").json()["data"]
        assert printed(lines, f"{whole} waits (goes on as {waiting['continued_by']}): Payer")
    with serving(tmp_path, port) as lines:  # what waits still is printed again
        assert printed(lines, f"{run} waits:")
        assert printed(lines, "approve:") == command
        decided = subprocess.run(
            command.removeprefix("approve:"), shell=True, capture_output=True, text=True, check=True
        )
        assert '"status":"approved"' in re.sub(r"\s", "", decided.stdout)
        assert "pay answered: paid" in answer(f"{url}/{run}")


def answer(url: str) -> str:
    for _ in range(100):
        response: Any = httpx.get(url).json()
        if response["status"] == "completed":
            return str(response["output"][-1]["content"][0]["text"])
        time.sleep(0.1)
    raise AssertionError(response)
