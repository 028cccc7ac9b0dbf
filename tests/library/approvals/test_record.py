"""Traces, spans, logs and lists of what was asked and decided."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.record.spans import build_spans
from scripts.runs import _row
from scripts.trace import drawn
from tests.library.approvals.desk import TO_EVE, Start, desk, has, later, tool_node
from tests.library.callers import bearer

__all__ = ["desk", "later"]


def test_trace_shows_what_waits_and_what_was_decided(desk: Start) -> None:
    at = desk()
    response = at.ask()
    approval = at.pending()[0]["id"]
    path = f"/v1/responses/{response['id']}/trace"
    node = tool_node(at.get(path))
    assert (node["status"], node["approvals"][0]["id"], node["approvals"][0]["status"]) == (
        "in_progress",
        approval,
        "pending",
    )
    at.decide(approval, "eve", reason="SECRET", arguments=TO_EVE)
    at.work(response["id"])
    node = tool_node(at.get(path))
    (shown,) = node["approvals"]
    assert node["status"] == "completed"
    assert (shown["status"], shown["decided_by"], shown["as"]) == ("approved", "eve", "operator")
    assert not has(at.get(path), "SECRET")
    (full,) = tool_node(at.get(f"/v1/admin/responses/{response['id']}/trace", "eve"))["approvals"]
    assert (full["reason"], full["arguments"]) == ("SECRET", '{"to":"eve","amount":1}')
    assert full["address"]


def test_operators_see_what_the_model_was_told_of_a_refused_call(desk: Start) -> None:
    at = desk()
    response = at.ask()
    at.decide(at.pending()[0]["id"], approve=False, reason="Too dear.")
    at.work(response["id"])
    trace = at.get(f"/v1/admin/responses/{response['id']}/trace", "eve")
    assert tool_node(trace)["output"] == "Too dear."
    *_, last = (node for node in trace["root"]["children"] if node["type"] == "model_call")
    assert [each["output"] for each in last["input"]] == ["Too dear."]


def test_traces_of_a_response_and_of_its_continuation_are_one_story(desk: Start) -> None:
    at = desk()
    first = at.ask(background=False)
    before = at.get(f"/v1/responses/{first['id']}/trace")
    (waiting,) = at.pending()
    at.decide(waiting["id"])
    at.work(waiting["continued_by"])
    after = at.get(f"/v1/responses/{first['id']}/trace")
    assert (before["continued_by"], names(after)) == (waiting["continued_by"], names(before))
    assert tool_node(after)["approvals"][0]["status"] == "approved"
    rest = at.get(f"/v1/responses/{waiting['continued_by']}/trace")
    assert rest["continues"] == first["id"]
    assert names(rest)[: len(names(before))] == names(before)
    assert tool_node(rest)["status"] == "completed"
    replayed = [node["replayed"] for node in rest["root"]["children"] if node["type"] == "model_call"]
    assert replayed == [True, False]


def test_spans_of_a_continuation_are_its_own(desk: Start) -> None:
    at = desk()
    first = at.ask(background=False)
    (waiting,) = at.pending()
    at.decide(waiting["id"])
    at.work(waiting["continued_by"])
    sent = []
    for response_id in (first["id"], waiting["continued_by"]):
        trace, response = at.get(f"/v1/responses/{response_id}/trace"), at.response(response_id)
        sent.append([span.name for span in build_spans(trace, response, "ann")])
    assert sent[0] == ["invoke_workflow desk", "invoke_agent Solo", "chat offline", "execute_tool pay_0"]
    assert sent[1] == ["invoke_workflow desk", "invoke_agent Solo", "execute_tool pay_0", "chat offline"]


def test_trace_of_a_continuation_is_there_when_its_first_response_is_not(desk: Start) -> None:
    at = desk()
    first = at.ask(background=False)
    (waiting,) = at.pending()
    at.decide(waiting["id"])
    at.work(waiting["continued_by"])
    assert at.service.delete(f"/v1/responses/{first['id']}", **bearer("ann"))[0] == 200
    trace = at.get(f"/v1/responses/{waiting['continued_by']}/trace")
    assert (trace["status"], trace["root"]["children"]) == ("completed", [])


def names(trace: dict[str, Any]) -> list[str]:
    return [node["name"] for node in trace["root"]["children"]]


def test_attempts_are_counted_over_all_waits(desk: Start) -> None:
    at = desk(tools=2)
    response = at.ask()
    while waiting := at.pending():
        at.decide(waiting[0]["id"])
        at.work(response["id"])
    trace = at.get(f"/v1/responses/{response['id']}/trace")
    assert (trace["status"], trace["attempts"]) == ("completed", 3)
    assert at.get("/v1/responses")["data"][0]["attempts"] == 3
    calls = [node for node in trace["root"]["children"] if node["type"] == "model_call"]
    assert [(node["attempt"], node["replayed"]) for node in calls] == [(1, True), (2, True), (3, False)]


def test_asked_and_decided_are_log_lines_and_metrics_without_content(
    desk: Start, later: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    at = desk()
    response = at.ask()
    (waiting,) = at.pending("ann")
    later(1.0)
    at.decide(waiting["id"], "eve", approve=False, reason="SECRET")
    at.work(response["id"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [line["ApprovalsAsked"] for line in lines if "ApprovalsAsked" in line] == [[1]]
    (decided,) = [line for line in lines if "ApprovalsDecided" in line]
    assert (decided["approval"], decided["status"], decided["as"]) == (waiting["id"], "refused", "operator")
    assert decided["ApprovalWait"][0] == pytest.approx(86_400_000, abs=60_000)
    assert not has([line for line in lines if "operator" not in line], "SECRET")
    (action,) = [line for line in lines if line.get("action") == "decide_approval"]
    assert (action["operator"], action["owner"], action["response_id"]) == ("eve", "ann", response["id"])


def test_scripts_show_what_waits_and_who_has_decided(desk: Start) -> None:
    at = desk()
    response = at.ask()
    path = f"/v1/admin/responses/{response['id']}/trace"
    assert "pay_0 [pending, waits for a person]" in "\n".join(drawn(at.get(path, "eve")))
    (run,) = at.get("/v1/responses")["data"]
    assert (run["waits_for"], run.get("open_messages")) == ("person", None)
    assert _row(run)["status"] == "waits"
    at.decide(at.pending()[0]["id"], "eve")
    assert _row(at.get("/v1/responses")["data"][0])["status"] == "in_progress"
    at.work(response["id"])
    assert "pay_0 [approved by eve]" in "\n".join(drawn(at.get(path, "eve")))


def test_span_of_the_tool_says_what_was_decided_and_how_long_it_took(
    desk: Start, later: Callable[[float], None]
) -> None:
    at = desk()
    response = at.ask()
    (waiting,) = at.pending()
    later(1.0)
    at.decide(waiting["id"])
    at.work(response["id"])
    spans = build_spans(at.get(f"/v1/responses/{response['id']}/trace"), at.response(response["id"]), "ann")
    (tool,) = [span.attributes for span in spans if span.name == "execute_tool pay_0"]
    assert (tool["agency_lambda.approval.status"], tool["agency_lambda.approval.as"]) == ("approved", "owner")
    assert tool["agency_lambda.approval.waited_seconds"] == pytest.approx(86_400, abs=60)
