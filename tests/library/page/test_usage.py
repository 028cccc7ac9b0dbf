import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.library.clients.server import Server, serve
from tests.library.conftest import PYTHONPATH
from tests.library.page.conftest import Opens
from tests.library.page.studio import KEYS, Studio

DESKS = Path(__file__).parent / "desks"
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve two agencies that have run; in place of the usual ones."""
    path = f"{DESKS}:{PYTHONPATH}"
    with serve(tmp_path_factory.mktemp("usage"), AUTH="none", API_KEYS="", PYTHONPATH=path) as running:
        for model in ("desk", "desk", "post"):
            body = {"model": model, "input": "hello"}
            assert httpx.post(f"{running.url}/v1/responses", json=body, timeout=60).is_success
        yield running


def table(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name).get_by_role("table")


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tiles > div").filter(has_text=name)


def test_usage_is_told_by_agency_model_and_day(page: Page) -> None:
    page.goto("/#/usage")
    expect(tile(page, "Runs")).to_contain_text("3")
    expect(tile(page, "Cost")).to_contain_text("$0.0")
    expect(table(page, "By agency").get_by_role("row", name=re.compile("desk"))).to_contain_text("2")
    expect(table(page, "By model").get_by_role("row", name=re.compile("offline"))).to_contain_text("3")
    page.get_by_text("As a table").click()
    rows = table(page, "By day").get_by_role("row")
    expect(rows).to_have_count(31)  # days without runs, too, and the names of the columns
    expect(rows.nth(2)).to_contain_text("$0.00")


def test_the_chart_says_a_day_by_the_keyboard(page: Page) -> None:
    page.goto("/#/usage?days=7")
    chart = page.get_by_role("img", name="By day: Cost")
    expect(chart.locator(".amount")).to_have_count(7)
    chart.press("End")
    expect(page.locator(".readout")).to_contain_text("3 runs")
    chart.press("ArrowLeft")
    expect(page.locator(".readout")).to_contain_text("0 runs")
    page.get_by_role("radio", name="Runs").check()
    expect(page.get_by_role("img", name="By day: Runs").locator(".tick text").last).to_have_text("3")


def test_the_period_is_in_the_address(page: Page) -> None:
    page.goto("/#/usage")
    expect(page.locator(".readout")).to_be_visible()
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if "group_by=day" in request.url else None)
    page.get_by_role("radio", name="7 days").check()
    expect(page).to_have_url(re.compile(r"days=7"))
    page.get_by_label("From").fill("2026-01-31")
    expect(page).to_have_url(re.compile(r"from=2026-01-31"))
    expect(page.locator(".readout")).to_be_visible()
    assert [f"from={TODAY - timedelta(days=6)}" in asked[0], "from=2026-01-31" in asked[-1]] == [True, True]


def test_pages_are_added_up_and_models_without_a_price_are_named(page: Page) -> None:
    def answer(route: Route) -> None:
        query = httpx.URL(route.request.url).params
        group = query["group_by"]
        name = str(TODAY) if group == "day" else "house-model"
        is_last = "after" in query
        if is_last:
            assert (query["from"], query["to"], query["after"]) == ("1", "2", "resp_01a21d06262f75269956ddd1dff4885d")
        sums = {"runs": 5000, "model_calls": 5001, "input_tokens": 10, "output_tokens": 1, "usd": None}
        ends = {"last_id": None if is_last else "resp_01a21d06262f75269956ddd1dff4885d", "has_more": not is_last}
        route.fulfill(json={"data": [{group: name, **sums}], "from": 1, "to": 2, "unpriced_models": ["house"], **ends})

    page.route(re.compile(r"/v1/usage\?"), answer)
    page.goto("/#/usage")
    expect(tile(page, "Runs")).to_contain_text("10,000")
    expect(tile(page, "Model calls")).to_contain_text("10,002")
    expect(tile(page, "Cost")).to_contain_text("no price known")
    expect(page.get_by_text("No price is known for house;")).to_be_visible()


def test_what_is_not_counted_is_said(page: Page) -> None:
    def answer(route: Route) -> None:
        sums = {"runs": 1, "model_calls": 1, "input_tokens": 1, "output_tokens": 1, "usd": 0.1}
        name = httpx.URL(route.request.url).params["group_by"]
        page_ = {"data": [{name: str(TODAY), **sums}], "from": 1, "to": 2, "unpriced_models": []}
        route.fulfill(json={**page_, "last_id": "resp_01a21d06262f75269956ddd1dff4885d", "has_more": True})

    page.route(re.compile(r"/v1/usage\?"), answer)
    page.goto("/#/usage")
    expect(page.get_by_text("these sums end with Nov 27, 2026")).to_be_visible()
    expect(tile(page, "Runs")).to_contain_text("20")


def test_an_operator_sets_a_budget_and_puts_the_default_back(opens: Opens, server: Server) -> None:
    page = opens(server, allowed="400")
    page.goto("/#/usage")
    budget = page.get_by_role("region", name="Budget of local")
    field = budget.get_by_label("USD per day")
    field.fill("much")
    budget.get_by_role("button", name="Set limits").click()
    expect(field).to_have_accessible_description("This has to be a number.")
    field.fill("-1")
    budget.get_by_role("button", name="Set limits").click()
    expect(field).to_have_accessible_description(re.compile("greater than or equal to 0"))
    field.fill("2.5")
    budget.get_by_label("Runs at once").fill("3")
    budget.get_by_role("button", name="Set limits").click()
    expect(budget.get_by_text("The limits are set.")).to_be_visible()
    assert (limits(server)["usd_per_day"], limits(server)["runs_at_once"]) == (2.5, 3)
    expect(budget.locator(".meter").first).to_contain_text("/ $2.50")
    budget.get_by_role("button", name="Back to the default").click()
    expect(budget.get_by_text("The default holds again.")).to_be_visible()
    assert limits(server)["usd_per_day"] is None


def limits(server: Server) -> dict[str, Any]:
    return dict(httpx.get(f"{server.url}/v1/admin/budgets/local").json()["limits"])


def test_an_owner_sees_no_budget_and_an_operator_that_of_an_owner(opens: Opens, keyed: Studio) -> None:
    for owner, budgets in (("bob", 0), ("olga", 1)):
        page = opens(keyed, allowed="403")  # that bob is no operator
        page.goto("/#/usage?owner=bob")
        page.get_by_label("Key", exact=True).fill(KEYS[owner])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("By agency").first).to_be_visible()
        expect(page.get_by_role("region", name="Budget of bob")).to_have_count(budgets)
        expect(page.get_by_role("alert")).to_have_count(0)
