"""The bundle is complete: the whole service runs from it, in an interpreter that has nothing else."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agreement_desk.offline import SCRIPT
from infra import bundle
from tests.conftest import QUESTION, sse
from tests.events import rest_event
from tests.model_server import ModelServer, call, scripts

HOST: bundle.Architecture = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "arm64"
SCHEDULE = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
COMPILED_ANYWAY = {
    "anyio",  # parses its own sources to import lazily
    *("beartype", "key_value"),  # beartype changes the code of key_value, and its bytecode has another name
}
CLEAN = (sys.executable, "-I", "-S", "-B")

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the bundle's native modules are Linux's")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The bundle, in which nothing may change."""
    folder = bundle.build(HOST)
    before = state(folder)
    yield folder
    assert state(folder) == before


def state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def inside(folder: Path, what: str, given: Any = None, **variables: str) -> Any:
    program = Path(__file__).with_name("inside_bundle.py")
    done = subprocess.run(
        [*CLEAN, str(program), str(folder), what],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "AWS_REGION": "eu-central-1", **variables},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def deployed(tmp_path: Path, **more: str) -> dict[str, str]:
    """As on Lambda; what is stored is the test's."""
    return {
        "API_KEYS": f"alice:{hashlib.sha256(b'al_key').hexdigest()}",
        "AWS_LAMBDA_FUNCTION_NAME": "api",
        "STORE": f"sqlite:///{tmp_path}/agency.db",
        "PLANFIX_BOARD": f"{tmp_path}/board.db",
        **more,
    }


def post(path: str, **body: Any) -> tuple[str, Any]:
    return "handler.api", rest_event("POST", path, body, authorization="Bearer al_key")


ASKED = [
    ("handler.api", rest_event("GET", "/health")),
    post("/completion", message=QUESTION),
    post("/v1/responses", model="agreement-desk", input=QUESTION, stream=True),
]


def test_the_whole_service_runs_offline(folder: Path, tmp_path: Path) -> None:
    wanted = {"format": {"type": "json_schema", "name": "sum", "schema": SCHEMA, "strict": True}}
    structured = post("/v1/responses", model="agreement-desk", input="hello", text=wanted)
    told = inside(folder, "events", [*ASKED, structured, ("handler.worker", SCHEDULE)], **deployed(tmp_path))
    health, completion, stream, answer, swept = told["answers"]
    assert [each["statusCode"] for each in (health, completion, stream, answer)] == [200] * 4, told["answers"]
    assert swept == {"swept": 0}
    said = json.loads(completion["body"])
    assert "Dear Weber GmbH" in said["response"]
    assert said["usage"]["model_calls"] == 15
    assert sse(stream["body"])[-1]["type"] == "response.completed"
    content = json.loads(answer["body"])["output"][-1]["content"]
    assert isinstance(json.loads(content[0]["text"])["total"], int)
    assert told["outside"] == []
    assert {Path(path).parts[0] for path in told["compiled"]} <= COMPILED_ANYWAY


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_the_whole_service_runs_with_a_model(folder: Path, tmp_path: Path, api: str) -> None:
    with ModelServer(scripts(SCRIPT)) as server:
        model = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "MODEL_API": api}
        told = inside(folder, "events", ASKED, **deployed(tmp_path, **model))
    _, completion, stream = told["answers"]
    assert "Dear Weber GmbH" in json.loads(completion["body"])["response"]
    assert sse(stream["body"])[-1]["type"] == "response.completed"
    assert {request.chat for request in server.requests} == {api == "chat"}
    assert {bool(request.body.get("stream")) for request in server.requests} == {True, False}


def test_every_kind_of_tool_works(folder: Path) -> None:
    """Functions and their docstrings, BaseTool, an MCP server as a process, a handoff, structured output."""
    calls = [call("add", a=1, b=2), call("Double", number=4), call("shout", word="hi"), call("transfer_to_Second")]
    with ModelServer([*calls, '{"total": 3, "to": "weber@example.com"}']) as server:
        model = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "OPENAI_AGENTS_DISABLE_TRACING": "1"}
        told = inside(folder, "agency", **model)
    assert told["described"] == "the first"
    assert told["outputs"] == [3, "8", {"type": "text", "text": "HI"}]
    assert told["final"] == {"total": 3, "to": "weber@example.com"}


def test_importing_the_framework_says_nothing(folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import agency_swarm"
    done = subprocess.run([*CLEAN, "-W", "error", "-c", code], env={}, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_aws_service_that_is_not_there_is_named(folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import boto3; boto3.client('glacier', 'eu-central-1')"
    done = subprocess.run([*CLEAN, "-c", code], env={}, capture_output=True, text=True, cwd=folder)
    assert "UnknownServiceError: Unknown service: 'glacier'. Valid service names are: dynamodb" in done.stderr
