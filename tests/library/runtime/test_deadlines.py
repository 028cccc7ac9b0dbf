"""The function's time is up: the answer says so while there still is one, and the environment lives on."""

import json

import pytest

from agency_lambda.testing.events import rest_event
from tests.library.runtime.environments import Environment
from tests.library.runtime.runtime_api import Reader

SECONDS = 1.2


def goes_on(apps: Environment) -> None:
    assert apps.api.invoke(rest_event(path="/hello")).body == b'"hello"'


@pytest.mark.parametrize("path", ["/sleeps", "/blocks"])
def test_before_the_first_byte_it_is_a_504(apps: Environment, path: str) -> None:
    invocation = apps.api.invoke(rest_event(path=path), SECONDS)
    assert invocation.ended < invocation.deadline
    assert (invocation.status, invocation.trailers) == (504, {})
    assert json.loads(invocation.body)["error"]["type"] == "deadline_exceeded"
    goes_on(apps)


@pytest.mark.parametrize("path", ["/sleeps_late", "/blocks_late"])
def test_in_the_middle_it_is_told_in_trailers(apps: Environment, path: str) -> None:
    invocation = apps.api.invoke(rest_event(path=path), SECONDS)
    assert invocation.ended < invocation.deadline
    assert (invocation.status, invocation.body) == (200, b"half")
    assert invocation.cut is not None
    goes_on(apps)


def test_a_reader_that_never_goes_on_is_given_up_before_the_functions_end(apps: Environment) -> None:
    """Lambda would end the environment, and with it everything that is warm."""
    reader = Reader(stop_at=1)
    invocation = apps.api.begin(rest_event(path="/flood"), SECONDS, reader)
    reader.go_on.wait(SECONDS)
    reader.go_on.set()
    assert not invocation.wait().trailers
    assert "did not take the answer to its end" in apps.log
    goes_on(apps)
    # The connection was given up: that, and nothing else, is what the server may complain of.
    violations, apps.api.violations = apps.api.violations, []
    assert all("broken off" in each or "reset" in each or each.startswith("/next while") for each in violations)
