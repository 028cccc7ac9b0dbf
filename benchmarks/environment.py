"""One execution environment of Lambda: a task root in a process of its own, with nothing else of this machine in it."""

# Under AWS's runtime emulator; where AWS ships none (macOS), behind a small Runtime API of our own.

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from benchmarks import runtime_api
from benchmarks.beside.process_tree import members
from benchmarks.runtime_api import PATIENCE
from benchmarks.task_roots import python, runtime
from tests.library.runtime_emulator import binary, free_ports, wait_for

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Subject:
    """Something that is put on a Lambda. name: what readers of the report call it. handler: Lambda's `_HANDLER`."""

    name: str
    root: Path
    handler: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """An API Gateway event, and what its answer must be."""

    event: dict[str, Any]
    status: int
    contains: str


@dataclass(frozen=True)
class Cost:
    """Since the process began: its CPU seconds, the peak of its memory in MB, seconds by the clock; and the answer."""

    cpu: float
    rss: float
    wall: float
    body: str


class WrongAnswer(RuntimeError):
    """What was measured is not what it seems: the message has the answer and the process's log."""


def costs(subject: Subject, *requests: Request) -> list[Cost]:
    """After the first answer of a fresh environment, after the second, ...

    Raises:
        WrongAnswer: at least one is not what its request expects.
    """
    spent = []
    place = _emulated if binary() else _behind_our_api
    with TemporaryFile("w+") as log, place(subject, log) as (invoke, find):
        begun = time.perf_counter()
        for request in requests:
            answer = invoke(request.event)
            wall = time.perf_counter() - begun
            body = str(answer.get("body")) if isinstance(answer, dict) else ""
            if not body or answer.get("statusCode") != request.status or request.contains not in body:
                log.seek(0)
                raise WrongAnswer(f"{subject.name} answered {answer}\n{log.read()}")
            spent.append(Cost(*_usage(find()), wall, body))
    return spent


def variables(subject: Subject) -> dict[str, str]:
    """Return the variables that Lambda sets, and the subject's own."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{subject.root}:{runtime()}",
        "PYTHONDONTWRITEBYTECODE": "1",  # a Lambda's code is on a file system that is read only
        "PYTHON_DOTENV_DISABLED": "1",  # no .env above this checkout is any subject's
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it would fetch a file while it is imported
        "OPENAI_AGENTS_DISABLE_TRACING": "1",  # or it would post to OpenAI
        "LAMBDA_TASK_ROOT": str(subject.root),
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": "api",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(PATIENCE),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        **subject.variables,
    }


def command(*arguments: str) -> list[str]:
    """Python without the development environment: neither its site-packages nor this folder."""
    return [python(), "-S", "-s", "-P", *arguments]


type Invoke = Callable[[dict[str, Any]], Any]
type Environment = tuple[Invoke, Callable[[], int]]  # the second finds the process, which is there after an answer


@contextmanager
def _emulated(subject: Subject, log: TextIO) -> Iterator[Environment]:
    # Start AWS's runtime emulator, which starts the process when the first event comes.
    emulator = binary()
    assert emulator
    emulator.chmod(0o755)
    port, api_port = free_ports(2)
    addresses = [f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api_port}"]
    started = [str(emulator), "--log-level", "error", "--runtime-interface-emulator-address", *addresses]
    process = _spawn([*started, *command("-m", "awslambdaric", subject.handler)], variables(subject), subject, log)
    try:
        wait_for(port)
        yield lambda event: _post(port, event), lambda: _child(process.pid)
    finally:
        for pid in reversed(members(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _behind_our_api(subject: Subject, log: TextIO) -> Iterator[Environment]:
    with runtime_api.serving() as api:
        known = variables(subject) | {"AWS_LAMBDA_RUNTIME_API": api.address}
        process = _spawn(command("-m", "awslambdaric", subject.handler), known, subject, log)
        try:
            yield api.invoke, lambda: process.pid
        finally:
            process.kill()
            process.wait()


def _spawn(arguments: list[str], environment: dict[str, str], subject: Subject, log: TextIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, cwd=subject.root, env=environment, stdout=log, stderr=log)


def _post(port: int, event: dict[str, Any]) -> Any:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
        answer = connection.getresponse().read()
    finally:
        connection.close()
    try:
        return json.loads(answer)
    except ValueError:
        return answer.decode()


def _child(pid: int) -> int:
    # Raises WrongAnswer where there is none: it did not live to its answer.
    for child in members(pid)[1:]:
        return child
    raise WrongAnswer("the process has ended")


def _usage(pid: int) -> tuple[float, float]:
    # CPU seconds so far and peak memory in MB; without /proc the memory of now, which is close to it after a start.
    if sys.platform != "linux":
        told = subprocess.run(["ps", "-o", "time=,rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        clock, kilobytes = told.stdout.split()
        minutes, _, seconds = clock.rpartition(":")
        return 60 * float(minutes or 0) + float(seconds), int(kilobytes) / 1000
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])  # KiB
    return (int(stat[11]) + int(stat[12])) / _TICKS, peak * 1024 / 1e6
