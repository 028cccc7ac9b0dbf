"""A run waits for as long as it may: rows and no work, in a month as in an hour."""

import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.approvals.model import Approval, pending_partition
from agency_lambda.runs.model import DUE_PARTITION, Lease, lease_partition
from agency_lambda.store import Change, Put
from agency_lambda.store.sqlite import SQLiteStore
from tests.library.approvals.desk import DAY, Desk, Later, Start, desk, later, text_of
from tests.library.callers import bearer
from tests.library.conftest import ROOT

__all__ = ["desk", "later"]


def test_decision_after_29_days_goes_on_with_what_was_paid(desk: Start, later: Later) -> None:
    at = desk()
    response = at.ask()
    later(29.9)
    at.sweep()
    (waiting,) = at.pending()
    assert at.decide(waiting["id"])[0] == 200
    at.work(response["id"])
    response = at.response(response["id"])
    assert (response["status"], len(at.paid)) == ("completed", 1)
    assert response["usage"]["model_calls"] == 2
    later(29.9 + 29.9)
    assert at.response(response["id"]) == response
    assert at.get(f"/v1/approvals/{waiting['id']}")["decision"]["as"] == "owner"
    later(400)
    kept = at.get(f"/v1/approvals/{waiting['id']}")
    assert (kept["status"], kept["decision"]["decided_by"], kept["arguments"]) == ("approved", "ann", {})


@pytest.mark.parametrize("background", [True, False])
def test_what_nobody_has_answered_is_refused_after_30_days(desk: Start, later: Later, background: bool) -> None:
    at = desk()
    first = at.ask(background=background)
    (waiting,) = at.pending()
    later(29.9)
    at.sweep()
    assert at.pending() == [waiting]
    later(30.1)
    at.sweep()
    assert at.pending() == []
    run = waiting["continued_by"] or first["id"]
    at.work(run)
    response = at.response(run)
    assert (response["status"], at.paid) == ("completed", [])
    assert "Nobody answered" in text_of(response)
    decided = at.get(f"/v1/approvals/{waiting['id']}")
    assert (decided["status"], decided["decision"]["as"], decided["decision"]["decided_by"]) == (
        "expired",
        "expiry",
        None,
    )
    assert at.decide(waiting["id"])[0] == 409


@pytest.mark.parametrize(("kind", "reason"), [("repeat", "whether to call it again."), ("tool", "was not called.")])
def test_reason_of_what_expired_claims_only_what_is_known(desk: Start, later: Later, kind: Any, reason: str) -> None:
    at = desk()
    at.ask()
    (record,) = at.run(at.runs.store.query(pending_partition("ann")))[0]
    approval = Approval.from_record(record)
    changed = replace(approval, request=replace(approval.request, kind=kind))
    at.run(at.runs.store.write(changed.put(changed.expires_at + DAY)))
    later(30.1)
    at.sweep()
    assert at.get(f"/v1/approvals/{approval.id}")["decision"]["reason"].endswith(reason)


def test_days_are_a_setting(desk: Start, later: Later) -> None:
    at = desk(APPROVAL_DAYS="365")
    response = at.ask()
    (waiting,) = at.pending()
    assert waiting["expires_at"] - waiting["created_at"] == 365 * DAY
    later(364.9)
    at.sweep()
    assert [each["id"] for each in at.pending("eve")] == [waiting["id"]]
    at.decide(waiting["id"], "eve")
    at.work(response["id"])
    assert at.response(response["id"])["status"] == "completed"


@pytest.mark.parametrize("days", [31, 61, 400])
def test_conversation_goes_on_after_a_time_in_which_nothing_ran(desk: Start, later: Later, days: int) -> None:
    at = desk()
    _, conversation = at.service.post("/v1/conversations", {}, **bearer("ann"))
    first = at.ask(conversation=conversation["id"])
    later(days)
    at.sweep()
    at.work(first["id"])
    status, found = at.service.get(f"/v1/responses/{first['id']}", **bearer("ann"))
    assert (status, found.get("status")) == ((200, "completed") if days == 31 else (404, None))
    assert at.paid == at.pending() == []
    again = {"model": "desk", "input": "Pay Bob.", "conversation": conversation["id"]}
    status, response = at.service.post("/v1/responses", again, **bearer("ann"))
    assert (status, response["status"]) == (200, "completed")
    assert len(at.pending()) == 1


def test_thousand_waiting_runs_cost_no_write_and_no_message_in_an_hour(desk: Start, later: Later) -> None:
    at = desk()
    with counted() as without:
        at.sweep()
    response = at.ask()
    at.run(copied(at, response["id"], 999))
    assert len(at.run(at.runs.store.query(pending_partition("ann")))[0]) == 1000
    sent = messages(at)
    with counted() as calls:
        for minute in range(60):
            later(minute / 1440)
            at.sweep()
    assert calls["write"] == calls["records"] == 0
    assert calls["query"] == 60 * without["query"]
    assert messages(at) == sent


