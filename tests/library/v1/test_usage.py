"""GET /v1/usage: runs, calls, tokens and USD, by day, model or agency, for an owner and for operators."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from agency_lambda.prices import load
from agency_lambda.record import usage
from agency_lambda.record.usage import UsageQuery, sum_usage
from agency_lambda.runs.run_index import index_partition
from agency_lambda.store import Put, Store, open_store
from tests.library.callers import api_keys, bearer
from tests.library.conftest import Service

DAY = 24 * 3600
START = 1_795_651_200  # 2026-11-26, in UTC


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(API_KEYS=api_keys())


def ask(service: Service, owner: str, model: str = "letters") -> dict[str, Any]:
    status, made = service.post("/v1/responses", {"model": model, "input": "hello"}, **bearer(owner))
    assert status == 200, made
    return dict(made["usage"])


def used(service: Service, owner: str, path: str = "/v1/usage") -> Any:
    status, page = service.get(path, **bearer(owner))
    assert status == 200, page
    return page


def test_runs_are_summed_by_agency_day_and_model(service: Service) -> None:
    made = [ask(service, "ann"), ask(service, "ann"), ask(service, "ann", "letters/Registrar")]
    ask(service, "bob")
    sums = {name: sum(each[name] for each in made) for name in ("model_calls", "input_tokens", "output_tokens")}
    page = used(service, "ann")
    assert (page["object"], page["has_more"], page["unpriced_models"]) == ("list", False, [])
    usd = pytest.approx((sums["input_tokens"] + 4 * sums["output_tokens"]) / 10**6)  # of the offline model
    assert page["data"] == [{"agency": "letters", "runs": 3, **sums, "usd": usd}]
    assert page["to"] - page["from"] == 30 * DAY
    by_model = used(service, "ann", "/v1/usage?group_by=model")["data"]
    assert by_model == [{"model": "offline", "runs": 3, **sums, "usd": usd}]
    today = time.strftime("%Y-%m-%d", time.gmtime())
    for path in ("/v1/usage?group_by=day", f"/v1/usage?group_by=day&from={today}&to={today}"):
        assert [each["runs"] for each in used(service, "ann", path)["data"]] == [3]
    assert used(service, "ann", "/v1/usage?to=2020-01-02&from=2020-01-01")["data"] == []


def test_operators_see_all_owners_and_callers_their_own(service: Service) -> None:
    ask(service, "ann")
    ask(service, "bob")
    ask(service, "bob")
    assert [each["runs"] for each in used(service, "eve", "/v1/admin/usage")["data"]] == [3]
    by_owner = used(service, "eve", "/v1/admin/usage?group_by=owner")["data"]
    assert [(each["owner"], each["runs"]) for each in by_owner] == [("ann", 1), ("bob", 2)]
    assert [each["runs"] for each in used(service, "eve", "/v1/admin/usage?owner=bob")["data"]] == [2]
    assert used(service, "eve")["data"] == []
    assert service.get("/v1/admin/usage", **bearer("ann"))[0] == 403
    assert service.get("/v1/usage?group_by=owner", **bearer("ann"))[0] == 400


@pytest.mark.parametrize("query", ["from=yesterday", "from=2026-11-27&to=2026-11-26", "to=2026-02-30", "after=x"])
def test_a_time_that_is_none_is_refused_by_name(service: Service, query: str) -> None:
    status, body = service.get(f"/v1/usage?{query}", **bearer("ann"))
    assert (status, body["error"]["param"] in query) == (400, True)


def entry(number: int, by_model: dict[str, Any], owner: str = "ann", at: int = START) -> Put:
    body = {
        "id": f"resp_{number:032x}",
        "model": "desk/Clerk",
        "created_at": at + number,
        "usage": {"model_calls": 1, "input_tokens": 10, "output_tokens": 5},
        "by_model": by_model,
    }
    return Put(index_partition(owner), f"{10**6 * (at + number):016d}/{body['id']}", body)


async def summed(store: Store, owners: tuple[str, ...] = ("ann",), **fields: Any) -> dict[str, Any]:
    query: dict[str, Any] = {"group_by": "agency", "since": START, "until": START + DAY, **fields}
    return await sum_usage(store, owners, UsageQuery(**query), load())


def one(model: str, **counts: int) -> dict[str, Any]:
    return {model: {"model_calls": 1, "input_tokens": 10, "output_tokens": 5, **counts}}


def with_entries[T](url: str, puts: list[Put], read: Callable[[Store], Any]) -> Any:
    async def whole() -> Any:
        store = open_store(url)
        try:
            for put in puts:
                await store.write(put)
            return await read(store)
        finally:
            await store.aclose()

    return asyncio.run(whole())


def test_a_model_without_a_price_is_named_and_cached_tokens_cost_less(url: str) -> None:
    puts = [
        entry(1, one("gpt-5", input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000)),
        entry(2, one("gpt-5-2025-08-07")),
        entry(3, one("house-model")),
        entry(5, one("gpt-5.4", model_calls=10, input_tokens=1_000_000, output_tokens=0)),  # none of them is `long`
        entry(4, {}),  # of a version that did not say which
    ]
    page = with_entries(url, puts, lambda store: summed(store, group_by="model"))
    found = {each["model"]: each for each in page["data"]}
    assert found["gpt-5"]["usd"] == pytest.approx(0.6 * 1.25 + 0.4 * 0.125 + 0.1 * 10)
    assert found["gpt-5-2025-08-07"]["usd"] > 0
    assert found["gpt-5.4"]["usd"] == pytest.approx(2.5)
    assert (found["house-model"]["usd"], found["unknown"]["usd"], found["unknown"]["input_tokens"]) == (None, None, 10)
    assert page["unpriced_models"] == ["house-model", "unknown"]
    (whole,) = with_entries(url, [], summed)["data"]
    assert (whole["agency"], whole["runs"], whole["usd"]) == ("desk", 5, None)


def test_calls_without_tokens_cost_nothing_whatever_their_model(url: str) -> None:
    failed = one("house-model", input_tokens=0, output_tokens=0)
    page = with_entries(url, [entry(1, failed), entry(2, one("gpt-5"))], lambda store: summed(store, group_by="agency"))
    assert page["data"][0]["usd"] > 0
    assert page["unpriced_models"] == []


def test_pages_add_up_to_the_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_MOST_ENTRIES", 7)
    monkeypatch.setattr(usage, "_CHUNK", 3)
    puts = [entry(number, one("gpt-5"), owner=("ann", "bob")[number % 2]) for number in range(20)]

    async def pages(store: Store) -> list[dict[str, Any]]:
        found = [await summed(store, ("ann", "bob"))]
        while found[-1]["has_more"]:
            after = f"{10**6 * (START + int(found[-1]['last_id'][5:], 16)):016d}/{found[-1]['last_id']}"
            found.append(await summed(store, ("ann", "bob"), after=after))
        return found

    found = with_entries(url, puts, pages)
    assert [page["data"][0]["runs"] for page in found] == [7, 7, 6]


def test_only_the_time_asked_for_is_read(url: str) -> None:
    puts = [entry(0, one("gpt-5"), at=START + days * DAY) for days in (-1, 0, 1)]
    page = with_entries(url, puts, lambda store: summed(store, group_by="day"))
    assert [each["day"] for each in page["data"]] == ["2026-11-26"]
