"""Sections, titles, where the focus goes, appearance, and faults of one view."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.library.clients.server import Server
from tests.library.page.conftest import Opens


def section(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()


def test_a_section_has_a_title_of_its_own_and_its_heading_the_focus(page: Page) -> None:
    page.goto("/#/approvals")
    expect(page).to_have_title("Approvals · agency-lambda")
    section(page, "Usage")
    expect(page).to_have_title("Usage · agency-lambda")
    expect(page.get_by_role("navigation").get_by_role("link", name="Usage")).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("heading", level=1, name="Usage")).to_be_focused()


def test_an_unknown_address_leads_back(page: Page) -> None:
    page.goto("/#/nothing/here")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Chat").click()
    expect(page.get_by_label("Message")).to_be_visible()


def test_the_appearance_is_remembered(page: Page) -> None:
    page.goto("/#/approvals")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("radio", name="Dark").press("Space")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_a_fault_of_one_view_leaves_the_others(opens: Opens, server: Server) -> None:
    page = opens(server, allowed="TypeError")
    page.route(re.compile("/v1/approvals"), lambda route: route.fulfill(json={"data": [None]}))  # the view breaks
    page.goto("/#/approvals")
    expect(page.get_by_role("alert")).to_contain_text("This part of the page has failed")
    section(page, "Usage")
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()


def test_a_lost_service_is_said_until_it_is_back(opens: Opens, server: Server) -> None:
    page = opens(server, allowed="ERR_FAILED")
    page.route(re.compile("/v1/|/agencies$"), lambda route: route.abort())
    page.goto("/#/approvals")
    expect(page.get_by_text("No connection to the service.").first).to_be_visible()
    page.unroute_all()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_role("heading", name="Approvals")).to_be_visible()
    expect(page.get_by_text("No connection to the service.")).to_have_count(0)


@pytest.mark.parametrize("address", ["%", "chat/%E0%A4%A", "constructor", "__proto__", "runs/..", "chat/."])
def test_an_odd_address_is_that_of_nothing_and_the_page_goes_on(opens: Opens, server: Server, address: str) -> None:
    page = opens(server, allowed="404")
    page.goto(f"/#/{address}")
    said = page.get_by_text(re.compile("no such|not found|did not work", re.IGNORECASE))
    expect(said.first).to_be_visible()
    section(page, "Usage")
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()


def test_a_browser_that_keeps_nothing_shows_the_page(opens: Opens, server: Server) -> None:
    page = opens(server)
    refuse = "Object.defineProperty(window, '%s', { get() { throw new DOMException('no', 'SecurityError'); } });"
    page.add_init_script("".join(refuse % name for name in ("localStorage", "sessionStorage")))
    page.goto("/")
    page.get_by_label("Message", exact=True).fill("Hello")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_an_answer_that_takes_longer_than_the_next_look_is_waited_for(page: Page) -> None:
    asked: list[Route] = []
    page.route("**/v1/approvals?*", lambda route: asked.append(route))
    page.clock.install()
    with page.expect_request("**/v1/approvals?*"):
        page.goto("/#/approvals")
    page.clock.run_for(60_000)
    assert len(asked) == 1
    asked[0].continue_()
    expect(page.get_by_text("Nothing waits")).to_be_visible()
