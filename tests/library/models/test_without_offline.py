"""A deployment may leave the package `agency_lambda.offline` out: with a key nothing misses it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.library.model_server import ModelServer

ROOT = Path(__file__).parents[3]
AGENCY = """
from agency_swarm import Agency, Agent

def create_agency():
    return Agency(Agent(name="One", instructions="You are One."))
"""
ASK = """
import asyncio, json, sys
import agency_lambda
from agency_lambda.errors import ServiceError
from agency_lambda.protocol.request import CompactRequest, CreateResponse
from agency_lambda.run_service import get_run_service

async def main():
    service = get_run_service()
    attempt = await service.create(CreateResponse(model="one", input="hi", store=False), "somebody")
    response = await service.execute(attempt)
    compacted = await service.compact(CompactRequest(model="one", input=[{"role": "user", "content": "hi"}] * 9), "x")
    return [response["output"][0]["content"][0]["text"], compacted["output"][0]["type"]]

assert agency_lambda.__file__.startswith(sys.argv[1])
try:
    print(json.dumps(asyncio.run(main())))
except ServiceError as error:
    print(json.dumps({type(error).__name__: str(error)}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as a bundle without the offline model has them."""
    folder = tmp_path_factory.mktemp("bundle")
    left_out = shutil.ignore_patterns("__pycache__", "offline", "testing", "agency_lambda_cdk")
    shutil.copytree(ROOT / "src", folder, dirs_exist_ok=True, ignore=left_out)
    assert not (folder / "agency_lambda" / "offline").exists()
    (folder / "one.py").write_text(AGENCY)
    (folder / "agencies.py").write_text('AGENCIES = {"one": "one:create_agency"}\n')
    return folder


def answered(tree: Path, **variables: str) -> Any:
    """Return what an agency answers in that tree, and the type of its compaction; or the error."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tree), "STORE": "sqlite:///:memory:", "AUTH": "none"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tree)], cwd=tree, env=environment | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_with_a_key_nothing_misses_the_offline_model(tree: Path) -> None:
    with ModelServer(["Hello.", "They said hi."]) as server:
        variables = {"OPENAI_API_KEY": "sk-test-key", "OPENAI_BASE_URL": server.base_url}
        assert answered(tree, **variables) == ["Hello.", "compaction"]


def test_without_a_key_the_error_says_what_to_set(tree: Path) -> None:
    failed = answered(tree)
    assert list(failed) == ["AgencyMisconfigured"]
    assert failed["AgencyMisconfigured"].startswith("OPENAI_API_KEY is not set, and this deployment has been made")