def test_run_counts_among_its_owners_runs_but_while_it_waits(desk: Start) -> None:
    at = desk(BUDGET_RUNS_AT_ONCE="1")
    waiting = [at.ask()["id"] for _ in range(2)]  # neither counts, so the second one may begin
    for approval in at.pending():
        assert at.decide(approval["id"])[0] == 200
    attempts = at.run(*map(at.runs.resume, waiting))
    at.run(*(attempt._start() for attempt in attempts))
    assert runs_of_ann(at) == 2
    at.run(at.runs.execute(attempts[0]))
    assert runs_of_ann(at) == 1
    status, refused = at.service.post("/v1/responses", {"model": "desk", "input": "Pay."}, **bearer("ann"))
    assert (status, refused["error"]["code"]) == (429, "too_many_runs")
    at.run(at.runs.execute(attempts[1]))
    assert [at.response(each)["status"] for each in waiting] == ["completed", "completed"]
    assert runs_of_ann(at) == 0


def runs_of_ann(at: Desk) -> int:
    return int(at.run(at.runs.budgets.describe("ann"))[0]["runs"])


#: what lies in the store of a run that waits, by partition and sort -> days that it is kept: 30 to decide, and 30
WAITING = {
    r"ann/response/\S+ response": 60,
    r"ann/response/\S+ event/\d+": 60,
    r"ann/response/\S+ journal/(model|tool|allowed)/.+": 60,
    r"ann/response/\S+ journal/asked": 60,  # where a model call was slow
    r"ann/runs \d{16}/resp_\w+": 60,
    r"ann/log/\S+ \d+": 60,
    r"ann/approvals mcpr_\w+": 60,
    r"owners ann": 60,
    r"waiting#0[0-9a-f] resp_\w+": None,
    r"waiting/due \d+/resp_\w+": None,
}
DECIDED = {r"ann/decisions mcpr_\w+": None, r"ann/response/\S+ journal/decision/.+": 60}


@pytest.mark.parametrize("how", [{}, {"stream": True, "background": False}, {"background": False}])
def test_each_row_of_a_run_that_waits_outlives_the_waiting(desk: Start, tmp_path: Path, how: dict[str, bool]) -> None:
    at = desk()
    at.ask(**how)
    kept = rows(tmp_path)
    for name, days in kept.items():
        (promised,) = [WAITING[pattern] for pattern in WAITING if re.fullmatch(pattern, name)] or ["nothing"]
        assert days == promised, name
    at.decide(at.pending()[0]["id"])
    for pattern, days in DECIDED.items():
        assert [each for name, each in rows(tmp_path).items() if re.fullmatch(pattern, name)] == [days]
    assert not [name for name in rows(tmp_path) if name.startswith(("ann/approvals ", "waiting"))]


def rows(folder: Path) -> dict[str, int | None]:
    """Return what lies in the store, and the days that it is kept."""
    with closing(sqlite3.connect(folder / "agency.db")) as connection:
        found = connection.execute("SELECT partition || ' ' || sort, expires FROM record").fetchall()
    return {name: expires and round((expires - time.time()) / DAY) for name, expires in found}


def test_page_says_what_waiting_costs(desk: Start) -> None:
    at = desk()
    with written() as writes:
        at.ask()
    (begins,) = [changes for changes in writes if any(each.partition == "ann/approvals" for each in changes)]
    with written() as writes:
        at.decide(at.pending()[0]["id"])
    (decided,) = writes
    with written() as writes:
        at.ask(background=False)
    page = (ROOT / "docs" / "performance.md").read_text()
    for when, changes in (("the run begins to wait", begins), ("a decision, or its expiry", decided)):
        size = sum(len(json.dumps(each.body)) for each in changes if isinstance(each, Put))
        (said,) = re.findall(rf"^\| {when} \| one of (\d+) records, ([\d,]+) bytes", page, re.MULTILINE)
        assert int(said[0]) == len(changes)
        assert size == pytest.approx(int(said[1].replace(",", "")), rel=0.1)
    assert f"with its end: {len(writes[-1])} records in place of 4" in page


@contextmanager
def written() -> Iterator[list[tuple[Change, ...]]]:
    writes, write = list[tuple[Change, ...]](), SQLiteStore.write

    async def writing(store: SQLiteStore, *changes: Change) -> None:
        writes.append(changes)
        await write(store, *changes)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SQLiteStore, "write", writing)
        yield writes


async def copied(at: Desk, run_id: str, count: int) -> None:
    """Put more runs beside one that waits, with what the sweep and the lists read of them."""
    store, owner = at.runs.store, "ann"
    (approval,) = await store.query(pending_partition(owner))
    record = await store.get(lease_partition(run_id, waiting=True), run_id)
    lease = Lease.from_record(record)
    for number in range(count):
        run = f"resp_{number:032x}"
        copy = replace(lease, id=run, partition=lease_partition(run, waiting=True), version="")
        body = {**approval.body, "run": run, "response_id": run}
        await store.write(
            copy.put(), Put(DUE_PARTITION, copy.due_key, {}), Put(approval.partition, f"mcpr_{number:032x}", body)
        )


def messages(at: Desk) -> int:
    return len(at.runs.queue)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls of the store, and the records that it returns."""
    calls = Counter[str]()

    def counting(name: str) -> Any:
        method = getattr(SQLiteStore, name)

        async def called(store: Any, *args: Any, **named: Any) -> Any:
            calls[name] += 1
            found = await method(store, *args, **named)
            calls["records"] += len(found) if isinstance(found, list) else int(found is not None)
            return found

        return called

    with pytest.MonkeyPatch.context() as patched:
        for name in ("get", "query", "write"):
            patched.setattr(SQLiteStore, name, counting(name))
        yield calls
