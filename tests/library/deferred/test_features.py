"""Agencies do the same, deferred or not, and deferred they load no part of the framework that they do not use."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from tests.library.cdk.test_bundle_inside import EAGER_AND_NOT, model_at
from tests.library.model_server import ModelServer, call
from tests.library.rest_server import TASK, TOKEN, rest_server

UNUSED = {"agents.realtime.session", "agents.voice", "fastmcp", "litellm", "rich.console", "uvicorn.config"}


def features(tmp_path: Path, what: str, given: Any = None, **variables: str) -> Any:
    """What the framework did, as it is installed beside us."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("features.py")), sysconfig.get_path("purelib"), what],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{root}:{root / 'src'}:{root / 'benchmarks' / 'task'}",
            **variables,
        },
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    if what != "user" and "DEFER_IMPORTS" not in variables:
        assert not UNUSED & {*seen["loaded"]}
    return seen["told"]


@EAGER_AND_NOT
def test_every_kind_of_tool_works(tmp_path: Path, deferred: dict[str, str]) -> None:
    calls = [call("add", a=1, b=2), call("Double", number=4), call("shout", word="hi"), call("transfer_to_Second")]
    with ModelServer([*calls, '{"total": 3, "to": "nordwind@example.com"}']) as server:
        told = features(tmp_path, "agency", **model_at(server), **deferred)
    assert told == {
        "described": "the first",
        "outputs": [3, "8", {"type": "text", "text": "HI"}],
        "final": {"total": 3, "to": "nordwind@example.com"},
    }


@EAGER_AND_NOT
def test_an_answer_streams(tmp_path: Path, deferred: dict[str, str]) -> None:
    with ModelServer(["Good day."]) as server:
        assert "".join(features(tmp_path, "stream", **model_at(server), **deferred)) == "Good day."


@EAGER_AND_NOT
def test_agents_with_a_model_of_their_own_send_messages(tmp_path: Path, deferred: dict[str, str]) -> None:
    told = features(tmp_path, "model", **deferred)
    assert told["final"] == told["streamed"] == "Dear Nordwind, the crew comes on Monday at eight."
    assert told["events"] > 50


@EAGER_AND_NOT
def test_openapi_tools_work(tmp_path: Path, deferred: dict[str, str]) -> None:
    asked = call("getTask", parameters={"id": 7, "fields": "name"})
    with rest_server() as schema, ModelServer([asked, "done"]) as server:
        given = {"schema": schema, "headers": {"Authorization": f"Bearer {TOKEN}"}}
        (told,) = features(tmp_path, "openapi", given, **model_at(server), **deferred)
    assert told["task"] == TASK


def test_somebodys_own_code_sees_the_same(tmp_path: Path) -> None:
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # `import *` loads litellm, which asks the network
    told = features(tmp_path, "user", **offline)
    assert told == features(tmp_path, "user", DEFER_IMPORTS="0", **offline)
    assert told["all"] == []
    assert told["is"] == [True, True]


def test_packages_that_were_imported_before_stay_as_they_are() -> None:
    """Half of a package deferred would lack what its other half imports for it."""
    code = """
import sys, types, agency_swarm, httpx, openai, deferred_imports
deferred_imports.install()
import fastapi
early = ("agency_swarm", "agents", "anyio", "httpx", "openai")
assert not [name for name, module in sys.modules.items()
            if name.partition(".")[0] in early and type(module) is not types.ModuleType]
assert type(fastapi) is not types.ModuleType
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
