"""What a cold environment imports for an answer that needs no agency."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.testing.events import rest_event
from benchmarks import loopback
from tests.library.conftest import PYTHONPATH

AGENCY = {"agency_swarm", "agents", "letters", "fastmcp", "litellm", "mcp", "openai", "httpx", "uvicorn"}
AGENCY |= {"fastapi.openapi.models"}  # nor what an OpenAPI document is made of
AWS = {"boto3", "botocore.session"}
KEY = {"API_KEYS": f"alice:{hashlib.sha256(b'al_key').hexdigest()}"}
SAM = {"AWS_SAM_LOCAL": "true"}


def ask(tmp_path: Path, event: dict[str, Any], **more: str) -> subprocess.CompletedProcess[str]:
    on_lambda = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": PYTHONPATH,
        "AWS_LAMBDA_FUNCTION_NAME": "api",
        "AWS_REGION": "eu-central-1",
        "STORE": f"sqlite:///{tmp_path}/agency.db",
        "LETTERS_FOLDER": f"{tmp_path}/letters",
    }
    program = Path(__file__).with_name("ask.py")
    return subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**on_lambda, **more},
        input=json.dumps(event),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("access", [KEY, SAM], ids=["keys", "sam"])
@pytest.mark.parametrize(
    ("event", "status"),
    [(rest_event("GET", "/health"), 200), (rest_event("GET", "/v1/responses/resp_1"), 404)],
    ids=["health", "polling"],
)
def test_no_agency_is_imported(tmp_path: Path, access: dict[str, str], event: dict[str, Any], status: int) -> None:
    event["headers"]["authorization"] = "Bearer al_key"
    event["multiValueHeaders"]["authorization"] = ["Bearer al_key"]
    seen = told(ask(tmp_path, event, **access))
    assert seen["answer"]["statusCode"] == status, seen["answer"]
    assert not (AGENCY | AWS) & {*seen["loaded"]}
    assert seen["is_collecting"]
    assert seen["frozen"] > 0


def test_submitting_imports_no_agency_but_what_the_queue_needs(tmp_path: Path) -> None:
    event = rest_event("POST", "/v1/responses", {"model": "letters", "input": "hello", "background": True})
    with loopback.serving(loopback.taken) as url:
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        seen = told(ask(tmp_path, event, QUEUE=f"{url}/1/runs", AWS_ENDPOINT_URL_SQS=url, **credentials, **SAM))
    assert (seen["answer"]["statusCode"], json.loads(seen["answer"]["body"])["status"]) == (200, "queued")
    assert not AGENCY & {*seen["loaded"]}
    assert {*seen["loaded"]} >= AWS


def test_the_collector_never_goes_through_what_a_first_run_imports(tmp_path: Path) -> None:
    health = told(ask(tmp_path, rest_event("GET", "/health"), **SAM))
    run = told(ask(tmp_path, rest_event("POST", "/completion", {"message": "hello"}), **SAM))
    assert (run["answer"]["statusCode"], run["is_collecting"]) == (200, True)
    assert run["frozen"] > 1.3 * health["frozen"]


def test_the_collector_never_goes_through_imports_of_a_server_either(tmp_path: Path) -> None:
    program = (
        "import gc, handler, agency_swarm, agents; gc.collect(1); print(gc.get_freeze_count(), len(gc.get_objects()))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    frozen, left = map(int, done.stdout.split())
    assert frozen > 20 * left


def test_without_deferral_all_is_imported_and_it_answers_the_same(tmp_path: Path) -> None:
    seen = told(ask(tmp_path, rest_event("GET", "/health"), DEFER_IMPORTS="0", **SAM))
    assert seen["answer"] == told(ask(tmp_path, rest_event("GET", "/health"), **SAM))["answer"]
    assert "fastapi.openapi.models" in seen["loaded"]


def test_another_value_is_refused_by_name(tmp_path: Path) -> None:
    done = ask(tmp_path, rest_event("GET", "/health"), DEFER_IMPORTS="2", **SAM)
    assert done.returncode != 0
    assert "DEFER_IMPORTS" in done.stderr.splitlines()[-1]
