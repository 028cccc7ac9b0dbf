"""An AWS on loopback, and `cdk` commands that deploy to it as a user's do to theirs."""

import os
import platform
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import boto3
import httpx

ROOT = Path(__file__).parents[2]
ARCHITECTURE = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "arm64"  # the functions run on this machine
STACK = "agency-lambda-dev"
PATIENCE = 30.0  # seconds, with an emulator that starts


class Cloud:
    """The emulator on a free port, with a state of its own, until the end of the `with`."""

    def __init__(self, folder: Path, emulator: Path = ROOT / "build" / "emulator" / "bin" / "ministack") -> None:
        self._folder, self._emulator = folder, emulator
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))},
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DEFAULT_ACCOUNT": "000000000000",
            "CDK_DEFAULT_REGION": "us-east-1",
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            "CI": "1",
        }

    def __enter__(self) -> Self:
        own = {
            **self.environment,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self._port),
            "MINISTACK_HOST": "localhost",
            "SERVICES_DIR": str(self._folder),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        del own["AWS_ENDPOINT_URL"], own["AWS_ENDPOINT_URL_S3"]
        with (self._folder / "emulator.log").open("wb") as log:  # the emulator has one of its own
            self._process = subprocess.Popen(
                [self._emulator], env=own, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            wait_until(self._is_up, PATIENCE)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self.log_text()
        try:
            return httpx.get(f"{self.url}/_ministack/health").is_success
        except httpx.TransportError:
            return False

    def log_text(self) -> str:
        """What the emulator wrote, and the functions in it."""
        return (self._folder / "emulator.log").read_text(errors="replace")

    def client(self, service: str) -> Any:
        """A client of boto3's."""
        return boto3.session.Session().client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def cdk(self, *arguments: str) -> str:
        """Run a command of cdk's on the dev environment; returns what it printed."""
        context = ("-c", f"architecture={ARCHITECTURE}", "-c", "worker_seconds=60", "-o", str(self._folder / "cdk.out"))
        return self.run("node_modules/.bin/cdk", *arguments, *context, PYTHONPATH=".:src")

    def run(self, *command: str, **variables: str) -> str:
        """Run a command of the project's; returns what it printed."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Begin a command of the project's."""
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def end(process: subprocess.Popen[str]) -> None:
        """With what it has started."""
        os.killpg(process.pid, signal.SIGTERM)

    def outputs(self) -> dict[str, str]:
        """What the service stack says of itself."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def resource(self, kind: str, name: str = "") -> str:
        """The physical id of the resource of this type whose logical id begins so."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        (found,) = [
            each["PhysicalResourceId"]
            for page in pages
            for each in page["StackResourceSummaries"]
            if each["ResourceType"] == kind and each["LogicalResourceId"].startswith(name)
        ]
        return str(found)

    def api(self) -> str:
        """The deployed API's address here: the one in the outputs is a real one."""
        match = re.fullmatch(r"https://([a-z0-9]+)\.execute-api\.[^/]+/(\w+)", self.outputs()["Url"])
        assert match, self.outputs()
        return f"{self.url}/_aws/execute-api/{match[1]}/{match[2]}"


def wait_until(condition: Any, seconds: float) -> None:
    """Until it is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} is not true after {seconds} seconds"
        time.sleep(0.2)
