"""What happens to an answer while the page, the network or the server is away, and who else sees it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import KEYS, Studio

TEXT = "one two three four five six seven eight nine ten eleven twelve"
AWAY = "Failed to load resource: net::ERR_"  # what Chromium itself says of a server or a network that is away


@pytest.fixture(autouse=True)
def texts(model: Model) -> Iterator[None]:
    model.texts["twelve"] = TEXT
    model.asked.clear()
    yield
    model.texts.clear()


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def sign_in(page: Page, owner: str) -> None:
    page.goto("/")
    page.locator("input[type=password]").fill(KEYS[owner])
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation").first).to_be_visible()


def answer(page: Page, text: str = TEXT) -> None:
    """The answer is there, whole and once."""
    expect(page.get_by_role("main").get_by_text(text, exact=True)).to_have_count(1)


def test_an_answer_survives_a_server_that_is_killed(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, allowed=AWAY)
    page.goto("/")
    with model.held("Lead", words=2):
        ask(page, "look ann; say twelve")
        expect(page.get_by_text("one two three")).to_be_visible()
        studio.kill()
    try:
        expect(page.get_by_text("one two three")).to_be_visible()
    finally:
        studio.start()
    answer(page)
    assert model.asked.count("Lead") == 3  # its call is in the journal: only what was cut off is asked again


def test_a_question_without_network_is_asked_again_by_a_button(opens: Opens, studio: Studio) -> None:
    page = opens(studio, allowed=AWAY)
    page.goto("/")
    page.get_by_label("Message", exact=True).fill("say hello again")
    page.context.set_offline(True)
    page.get_by_role("button", name="Send").click()
    again = page.get_by_role("button", name="Try again").last
    expect(again).to_be_visible()
    page.context.set_offline(False)
    again.click()
    answer(page, "hello again")


def test_a_question_that_nobody_has_taken_is_there_when_one_comes_back(opens: Opens, studio: Studio) -> None:
    page = opens(studio, allowed=AWAY)
    page.goto("/")
    ask(page, "say hello there")
    answer(page, "hello there")
    page.context.set_offline(True)
    ask(page, "say hello once more")
    expect(page.get_by_label("Message", exact=True)).to_have_value("")
    page.get_by_role("link", name="Runs").click()
    page.go_back()
    expect(page.get_by_label("Message", exact=True)).to_have_value("say hello once more")
    page.context.set_offline(False)
    answer(page, "hello there")  # the conversation comes back by itself
    page.get_by_role("button", name="Send").click()
    answer(page, "hello once more")
    page.reload()
    answer(page, "hello once more")
    expect(page.get_by_label("Message", exact=True)).to_have_value("")


def test_agents_light_up_while_they_work(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, viewport={"width": 1600, "height": 900})
    page.goto("/")
    finder = page.locator("[data-agent=Finder]").first
    expect(finder).to_have_attribute("data-state", "idle")
    with model.held("Finder"):
        ask(page, "Finder: look eve; say done here")
        expect(finder).to_have_attribute("data-state", "works")
        expect(page.locator("[data-from=Lead][data-to=Finder]").first).to_have_attribute("data-kind", "open")
    answer(page, "done here")
    expect(finder).to_have_attribute("data-state", "done")


def test_a_run_is_stopped(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    page.goto("/")
    with model.held("Lead", words=2):
        ask(page, "say twelve")
        expect(page.get_by_text("one two three")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_text("one two three")).to_be_visible()
    with studio.client() as client:
        assert client.get("/v1/responses", params={"limit": 1}).json()["data"][0]["status"] == "cancelled"


def test_a_call_waits_for_approval_and_goes_on(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "send ann; say it was sent")
    page.get_by_role("button", name="Approve").click()
    answer(page, "it was sent")


def test_another_owner_sees_nothing_of_it(opens: Opens, keyed: Studio) -> None:
    run = keyed.run("say secret words", "alice")
    page = opens(keyed, allowed="status of 40[34]")
    sign_in(page, "bob")
    for place in ("", "runs", "approvals", "usage"):
        page.goto(f"/#/{place}")
        expect(page.get_by_role("main").get_by_role("heading").first).to_be_visible()
        expect(page.get_by_text(run["id"])).to_have_count(0)
        expect(page.get_by_text("secret words")).to_have_count(0)
    page.goto(f"/#/runs/{run['id']}")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("secret words")).to_have_count(0)


def test_an_operator_sees_whose_run_it_is(opens: Opens, keyed: Studio) -> None:
    run = keyed.run("say of alice", "alice")
    page = opens(keyed, allowed="status of 404")  # it is not olga's own
    sign_in(page, "olga")
    page.goto(f"/#/runs/{run['id']}")
    expect(page.get_by_text("alice").first).to_be_visible()


def test_a_slow_network_is_waited_for(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    page.goto("/")
    ask(page, "say slowly")
    answer(page, "slowly")
