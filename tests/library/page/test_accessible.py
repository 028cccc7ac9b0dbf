"""For the keyboard, for screen readers, for small windows: no rule of axe is broken in any view."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.library.page.axe import violations
from tests.library.page.conftest import Opens
from tests.library.page.studio import KEYS, Studio

ASKED = "v1/admin/responses.limit=1"  # whoever is no operator is refused: so the page knows
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def places(studio: Studio) -> list[str]:
    """Every view, with data."""
    run = studio.run("Finder: look eve & Writer: Checker: look dan; attach a.csv; say **All** are well.")
    with studio.client() as client:
        conversation = client.post("/v1/conversations", json={"metadata": {"title": "Of Ann"}}).json()["id"]
    studio.run("say # Head\n\n- one\n\n`code`", conversation=conversation)
    failed, waiting = studio.run("look ann; fail"), studio.run("send ann")
    runs = (f"runs/{each['id']}" for each in (run, failed, waiting))
    return ["", f"chat/{conversation}", "swarm", "swarm/studio", "runs", "approvals", "usage", *runs, "nowhere"]


def settled(page: Page, place: str) -> None:
    """Go to a view, and wait until what it has asked for is there."""
    page.goto(f"/#/{place}")
    expect(page.locator("main h1").first).to_be_visible()
    expect(page.locator("main .loading")).to_have_count(0)


@pytest.mark.parametrize("look", LOOKS)
def test_no_rule_is_broken_with_data(opens: Opens, studio: Studio, places: list[str], look: str) -> None:
    page = opens(studio, bypass_csp=True, **LOOKS[look])  # axe itself writes styles into elements
    found = {}
    for place in places:
        settled(page, place)
        if broken := violations(page):
            found[place] = broken
    assert found == {}


@pytest.mark.parametrize("look", LOOKS)
def test_no_rule_is_broken_without_data(opens: Opens, keyed: Studio, look: str) -> None:
    page = opens(keyed, allowed=ASKED, bypass_csp=True, **LOOKS[look])
    page.goto("/")
    found = {"sign in": violations(page)}
    page.locator("input[type=password]").fill(KEYS["bob"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation").first).to_be_visible()
    for place in ("", "swarm", "runs", "approvals", "usage"):
        settled(page, place)
        found[place] = violations(page)
    assert {place: broken for place, broken in found.items() if broken} == {}


def test_a_run_is_asked_for_opened_and_approved_without_a_mouse(opens: Opens, keyed: Studio) -> None:
    page = opens(keyed, allowed=ASKED)
    page.goto("/")
    page.locator("input[type=password]").focus()
    page.keyboard.type(KEYS["alice"])
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_editable()
    page.keyboard.press("/")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("send ann; say it was sent")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    reach(page, "Approve")
    page.keyboard.press("Enter")
    expect(page.get_by_text("it was sent", exact=True)).to_be_visible()
    reach(page, "Show run")
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_be_visible()
    assert "#/runs/resp_" in page.url


def reach(page: Page, name: str) -> None:
    """Press Tab until what has this name is focused."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()").startswith(name):
            return
    raise AssertionError(f"{name} is not reached by Tab")
