"""The ledger as one log line that CloudWatch reads as metrics."""

import json

import pytest

from handler import telemetry
from handler.event_loop import Ledger


def test_one_line_holds_the_ledger_and_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger("patch", request_id="r1", status=200, duration_ms=12.5, longest_stall_ms=3.0)
    ledger.nested["asyncio.run()", "tool.py:3"] += 2
    ledger.facts.update(model_calls=5, input_tokens=10, output_tokens=7, run_duration_ms=11.0)
    telemetry.report(ledger)
    (text,) = capsys.readouterr().out.splitlines()
    line = json.loads(text)
    assert line["nested"] == [{"call": "asyncio.run()", "place": "tool.py:3", "count": 2}]
    (block,) = line["_aws"]["CloudWatchMetrics"]
    named = {metric["Name"] for metric in block["Metrics"]}
    expected = {"NestedEntries": 2, "ModelCalls": 5, "InputTokens": 10, "OutputTokens": 7, "Duration": 12.5}
    for name, value in {**expected, "RunDuration": 11, "LongestStall": 3, "Zombies": 0}.items():
        assert name in named
        assert line[name] in (value, [value]), name


def test_a_request_without_a_run_has_no_model_metrics() -> None:
    assert "ModelCalls" not in telemetry.line(Ledger("strict"))
