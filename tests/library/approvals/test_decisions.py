"""What is written of a decision: once, for good, and without content but for the journal's row."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agency_lambda.approvals.decided import DecidedApproval, decide, withdraw
from agency_lambda.approvals.deciders import NOBODY, Client, Decider, role_to_decide
from agency_lambda.approvals.model import Approval, decided_partition, pending_partition
from agency_lambda.approvals.queries import find
from agency_lambda.approvals.resource import decided_resource, pending_resource
from agency_lambda.protocol.approvals import Decision
from agency_lambda.store import Conflict, Store, open_store
from tests.library.approvals.rows import pending, request, stored

JOURNAL, LATER = "ann/response/resp_0", 4_000_000_000
YES, NO = Decision(approve=True), Decision(approve=False, reason="Not today: SECRET-REASON")
ANN, OPERATOR = Decider("ann", "owner", "192.0.2.1"), Decider("bob", "operator", "192.0.2.2")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield store
    asyncio.run(store.aclose())


async def decided(store: Store, approval: Approval, decision: Decision, decider: Decider) -> DecidedApproval:
    await store.write(*decide(approval, decision, decider, journal=JOURNAL, expires=LATER))
    found = await find(store, approval.owner, approval.id)
    assert isinstance(found, DecidedApproval)
    return found


@pytest.mark.parametrize(
    ("decision", "decider", "status", "role"),
    [
        (YES, ANN, "approved", "owner"),
        (NO, OPERATOR, "refused", "operator"),
        (NO, NOBODY, "expired", "expiry"),
    ],
)
def test_decision_is_kept_for_good_with_who_when_and_from_where(
    store: Store, decision: Decision, decider: Decider, status: str, role: str
) -> None:
    async def run() -> None:
        found = await decided(store, await stored(store, pending()), decision, decider)
        assert (found.status, found.role, found.decided_by, found.address) == (
            status,
            role,
            decider.owner or None,
            decider.address,
        )
        (record,) = await store.query(decided_partition("ann"))
        assert record.expires is None
        assert await store.query(pending_partition("ann")) == []
        (content,) = await store.query(JOURNAL)
        assert content.expires == LATER

    asyncio.run(run())


def test_decided_record_has_no_content(store: Store) -> None:
    async def run() -> None:
        changed = Decision(approve=True, reason="SECRET-REASON", arguments='{"to": [], "text": "SECRET-NEW"}')
        asked = await stored(store, pending(request=request(arguments='{"text": "SECRET-ASKED"}')))
        await decided(store, asked, changed, OPERATOR)
        (record,), (content,) = await store.query(decided_partition("ann")), await store.query(JOURNAL)
        assert "SECRET" not in json.dumps(record.body)
        for secret in ("SECRET-REASON", "SECRET-NEW", "SECRET-ASKED"):
            assert secret in json.dumps(content.body)

    asyncio.run(run())


def test_of_two_decisions_one_counts(url: str) -> None:
    async def run() -> None:
        store = open_store(url)
        for number in range(20):
            asked = await stored(store, pending(request=request(key=f"Clerk/{number}")))
            tries = [decided(store, asked, YES, ANN), decided(store, asked, NO, OPERATOR)]
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            assert sorted(type(each).__name__ for each in outcomes) == ["Conflict", "DecidedApproval"]
            found = await find(store, "ann", asked.id)
            assert found in outcomes

    asyncio.run(run())


def test_withdrawn_approval_cannot_be_decided(store: Store) -> None:
    async def run() -> None:
        asked = await stored(store, pending())
        await store.write(*withdraw(asked))
        with pytest.raises(Conflict):
            await decided(store, asked, YES, ANN)
        found = await find(store, "ann", asked.id)
        assert isinstance(found, DecidedApproval)
        resource = await decided_resource(store, found, Client("ann", False), JOURNAL)
        assert resource["status"] == "withdrawn"
        assert "decision" not in resource

    asyncio.run(run())


@pytest.mark.parametrize(
    ("approvers", "ann", "operator_ann", "operator_bob", "bob"),
    [
        ("both", "owner", "owner", "operator", None),
        ("owner", "owner", "owner", None, None),
        ("operators", None, "operator", "operator", None),
        ("other_operators", None, None, "operator", None),
    ],
)
def test_who_may_decide(
    approvers: str, ann: str | None, operator_ann: str | None, operator_bob: str | None, bob: str | None
) -> None:
    callers = [("ann", False), ("ann", True), ("bob", True), ("bob", False)]
    roles = [role_to_decide(approvers, "ann", name, is_operator=operator) for name, operator in callers]  # type: ignore[arg-type]
    assert roles == [ann, operator_ann, operator_bob, bob]


def test_owner_who_may_not_decide_sees_no_content(store: Store) -> None:
    async def run() -> None:
        asked = await stored(store, pending(approvers="operators"))
        owner, operator = Client("ann", False), Client("bob", True)
        assert pending_resource(asked, owner)["arguments"] == {}
        assert pending_resource(asked, operator)["arguments"] == {"to": ["ann@example.com"], "text": "Dear Ann"}
        found = await decided(store, asked, NO, OPERATOR)
        seen = await decided_resource(store, found, owner, JOURNAL)
        assert (seen["arguments"], seen["decision"]["reason"], seen["decision"]["address"]) == ({}, None, None)
        assert (seen["decision"]["decided_by"], seen["decision"]["as"]) == ("bob", "operator")
        seen = await decided_resource(store, found, operator, JOURNAL)
        assert seen["arguments"]["text"] == "Dear Ann"
        assert (seen["decision"]["reason"], seen["decision"]["address"]) == (NO.reason, "192.0.2.2")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "shown"),
    [('{"a": 1}', {"a": 1}), ("", {}), ("[1]", "[1]"), ('{"a": NaN}', '{"a": NaN}'), ('{"a"', '{"a"')],
)
def test_arguments_that_are_no_object_are_shown_as_text(text: str, shown: object) -> None:
    resource = pending_resource(pending(request=request(arguments=text)), Client("ann", False))
    assert resource["arguments"] == shown
    json.dumps(resource, allow_nan=False)


def test_continuation_is_named(store: Store) -> None:
    asked = pending()
    assert pending_resource(asked, Client("ann", False))["continued_by"] is None
    asked = replace(asked, run="resp_other")
    assert pending_resource(asked, Client("ann", False))["continued_by"] == "resp_other"
