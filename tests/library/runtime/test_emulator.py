"""Our client against AWS's own Runtime API, that of the Runtime Interface Emulator."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from agency_lambda import __version__
from agency_lambda.testing.events import rest_event
from tests.library.runtime.environments import COMMAND, task_root, variables
from tests.library.runtime_emulator import binary, free_ports, wait_for

pytestmark = pytest.mark.skipif(binary() is None, reason="AWS ships its runtime emulator for Linux only")


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """run(command, NAME=value, ...) -> where events are sent. The command is wrapped by stream.sh."""
    started: list[subprocess.Popen[bytes]] = []
    root = task_root(tmp_path)

    def start(command: list[str], **more: str) -> str:
        emulator, (port, runtime_port) = binary(), free_ports(2)
        assert emulator
        emulator.chmod(0o755)
        addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        addresses += ["--runtime-api-address", f"127.0.0.1:{runtime_port}"]
        process = subprocess.Popen(
            [
                str(emulator),
                "--log-level",
                "error",
                *addresses,
                "sh",
                str(root / "lambda_loop" / "runtime" / "stream.sh"),
                *command,
            ],
            cwd=root,
            env=variables(tmp_path, **more),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        wait_for(port)
        return f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def test_awss_own_runtime_api_takes_our_answers(run: Run) -> None:
    """It does not stream, but it reads: the prelude, the NUL bytes and every piece."""
    url = run(COMMAND, _HANDLER="apps.handler")
    head = b'{"statusCode": 200, "headers": {%s}}' + bytes(8)
    expected = {
        "/hello": head % b'"content-type": "application/json"' + b'"hello"',
        "/trickle": head % b"" + b"01234",
        "/fails_late": head % b"" + b"half",
        "/nothing": head % b"",
    }
    for path, answer in expected.items():
        assert httpx.post(url, json=rest_event(path=path), timeout=20).content == answer
    failed = httpx.post(url, content=b"{}", timeout=20).json()
    assert failed["errorType"] == "RuntimeError"
    assert httpx.post(url, json=rest_event(path="/hello"), timeout=20).content == expected["/hello"]


def test_under_sam_local_awss_client_answers_whole(run: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "awslambdaric", "handler.stream.handler"]
    url = run(command, AWS_SAM_LOCAL="true", PYTHONPATH=str(tmp_path / "task"))
    answer = httpx.post(url, json=rest_event(path="/health"), timeout=20).json()
    assert (answer["statusCode"], answer["body"]) == (200, f'{{"status":"ok","version":"{__version__}"}}')
