"""`make logs`: which lines it prints, and how."""

import json
from typing import Any

import pytest

from agency_lambda import telemetry
from agency_lambda.owner_digest import owner_digest
from agency_lambda.testing.service import Service
from lambda_loop import InvocationReport
from scripts.logs import _events, _follow, render

API, SWEEP, WORKER = "ApiFunction", "SweepFunction", "WorkerFunction"
_RUN = {"agency": "desk", "agent": "Clerk", "model": "gpt-5", "owner": owner_digest("ann"), "response_id": "resp_1"}


def line(status: int = 200, **fields: Any) -> str:
    report = InvocationReport("patch", request_id="r1", status=status, duration_ms=1234.5)
    report.fields.update(fields)
    return json.dumps(telemetry.log_line(report))


def logged(level: str, message: str, **fields: Any) -> str:
    return json.dumps({"timestamp": "2026-11-26T10:00:00Z", "level": level, "message": message, **fields})


def test_a_request_is_one_readable_line() -> None:
    text = render(API, line(**_RUN, model_calls=5, total_tokens=12345, tool_calls=2), "INFO")
    assert text == (
        f"200  1,234 ms  desk/Clerk  gpt-5  {owner_digest('ann')}  resp_1  5 model calls  2 tool calls"
        "  12,345 total tokens"
    )


@pytest.mark.parametrize(
    ("name", "message", "shown_from"),
    [
        (API, line(), "INFO"),
        (API, line(500), "ERROR"),
        (API, line(**_RUN, model_failures=1), "WARNING"),
        (API, line(**_RUN, run_status="completed"), "INFO"),
        (API, line(**_RUN, run_status="cancelled"), "INFO"),
        (API, line(**_RUN, run_status="failed", error_code="unknown_agent"), "WARNING"),
        (API, logged("INFO", "fine"), "INFO"),
        (API, logged("ERROR", "run resp_1 failed", stackTrace=["File x"]), "ERROR"),
        (API, "no JSON", "INFO"),
        (API, "START RequestId: 6f1c Version: 1", "DEBUG"),
        (API, json.dumps({"type": "platform.report", "record": {"status": "success"}}), "DEBUG"),
        (API, json.dumps({"type": "platform.report", "record": {"status": "timeout"}}), "ERROR"),
        (SWEEP, line(), "DEBUG"),
        (SWEEP, line(500), "ERROR"),
        (SWEEP, logged("ERROR", "the store could not be swept"), "ERROR"),
        (API, json.dumps({"response_id": "resp_1", "failures": 2, "export_failed": "NotExported: down"}), "ERROR"),
        (API, json.dumps({"response_id": "resp_1", "webhook_failed": "status 500"}), "WARNING"),
    ],
)
def test_lines_have_a_level_and_the_sweep_is_left_out(name: str, message: str, shown_from: str) -> None:
    levels = ["DEBUG", "INFO", "WARNING", "ERROR"]
    shown = [level for level in levels if render(name, message, level)]
    assert shown == levels[: levels.index(shown_from) + 1]


def test_a_failure_is_shown_with_where_it_was() -> None:
    text = render(API, logged("ERROR", "run resp_1 failed", stackTrace=["File x\n", "File y\n"]), "INFO")
    assert text == "ERROR run resp_1 failed\nFile x\nFile y"


def test_a_run_that_is_not_completed_says_why() -> None:
    text = render(WORKER, json.dumps(_RUN | {"run_status": "failed", "error_code": "x", "run_duration_ms": 9}), "INFO")
    assert text == f'WARNING 9 ms  failed  desk/Clerk  gpt-5  {owner_digest("ann")}  resp_1  error_code="x"'
    assert "completed" not in str(render(API, line(**_RUN, run_status="completed"), "INFO"))


class Logs:
    """CloudWatch with one event, which keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, name: str) -> "Logs":
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        self.asked.append(asked)
        return [{"events": [{"timestamp": 1000, "message": line(**_RUN)}, {"timestamp": 1000, "message": line()}]}]


def test_a_run_and_an_owner_are_found_by_cloudwatch_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs()
    list(_events(logs, "group", 0, []))
    list(_events(logs, "group", 0, ["resp_1", owner_digest("ann")]))
    assert [each.get("filterPattern") for each in logs.asked] == [None, f'"resp_1" "{owner_digest("ann")}"']
    monkeypatch.setattr("scripts.logs.time.sleep", lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        _follow(logs, {"group": API}, 0, [], "INFO")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_lines_name_agency_agent_model_and_the_owners_digest(service: Service) -> None:
    service.post("/v1/responses", {"model": "letters", "input": "hello"})
    fields = service.report.fields
    expected = {"agency": "letters", "agent": "Secretary", "model": "offline", "owner": owner_digest("local")}
    assert {name: fields[name] for name in expected} == expected
    service.get("/v1/models")
    assert service.report.fields == {"owner": owner_digest("local")}
