"""Calls of MCP that a person has to decide about, that take longer than their request, or that fail."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from agency_swarm import Agency, Agent

from agency_lambda import ask_person
from agency_lambda.errors import StoreUnavailable
from agency_lambda.framework.offline_model import OfflineModel
from agency_lambda.protocol.approvals import ApprovalRequest
from agency_lambda.protocol.mcp.elicitation import decision_of, form
from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.testing.events import Context, http_event
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.protocols.mcp_client import MODERN, WITH_FORMS, Answer, Client, text

EARLIER = "2025-06-18"
YES: dict[str, Any] = {"action": "accept", "content": {"approve": True}}


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(API_KEYS=api_keys())


def ann(service: Service, version: str = MODERN, **capabilities: Any) -> Client:
    return Client(service, version, capabilities, **bearer("ann"))


def again(client: Client, result: Answer, results: Any = None, **arguments: Any) -> Answer:
    """Repeat a call as an `input_required` result has it, while a worker works."""
    more = {"requestState": result["requestState"], **({"inputResponses": results} if results else {})}
    return client.call("payments", more=more, **arguments)


def work_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is queued is worked on at once, as a worker of another process would."""
    runs = get_run_service()

    async def send(message: Any, after: float = 0.0, *, owner: str = "") -> None:
        await worker.work(runs, message)

    monkeypatch.setattr(runs, "send", send)


