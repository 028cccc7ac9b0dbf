"""The service as Lambda sees it, in this process."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from agency_lambda import credentials, secrets
from agency_lambda.settings import Settings, get_settings
from agency_lambda.testing.events import Context, http_event
from lambda_loop import EnvironmentLoop, InvocationReport

SETTINGS = (
    *(name.upper() for name in Settings.model_fields),
    *("API_KEYS_SECRET", "AWS_LAMBDA_FUNCTION_NAME", "AWS_SAM_LOCAL", "POWERTOOLS_SERVICE_NAME"),
)


def read_events(body: str) -> list[dict[str, Any]]:
    """Return the events of a whole stream, which must be numbered and end with [DONE]."""
    *chunks, done, rest = body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    events = []
    for chunk in chunks:
        if chunk.startswith(":"):
            continue
        number, name, data = chunk.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert (number, name) == (f"id: {event['sequence_number']}", f"event: {event['type']}")
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


class Service:
    """Invoke the Lambda handler of an app: `get`, `post` and `delete` return (status, body)."""

    def __init__(self, mode: Literal["patch", "strict"] = "patch", app: Any = None) -> None:
        """app: an ASGI app; None: a new one of `create_app`, with the settings as they are now."""
        from agency_lambda.app import create_app  # its import reads the settings, and must not read the developer's

        self.reports: list[InvocationReport] = []
        self.handler = EnvironmentLoop(app or create_app(), mode, on_report=self.reports.append)

    def post(self, path: str, body: Any, seconds: float = 60, **headers: str) -> tuple[int, Any]:
        return self.send(http_event("POST", path, body, **headers), seconds)

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.send(http_event("GET", path, **headers))

    def delete(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.send(http_event("DELETE", path, **headers))

    def send(self, event: dict[str, Any], seconds: float = 60) -> tuple[int, Any]:
        answer = self.handler(event, Context(seconds))
        return answer["statusCode"], json.loads(answer["body"])

    def respond(self, model: str, input: Any, **fields: Any) -> Any:
        """POST /v1/responses, which must succeed. Returns the response, or with stream=True its events."""
        event = http_event("POST", "/v1/responses", {"model": model, "input": input, **fields})
        answer = self.handler(event, Context(60))
        assert answer["statusCode"] == 200, answer["body"]
        return read_events(answer["body"]) if fields.get("stream") else json.loads(answer["body"])

    @property
    def report(self) -> InvocationReport:
        return self.reports[-1]


@contextmanager
def default_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """Remove the developer's settings, and store in a temporary folder."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STORE", f"sqlite:///{folder}/agency.db")
    get_settings.cache_clear()
    yield monkeypatch
    credentials.withdraw()
    get_settings.cache_clear()
    secrets.clear_caches()


@contextmanager
def services(monkeypatch: pytest.MonkeyPatch, kind: type[Service] = Service) -> Iterator[Callable[..., Any]]:
    """Yield start(mode="patch", NAME=value, ...), which returns a service with these settings."""
    started: list[Service] = []

    def start(mode: Literal["patch", "strict"] = "patch", app: Any = None, **settings: str) -> Service:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        started.append(kind(mode, app))
        return started[-1]

    try:
        yield start
    finally:
        for each in started:
            each.handler.close()
