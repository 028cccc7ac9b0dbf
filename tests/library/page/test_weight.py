"""How soon the page is there, and that it stays awake with many events."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio
from tests.library.page.test_hostile import longest_task, observe_long_tasks

_SLOW = {"offline": False, "latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 93_750}
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def first_load(page: Page) -> dict[str, float]:
    """Return the bytes sent, and the milliseconds until the first paint and until a message can be typed."""
    network, sent = page.context.new_cdp_session(page), list[float]()

    def note(event: dict[str, Any]) -> None:
        sent.append(event["encodedDataLength"])

    network.on("Network.loadingFinished", note)
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", _SLOW)
    page.goto("/")
    expect(page.get_by_label("Message", exact=True)).to_be_editable()
    typed = page.evaluate("performance.now()")
    return {"bytes": sum(sent), "painted": page.evaluate(_PAINTED), "typed": typed}


def test_the_first_load_is_light_and_soon_there_on_a_slow_network(opens: Opens, studio: Studio) -> None:
    found = first_load(opens(studio))
    assert found["bytes"] < 200_000, found
    assert found["painted"] < 5_000, found  # twice what it takes where other tests keep the cores busy
    assert found["typed"] < 10_000, found


def test_two_thousand_events_leave_the_page_awake(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    page.goto("/")
    observe_long_tasks(page)
    model.texts["many"] = "a " * 3_990 + "last"
    page.get_by_label("Message", exact=True).fill(" & ".join(["look a"] * 130) + "; say many")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("a last", timeout=30_000)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert longest_task(page) < 1_000
    with studio.client() as client:
        run = client.get("/v1/responses", params={"limit": 1}).json()["data"][0]["id"]
        assert client.get(f"/v1/responses/{run}", params={"stream": True}).text.count("event: ") > 2_000
    model.texts.clear()
