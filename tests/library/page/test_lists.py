import re
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve agencies whose runs end in different ways; in place of the usual ones."""
    folder, path = tmp_path_factory.mktemp("lists"), f"{DESKS}:{PYTHONPATH}"
    with serve(folder, AUTH="none", API_KEYS="", PYTHONPATH=path) as running:
        run(running, "hello", model="desk")
        run(running, "fail", model="post", background=True)
        yield running


def run(server: Server, text: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "post", "input": text, **fields}
    return dict(httpx.post(f"{server.url}/v1/responses", json=body, timeout=60).json())


@pytest.fixture
def waiting(server: Server) -> Iterator[str]:
    """The id of a run that is at work for long."""
    started = run(server, "wait", background=True)
    yield str(started["id"])
    httpx.post(f"{server.url}/v1/responses/cancel")


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def test_a_run_says_how_it_ended_and_what_it_cost_and_leads_to_itself(page: Page, server: Server) -> None:
    page.goto("/#/runs")
    expect(row(page, "failed")).to_contain_text("Error in the service")
    expect(row(page, "completed")).to_contain_text("desk")
    expect(row(page, "completed")).to_contain_text("$0.0")  # of its trace
    row(page, "completed").get_by_role("link", name="desk").press("Enter")
    expect(page).to_have_url(re.compile("#/runs/resp_"))


def test_a_list_that_could_not_be_read_is_asked_for_again(opens: Opens, server: Server) -> None:
    page = opens(server, allowed="500")
    fails = re.compile(r"/v1/responses\?")
    page.route(fails, lambda route: route.fulfill(status=500, json={"error": {"message": "It is tired."}}))
    page.goto("/#/runs")
    expect(page.get_by_role("alert")).to_contain_text("It is tired.")
    page.unroute(fails)
    page.get_by_role("button", name="Try again").click()
    expect(row(page, "completed")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_list_is_asked_for_again_by_itself_where_the_service_has_too_much_to_do(
    opens: Opens, server: Server, status: int
) -> None:
    page = opens(server, allowed=str(status))
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.method)
        route.fulfill(status=status, body="{}") if len(refused) < 3 else route.continue_()

    page.route(re.compile(r"/v1/responses\?"), refuse)
    page.goto("/#/runs")
    expect(row(page, "completed")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert refused[:3] == ["GET"] * 3


def test_filters_are_in_the_address(page: Page) -> None:
    page.goto("/#/runs?status=failed")
    expect(row(page, "failed")).to_be_visible()
    expect(row(page, "completed")).to_have_count(0)
    page.get_by_label("Agency").select_option("desk")
    expect(page.get_by_text("No run matches")).to_be_visible()
    expect(page).to_have_url(re.compile("status=failed&model=desk"))
    page.get_by_role("button", name="Clear filters").click()
    expect(row(page, "completed")).to_be_visible()
    assert page.url.endswith("#/runs")


def test_a_run_that_begins_and_ends_elsewhere_is_followed(page: Page, server: Server) -> None:
    page.clock.install()
    page.goto("/#/runs?status=&model=post")
    expect(row(page, "failed")).to_be_visible()
    started = run(server, "wait", background=True)["id"]
    page.clock.run_for(16_000)
    expect(row(page, "running")).to_have_count(1)
    httpx.post(f"{server.url}/v1/responses/{started}/cancel")
    page.clock.run_for(5_000)
    expect(row(page, "running")).to_have_count(0)
    expect(row(page, "cancelled").first).to_be_visible()


def test_a_run_is_cancelled_after_a_question(page: Page, waiting: str) -> None:
    page.goto("/#/runs?status=in_progress")
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel this run of post?")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog.get_by_role("button", name="Cancel the run").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("No run matches")).to_be_visible()


def test_all_runs_are_cancelled(page: Page, waiting: str) -> None:
    page.goto("/#/runs")
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel all").click()
    expect(page.get_by_text("Cancelled: 1")).to_be_visible()
    expect(row(page, "running")).to_have_count(0)


def test_more_runs_come_by_a_click_and_empty_pages_are_passed_over(page: Page) -> None:
    ids = [f"resp_01a21d06{number:04x}75269956ddd1dff4885d" for number in range(90, 0, -1)]
    asked = list[str | None]()

    def answer(route: Any) -> None:
        query = httpx.URL(route.request.url).params
        begin = ids.index(query["after"]) + 1 if "after" in query else 0
        asked.append(query.get("after"))
        found = ids[begin : begin + int(query["limit"])]
        data = [] if begin == 25 else [entry(each) for each in found]  # the second page has none that matches
        page_ = {"object": "list", "data": data, "first_id": found[0], "last_id": found[-1]}
        route.fulfill(json={**page_, "has_more": found[-1] != ids[-1]})

    page.route(re.compile(r"/v1/responses\?"), answer)
    page.route(re.compile("/trace"), lambda route: route.fulfill(json={"usd": 0.5}))
    page.route(re.compile("/input_items"), lambda route: route.fulfill(json={"data": []}))
    page.goto("/#/runs")
    expect(page.get_by_role("row")).to_have_count(26)
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("row")).to_have_count(51)
    assert asked == [None, ids[24], ids[49]]
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("row")).to_have_count(66)
    expect(page.get_by_role("button", name="More")).to_have_count(0)


def entry(run_id: str) -> dict[str, Any]:
    times = {"created_at": 1795783271, "completed_at": 1795783272, "ended_at": 1795783272}
    said = {"usage": {"total_tokens": 30}, "error_code": None, "attempts": 1, "conversation": None, "background": True}
    return {"object": "response", "id": run_id, "model": "desk", "status": "completed", **times, **said}


def test_a_run_says_what_it_is_about(opens: Opens, studio: Studio) -> None:
    studio.run("say About nothing.")
    with studio.client() as client:
        titled = client.post("/v1/conversations", json={"metadata": {"title": "A titled talk"}}).json()["id"]
    studio.run("say One.", conversation=titled)
    waiting = studio.run("send ann", conversation=titled)["id"]
    page = opens(studio)
    page.goto("/#/runs")
    expect(row(page, "say About nothing.")).to_be_visible()
    expect(row(page, "A titled talk").filter(has_text="completed")).to_be_visible()
    page.get_by_label("Status").select_option("waits for approval")
    expect(row(page, "completed")).to_have_count(0)
    mine = page.get_by_role("row").filter(has=page.locator(f"a[href*={waiting}]"))
    expect(mine).to_contain_text("waits for approval")
    expect(mine).to_contain_text("send")  # the tool
    with studio.client() as client:
        client.post(f"/v1/responses/{waiting}/cancel")


def test_an_operator_sees_the_runs_of_all_owners(opens: Opens, keyed: Studio) -> None:
    with keyed.client("bob") as client:
        events = client.post("/v1/responses", json={"model": "studio", "input": "say Hello.", "stream": True}).text
    run_id = re.findall(r"resp_\w+", events)[0]
    page = opens(keyed)
    page.goto("/#/runs")
    page.get_by_label("Key", exact=True).fill(KEYS["olga"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("radio", name="Mine")).to_be_checked()
    page.get_by_role("radio", name="All owners").check()
    expect(row(page, "bob").first).to_be_visible()
    page.get_by_label("Owner", exact=True).fill("alice")
    page.keyboard.press("Enter")
    expect(row(page, "bob")).to_have_count(0)
    page.evaluate("location.hash = '#/runs?owner=bob'")
    expect(row(page, "bob").get_by_role("link").first).to_have_attribute(
        "href", re.compile(f"#/runs/{run_id}\\?owner=bob")
    )
