"""Approvals where the service is deployed: DynamoDB, SQS, one process for the API and one for the worker; deadlines."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import payments.agency
import pytest
from agency_swarm import function_tool

from agency_lambda.approvals.deciders import Decider
from agency_lambda.approvals.queries import find
from agency_lambda.protocol.approvals import Decision
from agency_lambda.runs import worker
from agency_lambda.testing.aws import dynamodb_table, sqs
from agency_lambda.testing.events import rest_event
from tests.library.approvals.desk import Desk, Later, asked_in, later, text_of
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service
from tests.library.paths import ROOT
from tests.library.runtime_emulator import RuntimeEmulator, binary
from tests.library.test_worker import SCHEDULE, Queue

__all__ = ["later"]
MONITORING = ROOT / "src" / "agency_lambda_cdk" / "monitoring.py"


class Deployed:
    """The functions of the API and of the worker, each in a process of its own."""

    def __init__(self, api: RuntimeEmulator, worker: RuntimeEmulator, queue: Queue) -> None:
        self._api, self._worker, self._queue = api, worker, queue

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._api.invoke(rest_event(method, path, body))
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])

    def work(self) -> int:
        """Hand over what is queued. Returns the number of messages."""
        records = self._queue.messages()
        if records:
            assert self._worker.invoke({"Records": records}) == {"batchItemFailures": []}
        return len(records)

    def sweep(self) -> Any:
        return self._worker.invoke(SCHEDULE)


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    with sqs() as (client, of_queue), dynamodb_table() as (table, of_table):
        queue = Queue(client.create_queue(QueueName="runs")["QueueUrl"], of_queue, client)
        place = {"QUEUE": queue.url, "STORE": f"dynamodb://{table}", "AWS_SAM_LOCAL": "true"}
        variables = {**of_queue, **of_table, **place, "PAYMENTS": f"{tmp_path}/paid"}
        with (
            RuntimeEmulator("handler.api.handler", variables) as api,
            RuntimeEmulator("handler.worker.handler", variables) as worker,
        ):
            yield Deployed(api, worker, queue)


@pytest.mark.skipif(binary() is None, reason="AWS ships its runtime emulator for Linux only")
@pytest.mark.parametrize("background", [True, False])
def test_run_waits_and_goes_on_between_functions(deployed: Deployed, tmp_path: Path, background: bool) -> None:
    body = {"model": "payments", "input": "Colleague: pay ann & look here", "background": background}
    first = deployed.call("POST", "/v1/responses", body)
    assert deployed.work() == background
    first = deployed.call("GET", f"/v1/responses/{first['id']}")
    assert (first["status"], len(asked_in(first))) == ("in_progress" if background else "completed", 1)
    (waiting,) = deployed.call("GET", "/v1/approvals")["data"]
    assert (deployed.sweep(), deployed.work()) == ({"swept": 0}, 0)
    decided = deployed.call(
        "POST", f"/v1/approvals/{waiting['id']}", {"approve": True, "arguments": {"to": "bob", "amount": 2}}
    )
    assert deployed.work() == 1
    rest = deployed.call("GET", f"/v1/responses/{decided['continued_by'] or first['id']}")
    assert rest["status"] == "completed"
    assert "paid 2 to bob" in text_of(rest)
    assert (tmp_path / "paid").read_text() == "bob 2\n"
    assert deployed.work() == 0


@pytest.fixture
def office(start: Callable[..., Service], url: str) -> Desk:
    """Ann asks agency "payments", with each store."""
    return Desk(start(API_KEYS=api_keys(), STORE=url), [])


def ask(at: Desk, text: str, **fields: Any) -> dict[str, Any]:
    return at.ask(model="payments", input=text, **fields)


def test_sweep_ends_what_nobody_answers(office: Desk, later: Later) -> None:
    response = ask(office, "pay ann")
    later(30.1)
    office.sweep()
    office.work(response["id"])
    response = office.response(response["id"])
    assert response["status"] == "completed"
    assert "Nobody answered" in text_of(response)


def test_decision_at_the_moment_of_expiry_leaves_the_sweep_to_its_work(
    office: Desk, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [ask(office, "pay ann")["id"] for _ in range(3)]
    approvals, store_type, raced = office.pending(), type(office.runs.store), list[str]()
    write = store_type.write

    async def decide_first(store: Any, *changes: Any) -> None:
        ids = [each.sort for each in changes if each.partition == "ann/approvals"]
        if ids and not raced:
            raced.extend(ids)
            approval = await find(store, "ann", ids[0])
            await office.runs.decide(approval, Decision(approve=True), Decider("ann", "owner"))
        await write(store, *changes)

    later(30.1)
    monkeypatch.setattr(store_type, "write", decide_first)
    office.sweep()
    office.work(*runs)
    assert office.pending() == []
    ends = [office.get(f"/v1/approvals/{each['id']}")["status"] for each in approvals]
    assert sorted(ends) == ["approved", "expired", "expired"]
    assert {office.response(run)["status"] for run in runs} == {"completed"}


def test_run_that_waits_raises_no_alarm(office: Desk, later: Later, capsys: pytest.CaptureFixture[str]) -> None:
    alarms = set(re.findall(r'^    "(\w+)": \(\d+, "', MONITORING.read_text(), re.MULTILINE))
    assert "ExpiredLeases" in alarms
    run = ask(office, "pay ann; pay bob")["id"]
    later(1)
    office.sweep()
    office.decide(office.pending()[0]["id"])
    office.work(run)
    later(32)
    office.sweep()
    office.work(run)
    assert office.response(run)["status"] == "completed"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    logged = {name for line in lines for name, value in line.items() if value not in (0, [0], [0.0])}
    assert "ApprovalsDecided" in logged
    assert logged & alarms == set()


def test_decision_while_the_worker_has_the_run_is_not_lost(office: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, goes_on, paid = asyncio.Event(), asyncio.Event(), list[str]()

    @function_tool(needs_approval=True)
    async def pay(to: str, amount: int) -> str:
        """Pay."""
        begun.set()
        await goes_on.wait()
        paid.append(to)
        return f"paid {amount} to {to}"

    monkeypatch.setattr(payments.agency, "pay", pay)
    run_id = ask(office, "pay ann & pay bob")["id"]
    one, other = office.pending()
    office.decide(one["id"])

    async def decide_meanwhile() -> None:
        working = asyncio.create_task(worker.work(office.runs, run_id))
        await begun.wait()
        approval = await find(office.runs.store, "ann", other["id"])
        await office.runs.decide(approval, Decision(approve=True), Decider("ann", "owner"))
        goes_on.set()
        await working

    office.run(decide_meanwhile())
    office.work(run_id)
    response = office.response(run_id)
    assert (response["status"], sorted(paid), office.pending()) == ("completed", ["ann", "bob"], [])


@pytest.mark.parametrize("path", ["/v1/responses", "/completion"])
def test_foreground_run_whose_deadline_comes_before_it_asks(
    office: Desk, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    looked = list[str]()

    @function_tool
    async def look(at: str) -> str:
        """Look."""
        looked.append(at)
        if len(looked) == 1:
            await asyncio.sleep(20)
        return f"saw {at}"

    monkeypatch.setattr(payments.agency, "look", look)
    bodies = {
        "/v1/responses": {"model": "payments", "input": "pay ann & look here"},
        "/completion": {"agency": "payments", "message": "pay ann & look here"},
    }
    status, unfinished = office.service.post(path, bodies[path], seconds=4, **bearer("ann"))
    assert (status, unfinished["status"], office.pending()) == (202, "in_progress", [])
    run_id = unfinished.get("run_id") or unfinished["id"]
    office.work(run_id)
    asked = office.response(run_id)
    assert (asked["status"], len(asked_in(asked)), len(looked)) == ("completed", 1, 2)
    (waiting,) = office.pending()
    office.decide(waiting["id"])
    office.work(waiting["continued_by"])
    assert text_of(office.response(waiting["continued_by"])).endswith("paid 1 to ann | saw here")
    assert len(looked) == 2
