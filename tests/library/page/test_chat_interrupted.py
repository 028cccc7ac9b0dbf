"""An answer goes on where it was: after a reload, without network, in a second tab, when others end it."""

from playwright.sync_api import expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio
from tests.library.page.test_chat import ask

LONG = " ".join(f"word{number}" for number in range(60)) + " end"


def test_a_reload_in_the_middle_goes_on(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    page.goto("/")
    model.texts["reload"] = LONG
    with model.held("Lead", words=3):
        ask(page, "say reload")
        expect(page.locator(".answer").get_by_text("word0")).to_be_visible()
        page.reload()
        expect(page.locator(".answer").get_by_text("word0")).to_be_visible()
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        expect(page.locator(".question").get_by_text("say reload")).to_be_visible()
    expect(page.locator(".answer").get_by_text("word59 end")).to_be_visible()
    expect(page.locator(".turn")).to_have_count(1)


def test_without_network_it_says_so_and_goes_on(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, allowed="ERR_INTERNET_DISCONNECTED|ERR_NETWORK|Failed to load")
    page.goto("/")
    model.texts["offline"] = LONG
    with model.held("Lead", words=3):
        ask(page, "say offline")
        expect(page.locator(".answer").get_by_text("word0")).to_be_visible()
        studio.kill()
        expect(page.get_by_text("Connection lost.")).to_be_visible()
        expect(page.locator(".answer").get_by_text("word0")).to_be_visible()
    studio.start()
    expect(page.locator(".answer").get_by_text("word59 end")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Connection lost.")).to_have_count(0)


def test_a_question_whose_answer_was_lost_is_asked_once(opens: Opens, studio: Studio) -> None:
    page = opens(studio, allowed="ERR_|Failed to load")
    page.goto("/")
    lost = []

    def lose(route) -> None:  # type: ignore[no-untyped-def]
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch())  # the service has it, and the page does not know
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/v1/responses", lose)
    ask(page, "say Only once.")
    expect(page.locator(".answer").get_by_text("Only once.", exact=True)).to_be_visible()
    conversation = page.url.rpartition("/")[2]
    with studio.client() as client:
        runs = client.get("/v1/responses", params={"conversation": conversation}).json()["data"]
    assert len(runs) == 1


def test_a_second_tab_follows_and_does_not_ask_in_between(opens: Opens, studio: Studio, model: Model) -> None:
    first = opens(studio)
    first.goto("/")
    model.texts["tabs"] = LONG
    with model.held("Lead", words=3):
        ask(first, "say tabs")
        expect(first.locator(".answer").get_by_text("word0")).to_be_visible()
        second = first.context.new_page()
        second.goto(first.url)
        expect(second.locator(".answer").get_by_text("word0")).to_be_visible()
        expect(second.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    for page in (first, second):
        expect(page.locator(".answer").get_by_text("word59 end")).to_be_visible()


def test_a_run_that_is_cancelled_elsewhere_ends_here(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    page.goto("/")
    model.texts["elsewhere"] = LONG
    with model.held("Lead", words=3):
        ask(page, "say elsewhere")
        expect(page.locator(".answer").get_by_text("word0")).to_be_visible()
        with studio.client() as client:
            client.post("/v1/responses/cancel")
        expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.locator(".answer").get_by_text("word0")).to_be_visible()
