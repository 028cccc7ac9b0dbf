"""Tasks of MCP: those of the core in 2025-11-25, and those of the extension since 2026-07-28."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.run_service import get_run_service
from agency_lambda.runs import worker
from agency_lambda.runs.model import RETENTION
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.protocols.mcp_client import TASKS_IN_CORE, WITH_FORMS, WITH_TASKS, Answer, Client, text

NOBODY = "resp_01a21c4e3009713b82591373839ec0df"


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(API_KEYS=api_keys())


def modern(service: Service, caller: str = "ann", **capabilities: Any) -> Client:
    return Client(service, capabilities={**WITH_TASKS, **capabilities}, **bearer(caller))


def earlier(service: Service, caller: str = "ann", **capabilities: Any) -> Client:
    return Client(service, TASKS_IN_CORE, capabilities, **bearer(caller))


def begin(client: Client, message: str) -> str:
    """Returns the id of the task."""
    result = client.call(
        "payments", message=message, more={"task": {"ttl": 1}} if client.version == TASKS_IN_CORE else {}
    )
    task = result["task"] if client.version == TASKS_IN_CORE else result
    assert task["status"] == "working"
    return str(task["taskId"])


def get(client: Client, task_id: str) -> Answer:
    return client.result("tasks/get", {"taskId": task_id})


def work(service: Service, task_id: str) -> None:
    service.handler.run(worker.work(get_run_service(), task_id))


def test_a_client_of_the_extension_gets_a_task_and_finds_the_result_in_it(service: Service) -> None:
    client = modern(service)
    created = client.call("payments", message="look here")
    assert created["resultType"] == "task"
    assert created["ttlMs"] == RETENTION * 1000
    assert created["pollIntervalMs"] > 0
    assert created["createdAt"].endswith("Z")
    assert not {"result", "task", "ttl", "pollInterval"} & created.keys()
    working = get(client, created["taskId"])
    assert (working["status"], working["resultType"]) == ("working", "complete")
    work(service, created["taskId"])
    completed = get(client, created["taskId"])
    assert completed["status"] == "completed"
    assert text(completed["result"]) == "[offline model] Entry: saw here"
    assert completed["result"]["isError"] is False


def test_a_client_that_has_not_declared_tasks_gets_none(service: Service) -> None:
    client = Client(service, **bearer("ann"))
    result = client.call("payments", message="look here", more={"task": {"ttl": 1}})
    assert result["resultType"] == "complete"
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        error = client.error(method, {"taskId": NOBODY, "inputResponses": {}})
        assert error["code"] == -32021
        assert error["data"] == {"requiredCapabilities": WITH_TASKS}


def test_an_earlier_client_asks_for_a_task_and_for_its_result(service: Service) -> None:
    client = earlier(service)
    task_id = begin(client, "look here")
    work(service, task_id)
    task = get(client, task_id)
    assert (task["status"], task["ttl"]) == ("completed", RETENTION * 1000)
    assert "result" not in task
    result = client.result("tasks/result", {"taskId": task_id})
    assert text(result) == "[offline model] Entry: saw here"
    assert result["_meta"] == {"io.modelcontextprotocol/related-task": {"taskId": task_id}}
    assert client.call("payments", message="look here")["isError"] is False  # without `task` as ever


def test_tasks_of_the_core_are_of_one_version(service: Service) -> None:
    client = Client(service, "2025-06-18", **bearer("ann"))
    assert "content" in client.call("payments", message="look here", more={"task": {}})
    for method in ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list"):
        assert client.error(method, {"taskId": NOBODY})["code"] == -32601


def test_a_task_waits_for_a_form_and_goes_on_with_its_answer(service: Service) -> None:
    client = modern(service, **WITH_FORMS)
    task_id = begin(client, "pay ann & pay bob; look there")
    work(service, task_id)
    asking = get(client, task_id)
    assert asking["status"] == "input_required"
    forms = asking["inputRequests"]
    calls = [f'Entry wants to call pay(to="{name}", amount=1).' for name in ("ann", "bob")]
    assert [form["params"]["message"] for form in forms.values()] == calls
    first, second = forms
    answers: dict[str, Any] = {first: accepted(approve=True), "mcpr_of_nobody": accepted(approve=True)}
    assert client.result("tasks/update", {"taskId": task_id, "inputResponses": answers}).keys() == {
        "resultType",
        "_meta",
    }
    work(service, task_id)
    assert [*get(client, task_id)["inputRequests"]] == [second]
    for nothing in ({"action": "cancel"}, accepted(), accepted(approve="yes"), {"action": "accept"}, 3, None):
        client.result("tasks/update", {"taskId": task_id, "inputResponses": {second: nothing}})
        assert get(client, task_id)["status"] == "input_required"
    refused = accepted(approve=False, reason="Too much.")
    client.result("tasks/update", {"taskId": task_id, "inputResponses": {second: refused}})
    work(service, task_id)
    said = text(get(client, task_id)["result"])
    assert "paid 1 to ann" in said
    assert "Too much." in said
    assert "saw there" in said


def accepted(**content: Any) -> dict[str, Any]:
    return {"action": "accept", "content": content}


def test_to_decline_a_form_is_to_refuse(service: Service) -> None:
    client = modern(service, **WITH_FORMS)
    task_id = begin(client, "pay ann")
    work(service, task_id)
    (form,) = get(client, task_id)["inputRequests"]
    client.result("tasks/update", {"taskId": task_id, "inputResponses": {form: {"action": "decline"}}})
    _, approval = service.get(f"/v1/approvals/{form}", **bearer("ann"))
    assert (approval["status"], approval["decision"]["decided_by"]) == ("refused", "ann")


@pytest.mark.parametrize("approvers", ["owner", "operators"])
def test_forms_are_for_who_may_decide_and_can_show_them(start: Callable[..., Service], approvers: str) -> None:
    service = start(API_KEYS=api_keys(), APPROVERS=approvers)
    client = modern(service, **(WITH_FORMS if approvers == "operators" else {}))
    task_id = begin(client, "pay ann")
    work(service, task_id)
    task = get(client, task_id)
    assert task["status"] == "working"
    assert "Entry wants to call pay" in task["statusMessage"]
    assert "inputRequests" not in task
    (approval,) = service.get("/v1/approvals", **bearer("ann" if approvers == "owner" else "eve"))[1]["data"]
    client.result("tasks/update", {"taskId": task_id, "inputResponses": {approval["id"]: accepted(approve=True)}})
    assert get(client, task_id)["status"] == "working"
    assert bool(service.get("/v1/approvals", **bearer("eve"))[1]["data"]) is (approvers == "operators")


@pytest.mark.parametrize("make", [modern, earlier])
def test_a_task_is_cancelled(service: Service, make: Callable[[Service], Client]) -> None:
    client = make(service)
    task_id = begin(client, "pay ann")
    result = client.result("tasks/cancel", {"taskId": task_id})
    assert result.get("status", "cancelled") == "cancelled"
    assert get(client, task_id)["status"] == "cancelled"
    again = client.answer("tasks/cancel", {"taskId": task_id})
    assert again.get("error", {}).get("code") == (None if make is modern else -32602)
    if make is earlier:
        assert client.result("tasks/result", {"taskId": task_id})["isError"] is True


def test_a_run_that_fails_is_a_completed_task_or_a_failed_one(start: Callable[..., Service]) -> None:
    service = start(API_KEYS=api_keys(), MAX_MODEL_CALLS="1")
    task_id = begin(modern(service), "look here")
    work(service, task_id)
    task = get(modern(service), task_id)
    assert (task["status"], task["result"]["isError"]) == ("completed", True)
    assert get(earlier(service), task_id)["status"] == "failed"
    result = earlier(service).result("tasks/result", {"taskId": task_id})
    assert (result["isError"], text(result)) == (True, text(task["result"]))


def test_tasks_of_another_owner_never_were(service: Service) -> None:
    task_id = begin(modern(service), "look here")
    for make in (modern, earlier):
        for caller in ("bob", "eve"):
            client = make(service, caller, **WITH_FORMS)
            for method in ("tasks/get", "tasks/cancel", "tasks/update" if make is modern else "tasks/result"):
                parameters = {"taskId": task_id, "inputResponses": {}}
                error = client.error(method, parameters)
                assert error == client.error(method, {**parameters, "taskId": NOBODY})
                assert error["code"] == -32602
            if make is earlier:
                assert client.result("tasks/list") == {"tasks": []}
    assert get(modern(service), task_id)["status"] == "working"


def test_what_answers_a_message_is_no_task(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    flows = {"Entry>Colleague": "queue"}
    entry = {"create_agency": "payments.agency:create_agency", "messages": flows}
    monkeypatch.setattr("agencies.AGENCIES", {"payments": entry})
    client = modern(service)
    task_id = begin(client, "Colleague: look there")
    work(service, task_id)
    (child,) = [lease.id for lease in service.handler.run(get_run_service().leases.all()) if lease.id != task_id]
    assert get(client, task_id)["status"] == "working"
    assert client.error("tasks/get", {"taskId": child})["code"] == -32602
    work(service, child)
    work(service, task_id)
    assert "saw there" in text(get(client, task_id)["result"])


def test_tasks_are_listed_in_pages(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.routes.mcp.task_methods._PAGE", 2)
    client = earlier(service, **WITH_FORMS)
    ids = [begin(client, "pay ann") for _ in range(3)]
    for task_id in ids[:2]:
        work(service, task_id)
    first = client.result("tasks/list")
    second = client.result("tasks/list", {"cursor": first["nextCursor"]})
    assert "nextCursor" not in second
    listed = [*first["tasks"], *second["tasks"]]
    assert [task["taskId"] for task in listed] == ids[::-1]
    assert [task["status"] for task in listed] == ["working", "input_required", "input_required"]
    assert client.error("tasks/list", {"cursor": "elsewhere"})["code"] == -32602


def test_the_result_is_waited_for_until_the_invocation_ends(service: Service) -> None:
    client = earlier(service)
    task_id = begin(client, "pay ann")
    found = client.result("tasks/get", {"taskId": task_id}, seconds=10)
    assert found["status"] == "working"
    answer = client.answer("tasks/result", {"taskId": task_id}, seconds=3)
    assert answer["error"]["code"] == -32603


def test_the_result_comes_as_soon_as_the_run_is_over(service: Service) -> None:
    client = earlier(service)
    task_id = begin(client, "look here")

    async def later() -> None:
        await asyncio.sleep(0.3)
        await worker.work(get_run_service(), task_id)

    async def start() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(later())

    service.handler.run(start())
    assert text(client.result("tasks/result", {"taskId": task_id})) == "[offline model] Entry: saw here"
