"""Answers piece by piece: when each leaves, what it looks like on the wire, and who waits for whom."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.testing.events import function_url_event, rest_event
from tests.library.runtime.apps import PIECE
from tests.library.runtime.environments import Environment
from tests.library.runtime.runtime_api import Reader


def hello(apps: Environment) -> None:
    """The environment goes on."""
    invocation = apps.api.invoke(rest_event(path="/hello"))
    assert (invocation.status, invocation.body, invocation.trailers) == (200, b'"hello"', {})


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@pytest.fixture(params=[rest_event, function_url_event], ids=["1.0", "2.0"])
def event(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_every_piece_leaves_when_the_app_sends_it(apps: Environment, event: Any) -> None:
    invocation = apps.api.invoke(event(path="/trickle"))
    assert [data for _, data in invocation.chunks[1:]] == [b"0", b"1", b"2", b"3", b"4"]
    times = [moment for moment, _ in invocation.chunks[1:]]
    assert min(gaps(times)) > 0.05, times
    assert times[-1] - times[0] < 5


def test_status_and_headers_do_not_wait_for_the_body(apps: Environment) -> None:
    (first, head), (second, body) = apps.api.invoke(rest_event(path="/late")).chunks
    assert head == b'{"statusCode": 200, "headers": {}}' + bytes(8)
    assert body == b"body"
    assert second - first > 0.1


def test_when_the_reader_stops_the_app_waits_and_every_byte_arrives(apps: Environment) -> None:
    progress = apps.log_path.parent / "progress"
    reader = Reader(stop_at=1)
    invocation = apps.api.begin(rest_event(path="/flood"), reader=reader)
    assert _standstill(progress) * len(PIECE) < 8_000_000, "the app was not held back"
    reader.go_on.set()
    assert invocation.wait().body == PIECE * 320
    assert progress.read_text() == "320"
    hello(apps)


def _standstill(progress: Path) -> int:
    """How many pieces have left, when no more do."""
    seen = "nothing"
    for _ in range(30):
        time.sleep(0.3)
        now = progress.read_text() if progress.exists() else ""
        if now and now == seen:
            return int(now)
        seen = now
    raise AssertionError("it never stands still")


def test_what_the_buffers_have_taken_may_be_read_slowly(apps: Environment) -> None:
    reader = Reader(stop_at=1)
    invocation = apps.api.begin(rest_event(path="/pile"), reader=reader)
    time.sleep(2.6)
    reader.go_on.set()
    assert invocation.wait().body == PIECE * 32
    hello(apps)


def test_json(apps: Environment, event: Any) -> None:
    invocation = apps.api.invoke(event(path="/hello"))
    assert invocation.prelude == {"statusCode": 200, "headers": {"content-type": "application/json"}}
    assert invocation.body == b'"hello"'
    assert invocation.cut is None


def test_bytes_go_both_ways_as_they_are(apps: Environment, event: Any) -> None:
    sent = {**event("POST", "/echo"), "body": "/wABAgP+gA==", "isBase64Encoded": True}
    invocation = apps.api.invoke(sent)
    assert (invocation.status, invocation.body) == (201, b"\xff\x00\x01\x02\x03\xfe\x80")


@pytest.mark.parametrize(("path", "status"), [("/nothing", 200), ("/no_content", 204)])
def test_an_empty_body(apps: Environment, event: Any, path: str, status: int) -> None:
    invocation = apps.api.invoke(event(path=path))
    assert (invocation.status, invocation.body, invocation.trailers) == (status, b"", {})


def test_cookies_and_repeated_headers_in_payload_1(apps: Environment) -> None:
    assert apps.api.invoke(rest_event(path="/headers")).prelude == {
        "statusCode": 200,
        "headers": {"x-one": "1", "x-l": "é"},
        "multiValueHeaders": {"vary": ["origin", "accept"], "set-cookie": ["a=1; Path=/", "b=2", "c=3"]},
    }


def test_cookies_and_repeated_headers_in_payload_2(apps: Environment) -> None:
    assert apps.api.invoke(function_url_event(path="/headers")).prelude == {
        "statusCode": 200,
        "headers": {"x-one": "1", "vary": "origin, accept", "x-l": "é"},
        "cookies": ["a=1; Path=/", "b=2", "c=3"],
    }


def test_an_app_that_fails_before_the_first_byte_is_a_500(apps: Environment, event: Any) -> None:
    invocation = apps.api.invoke(event(path="/fails"))
    assert (invocation.status, invocation.trailers) == (500, {})
    assert b'"internal_error"' in invocation.body
    assert b"first byte" not in invocation.body
    hello(apps)


def test_an_app_that_fails_after_the_first_byte_is_told_in_trailers(apps: Environment, event: Any) -> None:
    invocation = apps.api.invoke(event(path="/fails_late"))
    assert (invocation.status, invocation.body) == (200, b"half")
    assert invocation.cut is not None
    assert invocation.cut["errorType"] == "CutOff"
    hello(apps)


@pytest.mark.parametrize("path", ["/stops", "/fails_deep"])
def test_an_answer_without_an_end_is_told_in_trailers(apps: Environment, path: str) -> None:
    assert apps.api.invoke(rest_event(path=path)).cut is not None
    hello(apps)


def test_what_is_no_header_is_an_error_and_not_half_an_answer(apps: Environment) -> None:
    invocation = apps.api.invoke(rest_event(path="/bad_header"))
    assert not invocation.chunks
    assert invocation.error is not None
    hello(apps)
