"""A window of 360 px in three languages: nothing makes the page itself scroll sideways."""

import pytest
from playwright.sync_api import expect

from tests.library.page.conftest import Opens
from tests.library.page.studio import Studio
from tests.library.page.test_accessible import places, settled

__all__ = ["places"]

_WIDER = """() => document.scrollingElement.scrollWidth > innerWidth || document.body.scrollWidth > innerWidth ||
    document.querySelector("main")?.scrollWidth > document.querySelector("main")?.clientWidth"""


@pytest.mark.parametrize("locale", ["de-DE", "en-US", "zh-CN"])
def test_nothing_scrolls_sideways(opens: Opens, studio: Studio, keyed: Studio, places: list[str], locale: str) -> None:
    page = opens(studio, locale=locale, viewport={"width": 360, "height": 740})
    wide = []
    for place in places:
        settled(page, place)
        if page.evaluate(_WIDER):
            wide.append(place)
    page.goto(keyed.url)
    expect(page.locator("input[type=password]")).to_be_visible()
    assert not page.evaluate(_WIDER)
    assert wide == []
