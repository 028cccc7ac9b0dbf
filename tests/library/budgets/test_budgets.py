"""Budgets, as callers and operators meet them."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from agency_lambda import telemetry
from agency_lambda.app import create_app
from agency_lambda.budgets import Limits, accounts
from agency_lambda.budgets.spending import Advance
from agency_lambda.run_service import close_run_service, get_run_service
from agency_lambda.store import Add, Change, StoreUnavailable
from agency_lambda.testing.events import Context, http_event
from tests.library.budgets.conftest import Budgeted

Started = Callable[..., Budgeted]
NOTHING = {"usd": 0.0, "tokens": 0}


def test_an_operator_sets_and_sees_a_budget(budgeted: Started) -> None:
    service = budgeted(BUDGET_TOKENS_PER_DAY="500000", BUDGET_RUNS_AT_ONCE="7")
    before = service.budget()
    assert before["is_default"] is True
    assert (before["limits"]["tokens_per_day"], before["limits"]["runs_at_once"]) == (500000, 7)
    service.set_budget(usd_per_day=0.3)
    _, response = service.ask_for()
    seen = service.budget()
    tokens = response["usage"]["total_tokens"]
    usd = (response["usage"]["input_tokens"] + 4 * response["usage"]["output_tokens"]) / 1_000_000
    assert seen["limits"] == dict.fromkeys(before["limits"]) | {"usd_per_day": 0.3}
    assert (
        seen["day"] == seen["month"] == {"spent": {"usd": usd, "tokens": tokens}, "reserved": NOTHING, "closed": False}
    )
    assert (seen["is_default"], seen["runs"]) == (False, 0)
    assert service.budget("another")["day"]["spent"] == NOTHING
    for wrong in (
        {"usd_per_day": -1},
        {"tokens_per_day": 1.5},
        {"usd": 1},
        {"usd_per_month": "1"},
        {"usd_per_day": 4e-7},
    ):
        assert service.send(http_event("PUT", "/v1/admin/budgets/local", wrong))[0] == 400


@pytest.mark.parametrize("fields", [{}, {"background": True}, {"stream": True}, {"store": False}])
@pytest.mark.parametrize("limits", [{"usd_per_day": 0.01}, {"tokens_per_month": 1000}, {"tokens_per_day": 0}])
def test_a_run_that_does_not_fit_is_not_begun(budgeted: Started, fields: Any, limits: Any) -> None:
    service = budgeted()
    service.set_budget(**limits)
    event = http_event("POST", "/v1/responses", {"model": "letters", "input": "hello", **fields})
    answer = service.handler(event, Context(60))
    error = json.loads(answer["body"])["error"]
    assert (answer["statusCode"], error["code"], error["type"]) == (429, "budget_exceeded", "rate_limit_error")
    assert re.search(r"this (day|month)\. It opens at 20\d\d-\d\d-\d\dT00:00:00Z\.$", error["message"])
    assert 0 < int(answer["headers"]["retry-after"]) <= 31 * 24 * 3600
    assert answer["headers"]["x-should-retry"] == "false"
    assert service.budget()["day"] == {"spent": NOTHING, "reserved": NOTHING, "closed": False}
    assert kept(service) == []


def kept(service: Budgeted) -> list[Any]:
    """All leases and indexed runs that the store holds."""
    from agency_lambda.runs.leases import Leases

    return service.handler.run(Leases(get_run_service().store).all())


def test_a_budget_is_of_one_owner(budgeted: Started) -> None:
    service = budgeted()
    service.set_budget("another", tokens_per_day=0)
    assert service.ask_for()[0] == 200


def test_what_waits_has_reserved_its_first_call(budgeted: Started) -> None:
    service = budgeted()
    service.set_budget(usd_per_day=0.10)
    status, queued = service.ask_for(background=True)
    assert status == 200
    assert service.budget()["day"]["reserved"]["usd"] > 0.06
    status, refused = service.ask_for(background=True)
    assert (status, refused["error"]["code"]) == (429, "budget_exceeded")
    assert "is reserved by other calls" in refused["error"]["message"]
    assert service.post(f"/v1/responses/{queued['id']}/cancel", None)[1]["status"] == "cancelled"
    assert service.budget()["day"] == {"spent": NOTHING, "reserved": NOTHING, "closed": False}
    _, queued = service.ask_for(background=True)
    assert service.delete(f"/v1/responses/{queued['id']}")[0] == 200
    assert service.budget()["day"]["reserved"] == NOTHING


def test_a_worker_takes_over_what_was_reserved(budgeted: Started) -> None:
    from agency_lambda.runs import worker

    service = budgeted()
    service.set_budget(usd_per_day=0.10)
    _, queued = service.ask_for(background=True)
    service.set_budget(usd_per_day=0.08)  # less than a second reservation would need
    service.handler.run(worker.work(get_run_service(), queued["id"]))
    response = service.get(f"/v1/responses/{queued['id']}")[1]
    assert response["status"] == "completed"
    day = service.budget()["day"]
    assert (day["spent"]["tokens"], day["reserved"]) == (response["usage"]["total_tokens"], NOTHING)


def test_runs_at_once_are_counted_from_their_creation_to_their_end(budgeted: Started) -> None:
    service = budgeted()
    service.set_budget(runs_at_once=2)
    waiting = [service.ask_for(background=True)[1] for _ in range(2)]
    for fields in ({}, {"store": False}, {"background": True}):
        status, refused = service.ask_for(**fields)
        assert (status, refused["error"]["code"]) == (429, "too_many_runs")
    assert len(kept(service)) == 2
    assert service.budget()["runs"] == 2
    service.post(f"/v1/responses/{waiting[0]['id']}/cancel", None)
    assert service.ask_for(store=False)[0] == 200
    assert service.ask_for()[0] == 200
    service.delete(f"/v1/responses/{waiting[1]['id']}")
    service.delete(f"/v1/responses/{waiting[0]['id']}")  # which was final
    assert service.budget()["runs"] == 0


def test_a_run_that_died_unstored_is_counted_for_a_quarter_of_an_hour(
    budgeted: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = budgeted()
    service.set_budget(runs_at_once=1)

    async def begin() -> None:
        count = await get_run_service().budgets.run_count("local")
        assert count
        await count.begin_unstored("resp_died")

    service.handler.run(begin())
    assert service.ask_for()[0] == 429
    now = time.time
    monkeypatch.setattr("agency_lambda.budgets.running.time.time", lambda: now() + 901)
    assert service.ask_for()[0] == 200
    assert service.budget()["runs"] == 0


def test_setting_limits_forgets_unstored_runs(budgeted: Started) -> None:
    service = budgeted()
    service.set_budget(runs_at_once=1)

    async def begin() -> Any:
        count = await get_run_service().budgets.run_count("local")
        assert count
        await count.begin_unstored("resp_died")
        return count

    count = service.handler.run(begin())
    assert service.set_budget(runs_at_once=1)["runs"] == 0
    service.handler.run(count.end_unstored("resp_died"))  # it was alive
    assert service.budget()["runs"] == 0
    assert service.ask_for()[0] == 200


def test_an_unstored_run_is_counted_no_longer_if_its_advance_stays(
    budgeted: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = budgeted()
    service.set_budget(runs_at_once=1, tokens_per_day=10**6)

    async def broken(self: Advance) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(Advance, "release_advance", broken)
    assert service.ask_for(store=False)[0] == 200
    assert service.budget()["runs"] == 0


def test_those_who_open_a_budget_at_once_open_it_once(budgeted: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    service = budgeted()
    store = get_run_service().store
    get = store.get

    async def slow_get(partition: str, sort: str) -> Any:
        record = await get(partition, sort)
        await asyncio.sleep(0.01)
        return record

    monkeypatch.setattr(store, "get", slow_get)
    day = accounts.day("local", time.time(), {})

    async def race() -> None:
        runs = get_run_service()
        await runs.store.write(Add(day.partition, day.sort, {"closed": 1}))
        await asyncio.gather(*(runs.budgets.set_limits("local", Limits(usd_per_day=10**9 + n)) for n in range(8)))
        await runs.store.write(Add(day.partition, day.sort, {"closed": 1}))

    service.handler.run(race())
    assert service.budget()["day"]["closed"] is True
    assert service.ask_for()[0] == 429
    assert service.set_budget(usd_per_day=5)["day"]["closed"] is False


def test_the_default_comes_back_and_changes_are_logged(budgeted: Started, capsys: pytest.CaptureFixture[str]) -> None:
    service = budgeted(BUDGET_TOKENS_PER_DAY="0")
    service.set_budget(tokens_per_day=10**6)
    assert service.ask_for()[0] == 200
    status, budget = service.delete("/v1/admin/budgets/local")
    assert (status, budget["is_default"], budget["limits"]["tokens_per_day"]) == (200, True, 0)
    assert service.ask_for()[0] == 429
    assert service.delete("/v1/admin/budgets/local")[0] == 200
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"limits_changed"' in line]
    seen = [(line["owner"], line["before"]["tokens_per_day"], line["after"]["tokens_per_day"]) for line in lines]
    assert seen == [("local", 0, 10**6), ("local", 10**6, 0), ("local", 0, 0)]


def test_200_callers_at_once_pass_no_limit(budgeted: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, sums = 150_000, list[int]()
    monkeypatch.setenv("BUDGET_TOKENS_PER_DAY", str(limit))
    budgeted(BUDGET_TOKENS_PER_DAY=str(limit))

    async def whole() -> tuple[list[httpx.Response], Any]:
        store = get_run_service().store
        write = store.write

        async def watched(*changes: Change) -> None:
            await write(*changes)
            if any(isinstance(change, Add) for change in changes):
                records = await store.query("local/spend", after="day/", before="day0")
                sums.append(records[0].body["tokens"])

        monkeypatch.setattr(store, "write", watched)
        transport = httpx.ASGITransport(create_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=120) as client:
            asked = [{"model": "letters", "input": "hello", "background": bool(n % 2)} for n in range(200)]
            answers = await asyncio.gather(*(client.post("/v1/responses", json=each) for each in asked))
            budget = (await client.get("/v1/admin/budgets/local")).json()
        await close_run_service()
        return answers, budget

    answers, budget = asyncio.run(whole())
    bodies = [answer.json() for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 429} == {"budget_exceeded"}
    assert max(sums) <= limit
    assert max(sums) > limit * 0.8
    ended = [body for body in bodies if body["status"] in ("completed", "incomplete")]
    assert ended  # which of them get as far as their ends is chance
    assert {body["status"] for body in bodies} <= {"completed", "incomplete", "queued"}
    assert budget["day"]["spent"]["tokens"] == sum(body["usage"]["total_tokens"] for body in ended)
    queued = [body for body in bodies if body["status"] == "queued"]
    assert (budget["day"]["reserved"]["tokens"] > 0) == bool(queued)


def test_an_owner_without_a_budget_costs_one_read_in_ten_seconds(
    budgeted: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, seen = budgeted(), list[Any]()
    store = get_run_service().store
    get, write = store.get, store.write

    async def watched_get(partition: str, sort: str) -> Any:
        seen.append((partition, sort))
        return await get(partition, sort)

    async def watched_write(*changes: Change) -> None:
        seen.extend((change.partition, change.sort) for change in changes)
        await write(*changes)

    monkeypatch.setattr(store, "get", watched_get)
    monkeypatch.setattr(store, "write", watched_write)
    for fields in ({}, {"store": False}, {"background": True}):
        assert service.ask_for(**fields)[0] == 200
    assert [key for key in seen if "spend" in key[0] or key[1] == "spend"] == [("local/spend", "limits")]
    monkeypatch.setattr("agency_lambda.budgets.time.time", lambda: time.monotonic() + 10**9)
    service.ask_for()
    assert seen.count(("local/spend", "limits")) == 2


def test_four_fifths_of_a_budget_raise_one_alarm(budgeted: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    service, alarms = budgeted(), list[Any]()
    monkeypatch.setattr(telemetry, "log_budget", lambda metric, **fields: alarms.append((metric, fields["budget"])))
    service.set_budget(tokens_per_day=100_000)
    assert service.ask_for()[0] == 200
    assert alarms == []
    service.set_budget(tokens_per_day=20_000)
    assert service.ask_for()[0] == 429
    assert alarms == []  # it does not fit, but little is used
    service.set_budget(tokens_per_day=25_000)
    statuses = [service.ask_for()[0] for _ in range(3)]
    assert statuses[0] == 200
    assert alarms == [("BudgetAlarms", f"day/{datetime.now(UTC):%Y-%m-%d}")]


def test_a_budget_opens_with_the_day_and_the_month(budgeted: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    service = budgeted()
    clock = [datetime(2027, 1, 30, 23, 59, 50, tzinfo=UTC).timestamp()]
    monkeypatch.setattr("agency_lambda.budgets.time.time", lambda: clock[0])
    monkeypatch.setattr("agency_lambda.budgets.spending.time.time", lambda: clock[0])

    def refused() -> tuple[str, int]:
        """Ask until there is no money; until when, and for how long."""
        event = http_event("POST", "/v1/responses", {"model": "letters", "input": "hello"})
        answers = [service.handler(event, Context(60)) for _ in range(9)]
        assert [answer["statusCode"] for answer in answers][::8] == [200, 429]
        message = json.loads(answers[-1]["body"])["error"]["message"]
        return message.rpartition(" at ")[2], int(answers[-1]["headers"]["retry-after"])

    service.set_budget(tokens_per_day=20_000)
    assert refused() == ("2027-01-31T00:00:00Z.", 10)
    clock[0] += 10
    service.set_budget(tokens_per_day=20_000, tokens_per_month=40_000)
    assert refused() == ("2027-02-01T00:00:00Z.", 24 * 3600)
    clock[0] += 24 * 3600
    assert service.ask_for()[0] == 200
    assert service.budget()["day"]["spent"]["tokens"] == service.budget()["month"]["spent"]["tokens"] > 0
