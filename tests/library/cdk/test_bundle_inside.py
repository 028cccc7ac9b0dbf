"""The bundle is complete: the whole service runs from it, in an interpreter that has nothing else."""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from letters.offline import SCRIPT

from agency_lambda.testing.events import rest_event
from agency_lambda.testing.service import read_events
from agency_lambda.testing.vault import secrets_manager
from agency_lambda_cdk import bundle
from agency_lambda_cdk.bundle import imports
from agency_lambda_cdk.bundle.sources import Sources
from tests.library.conftest import AGENTS, QUESTION, ROOT
from tests.library.issuer import openid_issuer
from tests.library.model_server import ModelServer, call, scripts
from tests.library.rest_server import TASK, TOKEN, rest_server
from tests.library.runtime_emulator import free_ports

HOST: bundle.Architecture = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "arm64"
SCHEDULE = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}
EAGER_AND_NOT = pytest.mark.parametrize("deferred", [{}, {"DEFER_IMPORTS": "0"}], ids=["deferred", "eager"])
TRANSPORTS = ("sse", "http", "oauth")
CLEAN = (sys.executable, "-I", "-S", "-B")

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the bundle's native modules are Linux's")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The bundle, in which nothing may change."""
    folder = bundle.build(HOST, AGENTS)
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


@pytest.fixture(scope="module")
def openapi_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a project whose code asks for OpenAPI tools."""
    folder = tmp_path_factory.mktemp("openapi") / "bundle"
    asks = folder.with_name("asks.py")
    asks.write_text("ToolFactory.from_openapi_schema(...)")
    reachable = imports.reachable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imports, "reachable", lambda files, roots: [*reachable(files, roots), asks])
        bundle.make(folder, HOST, Sources(AGENTS))
    return folder


@pytest.fixture(scope="module")
def mcp_servers() -> Iterator[dict[str, str]]:
    program = Path(__file__).with_name("mcp_server.py")
    ports = dict(zip(TRANSPORTS, free_ports(len(TRANSPORTS)), strict=True))
    running = [
        subprocess.Popen(
            [sys.executable, str(program), transport, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for transport, port in ports.items()
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield {name: f"http://127.0.0.1:{port}/{'sse' if name == 'sse' else 'mcp'}" for name, port in ports.items()}
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.communicate()


def model_at(server: ModelServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "OPENAI_AGENTS_DISABLE_TRACING": "1"}


def deployed(tmp_path: Path, **more: str) -> dict[str, str]:
    """As on Lambda; what is stored is the test's."""
    return {
        "API_KEYS": f"alice:{hashlib.sha256(b'al_key').hexdigest()}",
        "AWS_LAMBDA_FUNCTION_NAME": "api",
        "STORE": f"sqlite:///{tmp_path}/agency.db",
        "LETTERS_FOLDER": f"{tmp_path}/letters",
        **more,
    }


def post(path: str, **body: Any) -> tuple[str, Any]:
    return "handler.api", rest_event("POST", path, body, authorization="Bearer al_key")


ASKED = [
    ("handler.api", rest_event("GET", "/health")),
    post("/completion", message=QUESTION),
    post("/v1/responses", model="letters", input=QUESTION, stream=True),
]


def test_the_page_is_in_the_bundle(folder: Path, tmp_path: Path) -> None:
    asked = [("handler.api", rest_event("GET", "/"))]
    (page,) = inside(folder, "events", asked, **deployed(tmp_path))["answers"]
    (files,) = set(re.findall(r'"(page/[0-9a-f]+)/', page["body"]))
    asked = [("handler.api", rest_event("GET", f"/{files}/main.js"))]
    (main,) = inside(folder, "events", asked, **deployed(tmp_path))["answers"]
    here = ROOT / "src" / "agency_lambda" / "page" / "main.js"
    assert (main["statusCode"], main["body"]) == (200, here.read_text())


@EAGER_AND_NOT
def test_the_whole_service_runs_offline(folder: Path, tmp_path: Path, deferred: dict[str, str]) -> None:
    wanted = {"format": {"type": "json_schema", "name": "sum", "schema": SCHEMA, "strict": True}}
    structured = post("/v1/responses", model="letters", input="hello", text=wanted)
    asked = [*ASKED, structured, ("handler.worker", SCHEDULE)]
    told = inside(folder, "events", asked, **deployed(tmp_path), **deferred)
    health, completion, stream, answer, swept = told["answers"]
    assert [each["statusCode"] for each in (health, completion, stream, answer)] == [200] * 4, told["answers"]
    assert swept == {"swept": 0}
    said = json.loads(completion["body"])
    assert "Dear Nordwind" in said["response"]
    assert said["usage"]["model_calls"] == 15
    assert read_events(stream["body"])[-1]["type"] == "response.completed"
    content = json.loads(answer["body"])["output"][-1]["content"]
    assert isinstance(json.loads(content[0]["text"])["total"], int)
    assert told["outside"] == []
    assert told["compiled"] == []


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_the_whole_service_runs_with_a_model(folder: Path, tmp_path: Path, api: str) -> None:
    with ModelServer(scripts(SCRIPT)) as server:
        model = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url, "MODEL_API": api}
        told = inside(folder, "events", ASKED, **deployed(tmp_path, **model))
    _, completion, stream = told["answers"]
    assert "Dear Nordwind" in json.loads(completion["body"])["response"]
    assert read_events(stream["body"])[-1]["type"] == "response.completed"
    assert {request.chat for request in server.requests} == {api == "chat"}
    assert {bool(request.body.get("stream")) for request in server.requests} == {True, False}