def test_a_call_asks_by_forms_until_nothing_is_open(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ann(service, **WITH_FORMS)
    asking = client.call("payments", message="pay ann & pay bob; pay dan")
    work_later(monkeypatch)
    assert asking["resultType"] == "input_required"
    first, second = asking["inputRequests"]
    assert asking["inputRequests"][first]["method"] == "elicitation/create"
    asking = again(client, asking, {first: YES}, message="pay ann & pay bob; pay dan")
    assert [*asking["inputRequests"]] == [second]
    asking = again(client, asking, {second: {"action": "decline"}}, message="pay ann & pay bob; pay dan")
    (third,) = asking["inputRequests"]
    result = again(client, asking, {third: YES}, message="pay ann & pay bob; pay dan")
    assert result["structuredContent"]["status"] == "completed"
    said = text(result)
    assert ("paid 1 to ann" in said, "paid 1 to bob" in said, "paid 1 to dan" in said) == (True, False, True)


def test_what_somebody_else_has_decided_meanwhile_counts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ann(service, **WITH_FORMS)
    asking = client.call("payments", message="pay ann")
    work_later(monkeypatch)
    (approval,) = asking["inputRequests"]
    assert service.post(f"/v1/approvals/{approval}", {"approve": False}, **bearer("eve"))[0] == 200
    result = again(client, asking, {approval: YES}, message="pay ann")
    assert "paid" not in text(result)


def test_a_form_that_was_closed_is_not_shown_again(service: Service) -> None:
    client = ann(service, **WITH_FORMS)
    asking = client.call("payments", message="pay ann")
    (approval,) = asking["inputRequests"]
    result = again(client, asking, {approval: {"action": "cancel"}}, message="pay ann")
    assert (result["resultType"], result["isError"]) == ("complete", False)
    assert result["structuredContent"]["status"] == "in_progress"
    assert result["structuredContent"]["response_id"] in text(result)
    assert service.get(f"/v1/approvals/{approval}", **bearer("ann"))[1]["status"] == "pending"


@pytest.mark.parametrize("version", ["2024-11-05", EARLIER, MODERN])
def test_a_client_without_forms_learns_who_decides_and_how_to_go_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    client = ann(service, version)
    result = client.call("payments", message="pay ann")
    work_later(monkeypatch)
    assert "Entry wants to call pay" in text(result)
    response_id = result["structuredContent"]["response_id"]
    assert client.call("get_response", response_id=response_id)["structuredContent"]["status"] == "in_progress"
    (approval,) = service.get("/v1/approvals", **bearer("ann"))[1]["data"]
    service.post(f"/v1/approvals/{approval['id']}", {"approve": True}, **bearer("ann"))
    assert text(client.call("get_response", response_id=response_id)) == "[offline model] Entry: paid 1 to ann"
    stranger = Client(service, version, **bearer("bob")).call("get_response", response_id=response_id)
    nobody = Client(service, version, **bearer("bob")).call("get_response", response_id="resp_x")
    assert stranger["isError"] is nobody["isError"] is True
    assert text(stranger).replace(response_id, "resp_x") == text(nobody)


def test_a_state_is_of_its_owner_and_of_its_tool(service: Service) -> None:
    asking = ann(service, **WITH_FORMS).call("payments", message="pay ann")
    state = asking["requestState"]
    (approval,) = asking["inputRequests"]
    refused: list[tuple[Client, str, str]] = [
        (Client(service, capabilities=WITH_FORMS, **bearer("bob")), "payments", state),
        (ann(service, **WITH_FORMS), "letters", state),
        (ann(service, **WITH_FORMS), "payments", "resp_x.1"),
        (ann(service, **WITH_FORMS), "payments", f"{state}999"),
        (ann(service, **WITH_FORMS), "payments", "{}"),
    ]
    for client, tool, given in refused:
        call = {"name": tool, "arguments": {"message": "x"}, "requestState": given, "inputResponses": {approval: YES}}
        assert client.error("tools/call", call)["code"] == -32602
    assert service.get(f"/v1/approvals/{approval}", **bearer("ann"))[1]["status"] == "pending"


def test_a_question_is_a_form_with_its_choices() -> None:
    asked = json.dumps({"question": "Which one?", "choices": ["red", "blue"]})
    request = ApprovalRequest(key="k", agent="Clerk", name=ask_person.name, arguments=asked, kind="question")
    shown = form(request)
    assert shown["message"] == "Clerk asks: Which one? (red, blue)"
    assert shown["requestedSchema"]["properties"]["answer"]["enum"] == ["red", "blue"]
    decision = decision_of(request, {"action": "accept", "content": {"answer": "red"}})
    assert decision is not None
    assert (decision.approve, decision.reason) == (True, "red")
    assert decision_of(request, {"action": "accept", "content": {"answer": ""}}) is None


@pytest.mark.parametrize("version", [EARLIER, MODERN])
def test_a_run_that_takes_longer_than_its_request_goes_on(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    slow_agency(monkeypatch)
    client = Client(start(ANSWER_SECONDS="0.5"), version)
    result = client.call("slow", message="x")
    if version == MODERN:  # its client asks again by itself
        assert result["resultType"] == "input_required"
        assert "inputRequests" not in result
        more = {"requestState": result["requestState"]}
        response_id = str(result["requestState"]).partition(".")[0]
    else:
        assert "still at work" in text(result)
        response_id, more = result["structuredContent"]["response_id"], {}
    assert client.service.get(f"/v1/responses/{response_id}")[1]["status"] == "in_progress"
    client.service.handler.run(worker.work(get_run_service(), response_id))
    if version == MODERN:
        assert text(client.call("slow", message="x", more=more)) == "[offline model] done"
    assert text(client.call("get_response", response_id=response_id)) == "[offline model] done"


class Slow(OfflineModel):
    """Its first call takes longer than a client waits."""

    async def get_response(self, *args: Any, **named: Any) -> Any:
        await asyncio.sleep(0 if self.asked else 3)
        self.asked.append(1)
        return await super().get_response(*args, **named)

    asked: ClassVar[list[int]] = []


def slow_agency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slow, "asked", [])
    model = Slow("Slow", lambda turn: "done")
    monkeypatch.setattr(
        "agencies.AGENCIES", {"slow": lambda: Agency(Agent(name="Slow", instructions=".", model=model))}
    )


def test_a_client_that_asks_too_often_gets_an_answer_in_words(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(start(ANSWER_SECONDS="0.1"))
    created = client.service.post("/v1/responses", {"model": "payments", "input": "look here", "background": True})[1]
    for round_ in range(1, 8):
        result = client.call("payments", message="x", more={"requestState": f"{created['id']}.{round_}"})
        assert result["requestState"] == f"{created['id']}.{round_ + 1}"
    result = client.call("payments", message="x", more={"requestState": result["requestState"]})
    assert "still at work" in text(result)


@pytest.mark.parametrize("token", [None, 1])
def test_a_run_that_fails_is_a_result_that_says_so(start: Callable[..., Service], token: int | None) -> None:
    client = Client(start(MAX_MODEL_CALLS="1"))
    result = client.call("payments", message="look here", more={"_meta": {"progressToken": token}} if token else {})
    assert result["isError"] is True
    assert "model calls" in text(result)


def test_a_service_that_cannot_begin_answers_with_an_error(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("The store is away.")

    client = ann(service)
    monkeypatch.setattr(get_run_service(), "create", fail)
    error = client.error("tools/call", {"name": "payments", "arguments": {"message": "look here"}})
    assert (error["code"], error["data"]) == (-32603, {"code": "store_unavailable"})


def test_a_defect_says_nothing_of_itself(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("SECRET")

    monkeypatch.setattr("agency_lambda.routes.mcp.calls.tool_names", fail)
    error = ann(service).error("tools/call", {"name": "payments", "arguments": {"message": "look here"}})
    assert error["code"] == -32603
    assert "SECRET" not in json.dumps(error)


def test_an_answer_to_a_form_decides_wherever_it_arrives(service: Service) -> None:
    service.post("/v1/responses", {"model": "payments", "input": "pay ann"}, **bearer("ann"))
    (approval,) = service.get("/v1/approvals", **bearer("ann"))[1]["data"]
    reply = {"jsonrpc": "2.0", "id": f"{approval['id']}.0a1b2c3d", "result": YES}
    for caller, result in (("bob", YES), ("ann", {"action": "cancel"}), ("ann", {"action": "accept", "content": {}})):
        event = http_event("POST", "/mcp", {**reply, "result": result}, **bearer(caller))
        assert service.handler(event, Context(60))["statusCode"] == 202
    assert service.get(f"/v1/approvals/{approval['id']}", **bearer("ann"))[1]["status"] == "pending"
    client = ann(service, EARLIER)
    assert client.send({**reply, "id": 7})[0] == 202
    assert client.send(reply, **{"mcp-protocol-version": MODERN})[0] == 400
    assert client.send(reply)[0] == 202
    assert service.get(f"/v1/approvals/{approval['id']}", **bearer("ann"))[1]["status"] == "approved"
