"""The page in a Chromium that is installed, on a server of its own. Without one these tests are skipped."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.library.clients.server import Server, serve

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# What Chromium asks its maker for at a start is not there.
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("page"), API_KEYS="", AUTH="none") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium: CHROMIUM=/path/to/one, or on Debian: apt install chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *_QUIET])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, server: Server, tmp_path: Path) -> Iterator[Page]:
    """A tab of its own, in English; a test fails where the console has an error, such as a breach of the policy."""
    context = browser.new_context(base_url=server.url, locale="en-US", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    made, errors = context.new_page(), list[str]()
    made.on("console", lambda message: errors.append(_text(message)) if message.type == "error" else None)
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []


def _text(message: ConsoleMessage) -> str:
    return f"{message.text} ({message.location.get('url')})"
