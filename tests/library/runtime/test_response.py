"""StreamedResponse by itself, where no small app gets it to: errors of any size, and a Lambda that is not there."""

import asyncio
import logging
import time

import pytest

from lambda_loop.runtime.api import Event, error_payload
from lambda_loop.runtime.api import RuntimeApi as Client
from lambda_loop.runtime.context import Context
from lambda_loop.runtime.response import CutOff, StreamedResponse
from tests.library.runtime.runtime_api import RuntimeApi


def _raised(levels: int, text: str) -> Exception:
    def fall(left: int) -> None:
        if left:
            fall(left - 1)
        raise ValueError(text)

    try:
        fall(levels)
    except ValueError as error:
        return error
    raise AssertionError


async def _begun_and_ended(response: StreamedResponse, error: Exception | None) -> None:
    await response.send({"type": "http.response.start", "status": 200, "headers": []})
    await response.send({"type": "http.response.body", "body": b"half", "more_body": True})
    await response.end(error)


@pytest.mark.parametrize("text", ["short", "x" * 100_000, "\N{SNOWMAN}" * 9_000, "\N{PILE OF POO}" * 9_000, "\ud800"])
def test_an_error_of_any_size_fits_into_trailers(text: str) -> None:
    """AWS's Runtime API is written in Go, and panics over 4 KB of them."""
    with RuntimeApi() as api:
        invocation = api.begin({})
        event = Client(api.address).next()
        response = StreamedResponse(api.address, Context(event), separate_cookies=False)
        asyncio.run(_begun_and_ended(response, _raised(400, text)))
    assert invocation.cut is not None
    assert invocation.cut["errorType"] == "ValueError"
    assert text.startswith(invocation.cut["errorMessage"][:100])
    assert "in fall" in invocation.cut["stackTrace"][-1]  # the innermost say what happened
    assert api.violations == []


def test_without_a_lambda_the_app_is_told_and_the_end_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"lambda-runtime-deadline-ms": str(int(1000 * time.time()) + 5000)}
    response = StreamedResponse("127.0.0.1:9", Context(Event("r", b"", headers)), separate_cookies=False)
    with caplog.at_level(logging.ERROR), pytest.raises(OSError, match="Connect"):
        asyncio.run(_begun_and_ended(response, None))
    asyncio.run(response.end(CutOff("no")))
    assert not response.started
    assert not caplog.records


def test_an_error_of_any_name_is_told_in_a_header() -> None:
    payload = error_payload(type("Fehler中", (Exception,), {})("x" * 1_000_000))
    assert payload["errorType"].isascii()
    assert len(payload["errorMessage"]) <= 10_000
