"""The service as Lambda sees it, in this process, with a store of its own and the agencies of tests/library/agents."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import agencies
from agency_lambda import credentials
from agency_lambda.settings import get_settings
from agency_lambda.testing import service
from agency_lambda.testing.aws import dynamodb_here
from lambda_loop import patches
from tests.library.paths import AGENTS, PYTHONPATH, ROOT

__all__ = ["AGENTS", "PYTHONPATH", "ROOT"]

QUESTION = "Client Nordwind asks about next week's delivery. Prepare the reply."

if Path(agencies.__file__ or "").resolve().parent != AGENTS:
    raise RuntimeError(f"`agencies` is {agencies.__file__}: run `pytest tests/library` by itself, or `make test`")

os.environ["PYTHONPATH"] = PYTHONPATH  # processes that tests start see the same


class Service(service.Service):
    """The service with the agency of these tests in front."""

    def respond(self, input: Any, model: str = "letters", **fields: Any) -> Any:  # type: ignore[override]
        return super().respond(model, input, **fields)

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


@pytest.fixture(autouse=True)
def no_key_is_left() -> Iterator[None]:
    """A run leaves its key in the environment, where the next test would find it."""
    yield
    credentials.withdraw()


@pytest.fixture(autouse=True)
def no_loop_is_left_open() -> Iterator[None]:
    """A handler that its test does not close is collected, with a warning, in another test."""
    before = patches._installed
    yield
    assert patches._installed in (before, None), "the test made an EnvironmentLoop: close it"


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
    monkeypatch.setenv("LETTERS_FOLDER", f"{tmp_path}/letters")
    with service.default_settings(monkeypatch, tmp_path) as patched:
        yield patched


@pytest.fixture
def start(clean_environment: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """start(mode="patch", NAME=value, ...) -> Service with these settings."""
    with service.services(clean_environment, Service) as started:
        yield started


@pytest.fixture
def service_app(clean_environment: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
    """service_app(NAME=value, ...) -> the app of the service with these settings."""

    def app(**variables: str) -> FastAPI:
        for name, value in variables.items():
            clean_environment.setenv(name, value)
        get_settings.cache_clear()
        from agency_lambda.app import create_app

        return create_app()

    return app


@pytest.fixture(name="service")
def a_service(start: Callable[..., Service]) -> Service:
    return start()


@pytest.fixture(params=["sqlite", "dynamodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty store, once for each backend."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/agency.db"
        return
    with dynamodb_here(monkeypatch) as (url, _):
        yield url
