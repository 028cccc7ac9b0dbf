"""Calls that wait, through the service: by the stock client's items, and by a worker."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from agency_swarm import Agency, function_tool

from agency_lambda import catalogue
from tests.library.conftest import Service
from tests.library.features.test_approvals import PAY, asking, at_once, paying, scripted, then
from tests.library.features.test_approved_kinds import KINDS, Made
from tests.library.runs.stage import said

Serve = Callable[[Callable[[], Agency]], Service]


@pytest.fixture
def serve(start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> Serve:
    def serving(create: Callable[[], Agency]) -> Service:
        monkeypatch.setattr(catalogue, "factories", lambda: {"desk": create})
        return start()

    return serving


def requests(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in response["output"] if item["type"] == "mcp_approval_request"]


def answers(response: dict[str, Any], approve: bool) -> list[dict[str, Any]]:
    answer = {"type": "mcp_approval_response", "approve": approve}
    return [{**answer, "approval_request_id": each["id"]} for each in requests(response)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_stock_clients_answer_lets_any_call_go_on(kind: str, serve: Serve) -> None:
    made: Made = []
    create, asker = KINDS[kind]
    service = serve(lambda: create(made))
    first = service.respond("Order paper.", model="desk")
    (request,) = requests(first)
    assert (first["status"], request["agent"], request["name"], made) == ("completed", *asker, [])
    second = service.respond(answers(first, approve=True), model="desk", previous_response_id=first["id"])
    assert (second["status"], requests(second), len(made)) == ("completed", [], 1)
    assert said(second["output"][-1])
    third = service.respond("And?", model="desk", previous_response_id=second["id"])
    assert third["status"] == "completed"


def two_colleagues(made: Made) -> Agency:
    boss = scripted("Boss", at_once(asking("Clerk"), asking("Cashier")))
    clerk = scripted("Clerk", at_once(*PAY, ("pay", {"amount": 6})), tools=[paying(made)])
    cashier = scripted("Cashier", then(("pay", {"amount": 7})), tools=[paying(made)])
    return Agency(boss, communication_flows=[boss > clerk, boss > cashier])


def nested_on_the_loop(made: Made) -> Agency:
    @function_tool
    async def ask_agency() -> str:
        """Asks another agency on the loop that runs."""
        inner = Agency(scripted("Inner", then(*PAY), tools=[paying(made)]))
        return str(asyncio.run(inner.get_response("Pay.")).final_output)

    script = at_once(("pay", {"amount": 1}), ("ask_agency", {}), ("ask_agency", {}))
    return Agency(scripted("Solo", script, tools=[ask_agency, paying(made)]))


def test_calls_in_runs_within_each_other_on_one_loop_wait_together(serve: Serve) -> None:
    made: Made = []
    service = serve(lambda: nested_on_the_loop(made))
    first = service.respond("Order paper.", model="desk")
    assert sorted(each["agent"] for each in requests(first)) == ["Inner", "Inner", "Solo"]
    second = service.respond(answers(first, approve=True), model="desk", previous_response_id=first["id"])
    assert (second["status"], sorted(made)) == ("completed", [1, 5, 5])


@pytest.mark.parametrize("approve", [True, False])
def test_three_requests_of_two_colleagues_are_answered_at_once(approve: bool, serve: Serve) -> None:
    made: Made = []
    service = serve(lambda: two_colleagues(made))
    first = service.respond("Order paper.", model="desk")
    assert sorted(each["agent"] for each in requests(first)) == ["Cashier", "Clerk", "Clerk"]
    second = service.respond(answers(first, approve), model="desk", previous_response_id=first["id"])
    assert (second["status"], sorted(made)) == ("completed", [5, 6, 7] if approve else [])
    told = said(second["output"][-1])
    assert told.count("paid") == (3 if approve else 0)
    assert told.count("not approved") == (0 if approve else 3)
    assert (first["usage"]["model_calls"], second["usage"]["model_calls"]) == (3, 3)
