"""The Lambda entry inside AWS's own runtime client: cold and warm, every kind of event, a timeout, and keys."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.testing.events import rest_event
from tests.library.model_server import ModelServer
from tests.library.runtime_emulator import ROOT, RuntimeEmulator, binary

pytestmark = pytest.mark.skipif(binary() is None, reason="AWS ships its runtime emulator for Linux only")
EVENTS = sorted((ROOT / "events").glob("*.json"))


def variables(folder: Path, **more: str) -> dict[str, str]:
    """As under `sam local invoke`, where nobody needs a key."""
    return {**deployed(folder), "AWS_SAM_LOCAL": "true", **more}


def deployed(folder: Path, **more: str) -> dict[str, str]:
    """As on Lambda."""
    return {"STORE": f"sqlite:///{folder}/agency.db", "LETTERS_FOLDER": f"{folder}/letters", **more}


@pytest.fixture(scope="module", params=["patch", "strict"])
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeEmulator]:
    folder = tmp_path_factory.mktemp("runtime")
    with RuntimeEmulator("handler.api.handler", variables(folder, EVENT_LOOP=request.param)) as runtime:
        yield runtime


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_every_kind_of_event_is_answered_cold_and_warm(runtime: RuntimeEmulator, path: Path) -> None:
    for _ in range(2):
        answer = runtime.invoke(json.loads(path.read_text()))
        assert answer["statusCode"] == 200, answer
        body = json.loads(answer["body"])
        if path.stem.startswith("completion"):
            assert "Dear Sir or Madam" in body["response"]
            assert body["usage"]["model_calls"] >= 5


def test_what_is_said_is_not_in_the_log(tmp_path: Path) -> None:
    """At INFO, Lambda's default with JSON logs, the framework repeats what agents say to each other."""
    settings = variables(tmp_path, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
    with RuntimeEmulator("handler.api.handler", settings) as runtime:
        answer = runtime.invoke(rest_event("POST", "/completion", {"message": "Client Zanzibar Ltd asks for a date."}))
    assert "Zanzibar" in answer["body"]
    assert "offline model" not in runtime.log_text
    assert "Zanzibar" not in runtime.log_text


def test_a_conversation_goes_on_in_the_next_invocation(runtime: RuntimeEmulator) -> None:
    def tell(message: str) -> Any:
        event = rest_event("POST", "/completion", {"message": message, "thread_id": "runtime"})
        return json.loads(runtime.invoke(event)["body"])

    first, second = tell("Client Nordwind asks about a date."), tell("And about the price.")
    assert first["thread_id"] == second["thread_id"] == "runtime"
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]


def test_a_run_that_outlives_the_function_is_a_504_and_the_environment_goes_on(tmp_path: Path) -> None:
    with ModelServer(delay=20) as server:
        settings = variables(tmp_path, OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url)
        with RuntimeEmulator("handler.api.handler", settings, timeout=4) as runtime:
            assert runtime.invoke(rest_event("GET", "/health"))["statusCode"] == 200
            answer = runtime.invoke(rest_event("POST", "/completion", {"message": "hello"}))
            assert answer["statusCode"] == 504, answer
            assert json.loads(answer["body"])["error"]["type"] == "deadline_exceeded"
            assert runtime.invoke(rest_event("GET", "/health"))["statusCode"] == 200
    told = [line.partition('{"request_id"') for line in runtime.log_text.splitlines()]  # it may follow on a traceback
    lines = [json.loads(start + rest) for _, start, rest in told if start]
    assert [line["status"] for line in lines] == [200, 504, 200]
    assert lines[1]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "AgencyLambda"


def test_no_interactive_docs_on_lambda(runtime: RuntimeEmulator) -> None:
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert runtime.invoke(rest_event("GET", path))["statusCode"] == 404


def test_on_lambda_everything_but_health_needs_a_key(tmp_path: Path) -> None:
    keys = f"alice:{hashlib.sha256(b'al_key').hexdigest()}"
    with RuntimeEmulator("handler.api.handler", deployed(tmp_path, API_KEYS=keys)) as runtime:
        assert runtime.invoke(rest_event("GET", "/health", host="api.example.com"))["statusCode"] == 200
        asked = [("POST", "/completion"), ("GET", "/agencies"), ("POST", "/v1/responses"), ("GET", "/docs")]
        for method, path in asked:
            answer = runtime.invoke(rest_event(method, path, {"message": "hello"}))
            assert answer["statusCode"] == 401, answer
            assert answer["headers"]["www-authenticate"] == "Bearer"
        with_key = {"host": "api.example.com", "authorization": "Bearer al_key"}
        assert runtime.invoke(rest_event("GET", "/docs", **with_key))["statusCode"] == 404
        assert runtime.invoke(rest_event("GET", "/health", **with_key))["statusCode"] == 200


def test_on_lambda_without_keys_the_start_is_refused_by_name(tmp_path: Path) -> None:
    with RuntimeEmulator("handler.api.handler", deployed(tmp_path)) as runtime:
        answer = runtime.invoke(rest_event("GET", "/health"))
    assert answer["errorType"] == "ConfigurationError", answer
    assert "neither API_KEYS nor API_KEYS_SECRET is set: `make key OWNER=name`" in answer["errorMessage"]
