"""GET /v1/approvals: what waits, for its owner and for operators."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agency_lambda.approvals.model import Approval
from agency_lambda.protocol.ids import new_id
from agency_lambda.run_service import get_run_service
from agency_lambda.runs.owners import Owners
from agency_lambda.store import open_store
from tests.library.approvals.rows import pending, request, stored
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service

SECRET = '{"text": "SECRET"}'


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """Ann, Bob, and Eve, who is an operator; all have runs."""
    service = start(API_KEYS=api_keys())
    for owner in ("ann", "bob"):
        service.post("/v1/responses", {"model": "letters", "input": "hello"}, **bearer(owner))
    return service


def waiting(service: Service, owner: str, **changed: Any) -> Approval:
    asked = pending(owner, id=new_id("resp").replace("resp", "mcpr"), **changed)
    approval: Approval = service.handler.run(stored(get_run_service().store, asked))
    return approval


def listed(service: Service, caller: str, query: str = "") -> list[str]:
    status, page = service.get(f"/v1/approvals{query}", **bearer(caller))
    assert status == 200, page
    return [each["id"] for each in page["data"]]


def test_owner_lists_its_own_and_operator_all(service: Service) -> None:
    first, second, third = (waiting(service, owner).id for owner in ("ann", "bob", "ann"))
    assert listed(service, "ann") == [third, first]
    assert listed(service, "bob") == [second]
    assert listed(service, "eve") == [third, second, first]
    assert listed(service, "eve", "?owner=bob") == listed(service, "bob", "?owner=bob") == [second]
    assert listed(service, "eve", "?order=asc&limit=2") == [first, second]
    status, refused = service.get("/v1/approvals?owner=ann", **bearer("bob"))
    assert (status, refused["error"]["code"]) == (403, "operator_required")


def test_approval_of_another_owner_is_a_404_but_for_operators(service: Service) -> None:
    asked = waiting(service, "ann")
    for caller, status in (("ann", 200), ("eve", 200), ("bob", 404)):
        answered, found = service.get(f"/v1/approvals/{asked.id}", **bearer(caller))
        assert answered == status
        if status == 200:
            assert (found["object"], found["status"], found["response_id"]) == ("approval", "pending", asked.run)
            assert found.get("owner") == ("ann" if caller == "eve" else None)
    for nobody in ("mcpr_x", "resp_x", "mcpr_%2F"):
        assert service.get(f"/v1/approvals/{nobody}", **bearer("eve"))[0] == 404


def test_pages_go_through_all_owners_once(service: Service) -> None:
    ids = [waiting(service, "ann" if number % 3 else "bob").id for number in range(40)]
    found, after = list[str](), ""
    while True:
        _, page = service.get(f"/v1/approvals?limit=7{after}", **bearer("eve"))
        found += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    assert found == ids[::-1]
    assert service.get("/v1/approvals?after=resp_1", **bearer("eve"))[0] == 400


def test_page_is_no_longer_than_an_answer_may_be(service: Service) -> None:
    for _ in range(8):
        waiting(service, "ann", request=request(arguments=json.dumps({"text": "x" * 900_000})))
    _, page = service.get("/v1/approvals", **bearer("ann"))
    assert (len(page["data"]), page["has_more"]) == (5, True)


def test_owner_who_may_not_decide_sees_no_arguments(service: Service) -> None:
    asked = waiting(service, "ann", approvers="operators", request=request(arguments=SECRET))
    for path in ("/v1/approvals", f"/v1/approvals/{asked.id}"):
        _, seen = service.get(path, **bearer("ann"))
        assert "SECRET" not in json.dumps(seen)
        _, seen = service.get(path, **bearer("eve"))
        assert "SECRET" in json.dumps(seen)


def test_operator_leaves_a_log_line(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    asked = waiting(service, "ann")
    capsys.readouterr()
    for path, action, owner, response in (
        ("/v1/approvals", "list_approvals", None, None),
        ("/v1/approvals?owner=ann", "list_approvals", "ann", None),
        (f"/v1/approvals/{asked.id}", "retrieve_approval", "ann", asked.response_id),
        ("/v1/approvals/mcpr_x", "retrieve_approval", None, None),
    ):
        service.get(path, **bearer("ann"))
        service.get(path, **bearer("eve"))
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"operator"' in line]
        assert lines == [{"operator": "eve", "action": action, "owner": owner, "response_id": response}]


@pytest.mark.parametrize(("days", "kept"), [(1, 60), (30, 60), (365, 395)])
def test_owner_is_known_for_as_long_as_its_runs_may_wait(tmp_path: Path, days: int, kept: int) -> None:
    (put,) = Owners(open_store(f"sqlite:///{tmp_path}/store.db"), days).put_if_new("ann")
    assert put.expires is not None
    assert round((put.expires - time.time()) / 86400) == kept