@EAGER_AND_NOT
def test_secrets_are_read(folder: Path, tmp_path: Path, deferred: dict[str, str]) -> None:
    with secrets_manager() as vault, ModelServer(scripts(SCRIPT)) as server:
        values = {"OPENAI_API_KEY": "k", "API_KEYS": deployed(tmp_path)["API_KEYS"]}
        secrets = {f"{name}_SECRET": vault.create(value) for name, value in values.items()}
        urls = {"OPENAI_BASE_URL": server.base_url, "API_KEYS": ""}
        told = inside(
            folder, "events", ASKED[1:2], **{**deployed(tmp_path), **vault.environment, **secrets, **urls, **deferred}
        )
    assert [answer["statusCode"] for answer in told["answers"]] == [200], told["answers"]
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer k"}
    assert told["compiled"] == []


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_of_an_issuer_are_checked(folder: Path, tmp_path: Path, algorithm: str) -> None:
    with openid_issuer() as issuer:
        issuer.add("first", algorithm)
        tokens = (issuer.token(), issuer.token(aud="another"))
        events = [rest_event("GET", "/agencies", authorization=f"Bearer {token}") for token in tokens]
        settings = {"AUTH": "jwt", "JWT_ISSUER": issuer.url, "JWT_AUDIENCE": "agency", "API_KEYS": ""}
        asked = [("handler.api", event) for event in events]
        told = inside(folder, "events", asked, **{**deployed(tmp_path), **settings})
    assert [answer["statusCode"] for answer in told["answers"]] == [200, 401], told["answers"]
    assert told["compiled"] == []


@EAGER_AND_NOT
def test_every_kind_of_tool_works(folder: Path, deferred: dict[str, str]) -> None:
    """Functions and their docstrings, BaseTool, an MCP server as a process, a handoff, structured output."""
    calls = [call("add", a=1, b=2), call("Double", number=4), call("shout", word="hi"), call("transfer_to_Second")]
    with ModelServer([*calls, '{"total": 3, "to": "nordwind@example.com"}']) as server:
        told = inside(folder, "agency", **model_at(server), **deferred)
    assert told["described"] == "the first"
    assert told["outputs"] == [3, "8", {"type": "text", "text": "HI"}]
    assert told["final"] == {"total": 3, "to": "nordwind@example.com"}


@EAGER_AND_NOT
def test_an_answer_streams(folder: Path, deferred: dict[str, str]) -> None:
    with ModelServer(["Good day."]) as server:
        assert "".join(inside(folder, "stream", **model_at(server), **deferred)) == "Good day."


@EAGER_AND_NOT
def test_mcp_servers_in_the_network_work(
    folder: Path, mcp_servers: dict[str, str], tmp_path: Path, deferred: dict[str, str]
) -> None:
    calls = [call(f"reverse_{transport}", word=transport) for transport in TRANSPORTS]
    with ModelServer([call("authenticate_mcp_server", server_name="oauth"), *calls, "done"]) as server:
        told = inside(folder, "mcp", {**mcp_servers, "tokens": str(tmp_path)}, **model_at(server), **deferred)
    assert [output["text"] for output in told[1:]] == [transport[::-1] for transport in TRANSPORTS]


@EAGER_AND_NOT
def test_openapi_tools_work_where_they_are_asked_for(openapi_folder: Path, deferred: dict[str, str]) -> None:
    asked = call("getTask", parameters={"id": 7, "fields": "name"})
    with rest_server() as schema, ModelServer([asked, "done"]) as server:
        given = {"schema": schema, "headers": {"Authorization": f"Bearer {TOKEN}"}}
        told = inside(openapi_folder, "openapi", given, **model_at(server), **deferred)
    assert str(TASK["name"]) in json.dumps(told)


def test_what_packages_are_asked_about_themselves(folder: Path) -> None:
    told = inside(folder, "packages")
    assert {"resources", "types", "pagination"} <= set(told["found"])
    assert told["described"] == version("openai")
    assert told["entered"] == ["cli"]
    assert [told["read"], told["source"], told["line"]] == [True] * 3
    assert told["documented"] == [False, True, True]


def test_importing_the_framework_says_nothing(folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import agency_swarm"
    done = subprocess.run([*CLEAN, "-W", "error", "-c", code], env={}, capture_output=True, text=True, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_aws_service_that_is_not_there_is_named(folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import boto3; boto3.client('glacier', 'eu-central-1')"
    done = subprocess.run([*CLEAN, "-c", code], env={}, capture_output=True, text=True, cwd=folder)
    assert "UnknownServiceError: Unknown service: 'glacier'. Valid service names are: dynamodb" in done.stderr


def test_changed_arguments_are_checked_there(folder: Path) -> None:
    (path, message), compiled = inside(folder, "arguments")
    assert (path, message, compiled) == (["to", 1], "1 is not of type 'string'", [])
