"""A file of the page that does not come: the page is loaded again, and says so when it cannot be."""

from playwright.sync_api import Page, Route, expect

from tests.library.clients.server import Server
from tests.library.page.conftest import Opens

THROTTLED = "status of 429|ERR_"


def throttle(page: Page, pattern: str, times: int) -> list[str]:
    """Refuse so many requests for a file, as API Gateway does where a function is asked for too much at once."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) <= times:
            route.fulfill(status=429, body="{}", content_type="application/json")
        else:
            route.continue_()

    page.route(pattern, answer)
    return asked


def test_a_module_that_was_throttled_is_asked_for_again(opens: Opens, server: Server) -> None:
    page = opens(server, allowed=THROTTLED)
    asked = throttle(page, "**/main.js", 2)
    page.goto("/#/runs")
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
    assert len(asked) == 3
    assert page.url.endswith("/#/runs")
    page.wait_for_function("sessionStorage.length === 0")


def test_what_never_comes_is_said(opens: Opens, server: Server) -> None:
    page = opens(server, allowed=THROTTLED, locale="de-DE")
    page.clock.install()  # the pauses become long
    throttle(page, "**/main.js", 100)
    page.goto("/")
    for _ in range(5):
        with page.expect_navigation():
            page.clock.run_for(10_000)
    expect(page.get_by_text("Diese Seite konnte nicht geladen werden.")).to_be_visible()
