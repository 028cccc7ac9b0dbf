"""The service as Lambda sees it, in this process, with a store of its own and the agencies of tests/library/agents."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import agencies
from agency_lambda import secrets
from agency_lambda.framework import credentials
from agency_lambda.settings import get_settings
from lambda_loop import EnvironmentLoop, InvocationReport
from tests.library.events import Context, http_event

SETTINGS = (
    *("ANSWER_SECONDS", "API_KEYS", "API_KEYS_SECRET", "AUTH", "AWS_LAMBDA_FUNCTION_NAME", "AWS_SAM_LOCAL"),
    *("CORS_ORIGINS", "EVENT_LOOP", "JWT_AUDIENCE", "JWT_ISSUER", "MAX_MODEL_CALLS", "MAX_OUTPUT_TOKENS", "MODEL"),
    *("MODEL_API", "MODEL_FIRST_BYTE_SECONDS", "OPENAI_API_KEY", "OPENAI_API_KEY_SECRET", "OPENAI_BASE_URL"),
    *("POWERTOOLS_SERVICE_NAME", "QUEUE"),
)
ROOT = Path(__file__).parents[2]
AGENTS = Path(__file__).with_name("agents")
PYTHONPATH = os.pathsep.join(map(str, (ROOT, ROOT / "src", AGENTS)))
QUESTION = "Client Nordwind asks about next week's delivery. Prepare the reply."

if Path(agencies.__file__ or "").parent != AGENTS:
    raise RuntimeError(f"`agencies` is {agencies.__file__}: run `pytest tests/library` by itself, or `make test`")

os.environ["PYTHONPATH"] = PYTHONPATH  # processes that tests start see the same


def sse(body: str) -> list[dict[str, Any]]:
    """The events of a whole stream, which must end as it should."""
    *chunks, done, rest = body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    events = []
    for chunk in chunks:
        if chunk.startswith(":"):
            continue
        name, data = chunk.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


class Service:
    """`post` and `get` invoke the handler: (status, body). `report` is the last invocation's."""

    def __init__(self, mode: str) -> None:
        from agency_lambda.app import create_app  # its import reads the settings, and must not read the developer's

        self.reports: list[InvocationReport] = []
        self.handler = EnvironmentLoop(create_app(), mode, on_report=self.reports.append)  # type: ignore[arg-type]

    def post(self, path: str, body: Any, seconds: float = 60, **headers: str) -> tuple[int, Any]:
        return self.send(http_event("POST", path, body, **headers), seconds)

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.send(http_event("GET", path, **headers))

    def delete(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.send(http_event("DELETE", path, **headers))

    def respond(self, input: Any, **fields: Any) -> Any:
        """POST /v1/responses that succeeds: the response, or with stream=True its events."""
        body = {"model": "letters", "input": input, **fields}
        answer = self.handler(http_event("POST", "/v1/responses", body), Context(60))
        assert answer["statusCode"] == 200, answer["body"]
        return sse(answer["body"]) if fields.get("stream") else json.loads(answer["body"])

    def send(self, event: dict[str, Any], seconds: float = 60) -> tuple[int, Any]:
        answer = self.handler(event, Context(seconds))
        return answer["statusCode"], json.loads(answer["body"])

    def ask(self, message: str = QUESTION, **fields: Any) -> tuple[int, Any]:
        return self.post("/completion", {"message": message, **fields})

    def in_attempts(self, number: int, text: str) -> Any:
        """Ask agency "desk" in the background, and make so many attempts at the run; returns the response."""
        from agency_lambda.run_service import get_run_service
        from agency_lambda.runs import worker

        _, begun = self.post("/v1/responses", {"model": "desk", "input": text, "background": True})
        for _ in range(number):
            self.handler.run(worker.work(get_run_service(), begun["id"]))
        return self.get(f"/v1/responses/{begun['id']}")[1]

    @property
    def report(self) -> InvocationReport:
        return self.reports[-1]


@pytest.fixture(autouse=True)
def no_key_is_left() -> Iterator[None]:
    """A run leaves its key in the environment, where the next test would find it."""
    yield
    credentials.withdraw()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """later(seconds): the wall clock of what is fetched goes on."""
    passed, now = [0.0], time.time

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    monkeypatch.setattr("agency_lambda.refreshing_cache.time.time", lambda: now() + passed[0])
    return pass_by


@pytest.fixture
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No setting of the developer's, and everything that is stored in a temporary folder."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORE", f"sqlite:///{tmp_path}/agency.db")
    monkeypatch.setenv("LETTERS_FOLDER", f"{tmp_path}/letters")
    get_settings.cache_clear()
    yield monkeypatch
    credentials.withdraw()
    get_settings.cache_clear()
    secrets.clear_caches()


@pytest.fixture
def start(clean_environment: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """start(mode="patch", NAME=value, ...) -> Service with these settings."""
    started: list[Service] = []

    def service(mode: str = "patch", **settings: str) -> Service:
        for name, value in settings.items():
            clean_environment.setenv(name, value)
        get_settings.cache_clear()
        started.append(Service(mode))
        return started[-1]

    yield service
    for each in started:
        each.handler.close()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start()
