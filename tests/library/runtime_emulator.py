"""A handler inside AWS's own runtime: the Runtime Interface Emulator and awslambdaric, without a container."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import httpx

from tests.library.paths import PYTHONPATH

ROOT = Path(__file__).parents[2]


def binary() -> Path | None:
    """The emulator for this machine, as the aws-sam-cli wheel ships it; None where there is none (macOS)."""
    spec = find_spec("samcli")
    kind = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
    if platform.system() != "Linux" or spec is None or spec.origin is None or kind is None:
        return None
    return Path(spec.origin).parent / "local" / "rapid" / f"aws-lambda-rie-{kind}"


class RuntimeEmulator:
    """One execution environment. `invoke` sends an event; one at a time, as on Lambda.

    environment: variables of the function; timeout in seconds.
    """

    def __init__(self, handler: str, environment: dict[str, str], timeout: int = 30) -> None:
        self._handler, self._timeout = handler, timeout
        self._environment = environment
        self.log_text = ""

    def __enter__(self) -> Self:
        emulator = binary()
        assert emulator is not None
        emulator.chmod(0o755)
        port, runtime_port = free_ports(2)
        self._url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        self._process = subprocess.Popen(
            [
                *(str(emulator), "--log-level", "error"),
                *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
                *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
                *(sys.executable, "-m", "awslambdaric", self._handler),
            ],
            cwd=ROOT,
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        wait_for(port)
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, 15)
        self.log_text, _ = self._process.communicate(timeout=10)

    def invoke(self, event: dict[str, Any]) -> Any:
        """The function's answer; text when the platform gave up on it."""
        answer = httpx.post(self._url, json=event, timeout=self._timeout + 30).text
        try:
            return json.loads(answer)
        except ValueError:
            return answer

    def _variables(self) -> dict[str, str]:
        """As on Lambda: nothing of this machine's own environment."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": PYTHONPATH,
            "LAMBDA_TASK_ROOT": str(ROOT),
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": "api",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(self._timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            **self._environment,
        }


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")
