"""The page in a Chromium that is installed, on servers of its own. Without one these tests are skipped."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.library.clients.server import Server, serve
from tests.library.page.provider import Model
from tests.library.page.studio import Studio

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# What Chromium asks its maker for at a start is not there.
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
_PATIENCE = 15_000  # ms: two cores may be busy with other tests
expect.set_options(timeout=_PATIENCE)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("page"), API_KEYS="", AUTH="none") as running:
        yield running


@pytest.fixture(scope="module")  # while it is there, no other test of this process can run a loop
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium: CHROMIUM=/path/to/one, or on Debian: apt install chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *_QUIET])
        yield made
        made.close()


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    with Model() as serving:
        yield serving


@pytest.fixture(scope="session")
def studio(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The agencies of this folder for everybody on this machine."""
    with Studio(tmp_path_factory.mktemp("studio"), model, AUTH="none", API_KEYS="") as running:
        yield running


@pytest.fixture(scope="session")
def keyed(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The same with AUTH=keys: two owners, alice and bob, and the operator olga."""
    with Studio(tmp_path_factory.mktemp("keyed"), model, AUTH="keys") as running:
        yield running


class Opens(Protocol):
    """Opens a tab of its own, in a context of its own, at a server."""

    def __call__(self, server: Server | Studio, allowed: str = ..., **context: Any) -> Page: ...


@pytest.fixture
def opens(browser: Browser) -> Iterator[Opens]:
    """opens(server, locale="de-DE", ...) -> Page: a test fails where a console has an error that is not `allowed`."""
    errors: list[str] = []
    with ExitStack() as contexts:

        def open_tab(server: Server | Studio, allowed: str = "", **context: Any) -> Page:
            options = {"base_url": server.url, "locale": "en-US", "viewport": {"width": 1280, "height": 800}, **context}
            made = browser.new_context(**options)
            contexts.callback(made.close)
            made.set_default_timeout(_PATIENCE)
            _watch(made, errors, allowed)
            return made.new_page()

        yield open_tab
    assert errors == []


@pytest.fixture
def page(opens: Opens, server: Server) -> Page:
    """A tab in English on the agencies of the library's tests."""
    return opens(server)


def _watch(context: BrowserContext, errors: list[str], allowed: str) -> None:
    def note(text: str) -> None:
        if not (allowed and re.search(allowed, text)):
            errors.append(text)

    context.on("console", lambda message: note(_text(message)) if message.type == "error" else None)
    context.on("weberror", lambda error: note(str(error.error)))
    context.on("dialog", lambda dialog: (note(f"dialog: {dialog.message}"), dialog.dismiss()))


def _text(message: ConsoleMessage) -> str:
    return f"{message.text} ({message.location.get('url')})"
