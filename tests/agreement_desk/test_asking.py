"""With PLANFIX_ASK=1 a person approves each letter before it is stored: all of it offline, through the service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.testing.service import Service, default_settings, services
from agreement_desk.phrases import LETTER
from agreement_desk.planfix import open_planfix
from agreement_desk.planfix_agent.tools.update_task import asks_first

WEBER = "Client Weber GmbH asks about next week's installation plan for the crew in Stuttgart. Prepare the reply."


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("PLANFIX_ASK", "1")
    with default_settings(monkeypatch, tmp_path), services(monkeypatch) as start:
        yield start()


def text(response: Any) -> str:
    return str(response["output"][-1]["content"][0]["text"])


def subtask() -> Any:
    (found,) = [task for task in open_planfix().list_tasks() if task.parent_id]
    return open_planfix().get_task(found.id)


def asked(service: Service) -> tuple[Any, Any]:
    """Return the response that asks, and its request."""
    response = service.respond("agreement-desk", WEBER)
    request = response["output"][-1]
    assert (request["type"], request["name"], request["agent"]) == (
        "mcp_approval_request",
        "update_task",
        "PlanfixAgent",
    )
    assert LETTER in json.loads(request["arguments"])["description"]
    assert LETTER not in subtask().description
    return response, request


def decide(service: Service, response: Any, request: Any, **decision: Any) -> Any:
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], **decision}
    return service.respond("agreement-desk", [answer], previous_response_id=response["id"])


def test_an_approved_letter_is_stored(service: Service) -> None:
    response = decide(service, *asked(service), approve=True)
    assert text(response).startswith("[offline model] Subtask 2 holds the request and this letter:\n\nDear Weber GmbH,")
    assert text(response).partition("\n\n")[2] in subtask().description


def test_a_refused_letter_is_not_stored_and_the_user_is_told_why(service: Service) -> None:
    response = decide(service, *asked(service), approve=False, reason="The plan is not ready.")
    assert LETTER not in subtask().description
    assert "The plan is not ready." in text(response)
    assert "Dear Weber GmbH," in text(response)


def test_a_letter_that_a_person_has_changed_is_stored_as_changed(service: Service) -> None:
    _, request = asked(service)
    changed = json.loads(request["arguments"])
    changed["description"] = changed["description"].replace("Kind regards", "Best wishes")
    status, approval = service.post(f"/v1/approvals/{request['id']}", {"approve": True, "arguments": changed})
    assert (status, approval["status"]) == (200, "approved"), approval
    service.handler.run(worker.work(get_run_service(), approval["continued_by"]))
    response = service.get(f"/v1/responses/{approval['continued_by']}")[1]
    assert response["status"] == "completed"
    assert text(response).endswith("Best wishes\nAgreement Desk")
    assert subtask().description == changed["description"]


def test_a_new_name_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANFIX_ASK", "1")
    assert asks_first(None, {"task_id": 1, "name": None, "description": "new"}, "call")
    assert not asks_first(None, {"task_id": 1, "name": "new", "description": None}, "call")


def test_nobody_is_asked_if_that_is_not_wanted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANFIX_ASK")
    assert text(service.respond("agreement-desk", WEBER)).partition("\n\n")[2] in subtask().description
