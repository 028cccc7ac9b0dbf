"""The report as one log line that CloudWatch reads as metrics."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agency_lambda import telemetry
from agency_lambda.framework.models import Models, ModelUnavailable
from agency_lambda.settings import get_settings
from agency_lambda.testing.events import rest_event
from lambda_loop import InvocationReport
from tests.library.conftest import Service
from tests.library.model_server import Answer, Failure, ModelServer
from tests.library.models.agencies import Listener, ask, ask_streamed, settings, single
from tests.library.runtime_emulator import RuntimeEmulator, binary


def test_one_line_holds_the_report_and_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    report = InvocationReport("patch", request_id="r1", status=200, duration_ms=12.5, longest_stall_ms=3.0)
    report.nested["asyncio.run()", "tool.py:3"] += 2
    report.fields.update(model_calls=5, model_failures=2, input_tokens=10, output_tokens=7, total_tokens=17)
    report.fields.update(run_duration_ms=11.0)
    telemetry.log_report(report)
    (text,) = capsys.readouterr().out.splitlines()
    line = json.loads(text)
    assert line["nested"] == [{"call": "asyncio.run()", "place": "tool.py:3", "count": 2}]
    (block,) = line["_aws"]["CloudWatchMetrics"]
    named = {metric["Name"] for metric in block["Metrics"]}
    expected = {"NestedEntries": 2, "ModelCalls": 5, "InputTokens": 10, "OutputTokens": 7, "Duration": 12.5}
    expected |= {"ModelFailures": 2, "TotalTokens": 17}
    for name, value in {**expected, "RunDuration": 11, "LongestStall": 3}.items():
        assert name in named
        assert line[name] in (value, [value]), name


def test_an_invocation_in_which_nothing_happened_has_one_metric() -> None:
    """CloudWatch asks 0.30 a month for each that is written every minute, as the sweep writes."""
    assert metrics_of(telemetry.log_line(InvocationReport("patch", status=200)))[1] == {"Duration"}
    failed = InvocationReport("patch", status=500)
    assert "ServerErrors" in metrics_of(telemetry.log_line(failed))[1]


def nulls(value: Any, path: str = "") -> list[str]:
    """Where in it a null stands."""
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in nulls(each, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for each in value for found in nulls(each, f"{path}[]")]
    return [path] * (value is None)


@pytest.mark.parametrize("fields", [{}, {"max_output_tokens": 1000}, {"stream": True}, {"store": False}])
def test_no_line_of_a_run_has_a_null(
    start: Callable[..., Service], capsys: pytest.CaptureFixture[str], fields: dict[str, Any]
) -> None:
    service = start()
    service.respond("hello", **fields)
    telemetry.log_report(service.report)
    telemetry.log_run(service.report.fields)
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line["response_id"]
        assert nulls(line) == []
        assert line["ModelCalls"]


def test_what_is_not_known_is_no_metric(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.log_run({"model_calls": 1, "queue_age_ms": None, "attempts": None, "cap": None})
    line = json.loads(capsys.readouterr().out)
    assert metrics_of(line)[1] == {"ModelCalls"}
    assert nulls(line) == []


def test_a_request_without_a_run_has_no_model_metrics() -> None:
    assert "ModelCalls" not in telemetry.log_line(InvocationReport("strict"))


def metrics_of(line: dict[str, Any]) -> tuple[list[list[str]], set[str]]:
    """Dimensions and names."""
    (block,) = line["_aws"]["CloudWatchMetrics"]
    return block["Dimensions"], {metric["Name"] for metric in block["Metrics"]}


def test_two_deployments_in_one_account_have_metrics_of_their_own(
    clean_environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("", "agency-test", "agency-live"):
        clean_environment.setenv("POWERTOOLS_SERVICE_NAME", name)
        telemetry.log_run({"model_calls": 1})
        telemetry.log_expired(1)
        told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        assert {line["service"] for line in [*told, telemetry.log_line(InvocationReport("patch"))]} == {
            name or "agency"
        }
        assert all(metrics_of(line)[0] == [["service"]] for line in told)


def test_a_sweep_says_how_many_attempts_died(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.log_expired(3)
    line = json.loads(capsys.readouterr().out)
    assert metrics_of(line) == ([["service"]], {"ExpiredLeases"})
    assert line["ExpiredLeases"] in (3, [3])


FAILURES: list[Answer] = [Failure(500), Failure(401), Failure(200, "<html>")]


@pytest.mark.parametrize("failure", FAILURES, ids=str)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_that_does_not_answer_is_counted(failure: Answer, streamed: bool) -> None:
    run = Listener()
    with ModelServer([failure, "good"]) as server:
        models = Models(settings(server.base_url))
        with pytest.raises(Exception):  # noqa: B017, PT011 - the framework wraps it, in a stream otherwise than else
            (ask_streamed if streamed else ask)(models, single(), run=run)
        assert (run.meter.model_calls, run.meter.model_failures) == (1, 1)
        assert ask(Models(settings(server.base_url)), single(), run=run)[0] == "good"
    assert (run.meter.model_calls, run.meter.model_failures) == (2, 1)


def test_what_is_no_failure_of_a_model_is_not_counted() -> None:
    run = Listener()

    async def stopped() -> None:
        with run.meter.failures():
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())
    with pytest.raises(ValueError, match="a tool's"), run.meter.failures():
        raise ValueError("a tool's")
    assert run.meter.model_failures == 0
    with pytest.raises(ModelUnavailable), run.meter.failures():
        raise ModelUnavailable
    assert run.meter.model_failures == 1


@pytest.mark.skipif(binary() is None, reason="AWS ships its runtime emulator for Linux only")
def test_in_lambdas_json_log_the_line_is_as_it_is(tmp_path: Path, clean_environment: pytest.MonkeyPatch) -> None:
    """We print: what a logger says would be wrapped, and be no metric."""
    get_settings.cache_clear()
    variables = {
        **{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "ERROR", "POWERTOOLS_SERVICE_NAME": "agency-test"},
        **{"STORE": f"sqlite:///{tmp_path}/agency.db", "AWS_SAM_LOCAL": "true"},
    }
    with RuntimeEmulator("handler.api.handler", variables) as runtime:
        assert runtime.invoke(rest_event("GET", "/health"))["statusCode"] == 200
    (line,) = [json.loads(text) for text in runtime.log_text.splitlines() if text.startswith('{"request_id"')]
    assert line["service"] == "agency-test"
    assert "Duration" in metrics_of(line)[1]


def test_metrics_of_an_agency_are_few_and_a_switch(start: Callable[..., Service]) -> None:
    report = InvocationReport("patch", status=200)
    report.fields.update(agency="desk", model_calls=2, total_tokens=7, attempts=1, run_duration_ms=1.0)
    report.fields.update(queue_age_ms=5.0, agent_messages=3)
    start()
    assert len(telemetry.log_line(report)["_aws"]["CloudWatchMetrics"]) == 1  # type: ignore[index]
    start(METRICS_BY_AGENCY="1")
    line: dict[str, Any] = telemetry.log_line(report)
    assert (line["agency"], line["service"]) == ("desk", "agency")
    whole, of_agency = line["_aws"]["CloudWatchMetrics"]
    assert (whole["Dimensions"], of_agency["Dimensions"]) == ([["service"]], [["service", "agency"]])
    assert {each["Name"] for each in of_agency["Metrics"]} == {"ModelCalls", "TotalTokens", "RunDuration", "QueueAge"}
    assert (line["AgentMessages"], line["QueueAge"]) == ([3], [5.0])
    assert len(telemetry.log_line(InvocationReport("patch"))["_aws"]["CloudWatchMetrics"]) == 1  # type: ignore[index]
