"""Cancelling never hangs: whoever holds the run, whatever the clocks say, and wherever the store is."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.errors import StoreUnavailable
from agency_lambda.runs import worker
from agency_lambda.runs.leases import Leases
from agency_lambda.runs.model import LEASE_SECONDS, Lease
from agency_lambda.testing.events import Context, http_event
from tests.library.conftest import Service

LATER = {"model": "letters", "input": "Client Nordwind asks about a date.", "background": True}
BOUND = 0.4


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.runs.following._POLL", 0.02)
    monkeypatch.setattr("agency_lambda.runs.cancellation._POLL_INTERVAL", 0.05)
    monkeypatch.setattr("agency_lambda.runs.cancellation._TIMEOUT", BOUND)


class Held:
    """A run in the background, and who holds its lease."""

    def __init__(self, service: Service, holder: str = "", ahead: float = LEASE_SECONDS) -> None:
        from agency_lambda.run_service import get_run_service

        self.service, self.store, self.runs = service, get_run_service().store, get_run_service()
        self.id = service.post("/v1/responses", LATER)[1]["id"]
        if holder:
            self.run(self.store.write(self.lease.put(holder=holder, until=time.time() + ahead, attempts=1)))

    def run(self, awaitable: Any) -> Any:
        return self.service.handler.run(awaitable)

    @property
    def lease(self) -> Lease:
        found: Lease | None = self.run(Leases(self.store).find(self.id))
        assert found
        return found

    def cancel(self, seconds: float = 20) -> tuple[dict[str, Any], float]:
        """The answer, and the seconds until it came."""
        begun = time.monotonic()
        event = http_event("POST", f"/v1/responses/{self.id}/cancel")
        return self.service.handler(event, Context(seconds)), time.monotonic() - begun

    @property
    def status(self) -> str:
        return str(self.service.get(f"/v1/responses/{self.id}")[1]["status"])


def is_on_its_way(held: Held, answer: dict[str, Any], took: float) -> None:
    assert answer["statusCode"] == 202
    assert answer["headers"]["location"] == f"/v1/responses/{held.id}"
    assert float(answer["headers"]["retry-after"]) > 0
    assert took < BOUND + 2
    assert held.status == "queued"


@pytest.mark.parametrize("ahead", [None, -1.0, LEASE_SECONDS + 3600, 1e12])
def test_what_nobody_can_hold_ends_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch, ahead: float | None
) -> None:
    """Free, expired, or until later than any lease can be."""
    monkeypatch.setattr("agency_lambda.runs.cancellation._TIMEOUT", 10.0)  # the framework is imported first
    held = Held(service) if ahead is None else Held(service, "dead", ahead)
    answer, _ = held.cancel()
    assert (answer["statusCode"], held.status) == (200, "cancelled")


@pytest.mark.parametrize("ahead", [LEASE_SECONDS, LEASE_SECONDS + 30])
def test_what_a_dead_or_paused_process_holds_ends_with_its_lease(
    service: Service, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    held = Held(service, "paused", ahead)
    is_on_its_way(held, *held.cancel())
    is_on_its_way(held, *held.cancel())  # as often as it is asked
    assert held.lease.cancelled
    now = time.time
    monkeypatch.setattr("agency_lambda.runs.model.time.time", lambda: now() + ahead + 1)
    assert held.run(worker.reap_expired(held.runs)) == 1
    held.run(worker.work(held.runs, held.id))
    assert held.status == "cancelled"


def test_a_lease_that_ends_while_the_request_waits_is_taken(service: Service) -> None:
    held = Held(service, "dead", 0.15)
    answer, took = held.cancel()
    assert (answer["statusCode"], held.status) == (200, "cancelled")
    assert took < BOUND + 2


def test_it_waits_for_no_longer_than_its_invocation(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agency_lambda.runs.cancellation._TIMEOUT", 60.0)
    held = Held(service, "paused")
    answer, took = held.cancel(2)
    assert answer["statusCode"] == 202
    assert took < 2


@pytest.mark.parametrize("holder", ["", "paused"])
@pytest.mark.parametrize("at", range(8))
def test_a_store_that_goes_away_at_any_step(
    service: Service, monkeypatch: pytest.MonkeyPatch, at: int, holder: str
) -> None:
    """503 while nothing is marked; 202 or 200 from then on; and it ends cancelled when the store is back."""
    held, calls = Held(service, holder), 0
    with monkeypatch.context() as broken:
        for name in ("get", "query", "write"):
            whole = getattr(held.store, name)

            async def away(*args: Any, _whole: Callable[..., Any] = whole, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls > at:
                    raise StoreUnavailable("The store is away.")
                return await _whole(*args, **more)

            broken.setattr(held.store, name, away)
        answer, took = held.cancel()
    assert took < BOUND + 2
    assert answer["statusCode"] in (200, 202, 503)
    if answer["statusCode"] == 503:
        assert not held.lease.cancelled
        return
    if answer["statusCode"] == 202:
        assert held.lease.cancelled
        held.run(held.store.write(held.lease.put(until=time.time() - 1)))
        held.run(worker.work(held.runs, held.id))
    assert held.status == "cancelled"


@pytest.mark.parametrize("slow", [("get",), ("write",), ("get", "write", "query")], ids="+".join)
def test_slow_store_makes_it_no_longer(
    service: Service, monkeypatch: pytest.MonkeyPatch, slow: tuple[str, ...]
) -> None:
    """However many calls it takes: the bound is of all of them together."""
    held = Held(service, "paused")
    with monkeypatch.context() as slowed:
        for name in slow:
            whole = getattr(held.store, name)

            async def late(*args: Any, _whole: Callable[..., Any] = whole, **more: Any) -> Any:
                await asyncio.sleep(5 * BOUND)
                return await _whole(*args, **more)

            slowed.setattr(held.store, name, late)
        answer, took = held.cancel()
    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (503, "store_unavailable")
    assert took < 4 * BOUND
    assert held.cancel()[0]["statusCode"] == 202


def test_a_response_that_is_deleted_is_not_waited_for_longer(service: Service) -> None:
    held = Held(service, "paused")
    begun = time.monotonic()
    status, answer = service.delete(f"/v1/responses/{held.id}")
    assert (status, answer["deleted"]) == (200, True)
    assert time.monotonic() - begun < BOUND + 2
    assert service.get(f"/v1/responses/{held.id}")[0] == 404
