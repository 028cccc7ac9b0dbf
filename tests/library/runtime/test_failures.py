"""What goes wrong in an invocation is reported, and the environment answers the next one."""

import json
from collections import Counter

import pytest

from agency_lambda.testing.events import alb_event, rest_event
from tests.library.runtime.conftest import Start
from tests.library.runtime.environments import Environment
from tests.library.runtime.runtime_api import Reader


def goes_on(apps: Environment) -> None:
    assert apps.api.invoke(rest_event(path="/hello")).body == b'"hello"'


@pytest.mark.parametrize(
    ("event", "kind"),
    [(b"{not json", "JSONDecodeError"), (b"{}", "RuntimeError"), (b"[]", "AttributeError"), (b"", "JSONDecodeError")],
)
def test_an_event_that_is_none_is_reported_with_type_and_trace(apps: Environment, event: bytes, kind: str) -> None:
    invocation = apps.api.invoke(event)
    assert not invocation.chunks
    assert invocation.error is not None
    assert invocation.error_type == invocation.error["errorType"] == kind
    assert any("lambda_loop/runtime/__main__.py" in line for line in invocation.error["stackTrace"])
    goes_on(apps)


def test_headers_of_the_runtime_api_that_cannot_be_read_fail_one_invocation(apps: Environment) -> None:
    invocation = apps.api.invoke(rest_event(path="/hello"), Lambda_Runtime_Client_Context="{no json")
    assert invocation.error is not None
    assert invocation.error_type == "JSONDecodeError"
    goes_on(apps)


def test_an_event_of_a_load_balancer_is_answered_too(apps: Environment) -> None:
    assert apps.api.invoke(alb_event(path="/hello")).body == b'"hello"'


@pytest.mark.parametrize("leave_at", [1, 500_000])
def test_when_the_client_has_left_the_next_one_is_answered(apps: Environment, leave_at: int) -> None:
    """Lambda resets the connection."""
    before = apps.log.count("Lambda did not take the answer to its end")
    apps.api.invoke(rest_event(path="/flood"), reader=Reader(leave_at=leave_at))
    goes_on(apps)
    assert apps.log.count("Lambda did not take the answer to its end") == before + 1


def test_an_answer_that_lambda_refuses_is_logged(apps: Environment) -> None:
    invocation = apps.api.invoke(rest_event(path="/hello"), reader=Reader(refuse=413))
    goes_on(apps)
    assert f"request {invocation.request_id}: Lambda answered 413" in apps.log


def test_an_answer_that_lambda_does_not_even_read_is_logged(apps: Environment) -> None:
    invocation = apps.api.invoke(rest_event(path="/flood"), reader=Reader(refuse=413, early=True))
    goes_on(apps)
    assert f"request {invocation.request_id}: Lambda" in apps.log


def test_an_app_that_exits_is_a_500_and_ends_no_environment(apps: Environment) -> None:
    assert apps.api.invoke(rest_event(path="/exits")).status == 500
    goes_on(apps)


def test_five_hundred_invocations_leave_nothing_behind(start: Start) -> None:
    environment = start()
    kinds = ["/hello", "/headers", "/fails", "/fails_late", "/stops", "/nothing", "/echo", "/bad_header"]
    held = []
    for number in range(500):
        if number in (100, 499):
            held.append(json.loads(environment.api.invoke(rest_event(path="/holds")).body))
        elif number % 50 == 7:
            environment.api.invoke(rest_event(path="/late"), reader=Reader(leave_at=1))
        elif number % 50 == 8:
            environment.api.invoke(b"{}")
        else:
            environment.api.invoke(rest_event("POST", kinds[number % len(kinds)], "body"))
    assert Counter(environment.api.log)["GET /invocation/next"] >= 500
    before, after = held
    assert {**after, "rss": 0} == {**before, "rss": 0}
    assert after["rss"] - before["rss"] < 4_000_000
