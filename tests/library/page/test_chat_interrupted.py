"""An answer goes on where it was: after a reload, without network, in a second tab, when others end it."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Page, Route, expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio
from tests.library.page.test_chat import ask

LONG = " ".join(f"word{number}" for number in range(60)) + " end"


def whole_and_once(page: Page) -> None:
    expect(page.get_by_role("main").get_by_text(LONG, exact=True)).to_have_count(1)


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
    whole_and_once(page)
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
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # asks for approvals at once
        expect(page.locator(".connection p")).to_have_count(1)
        expect(page.locator(".connection p")).to_be_hidden()  # one sentence about it is enough
        expect(page.get_by_role("button", name="Attach files")).to_be_in_viewport(ratio=1)
    studio.start()
    expect(page.locator(".answer").get_by_text("word59 end")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Connection lost.")).to_have_count(0)


def test_a_question_whose_answer_was_lost_is_asked_once(opens: Opens, studio: Studio) -> None:
    page = opens(studio, allowed="ERR_|Failed to load")
    page.goto("/")
    lost: list[APIResponse] = []

    def lose(route: Route) -> None:
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


def runs_of(page: Page, studio: Studio) -> list[dict[str, Any]]:
    with studio.client() as client:
        query = {"conversation": page.url.rpartition("/")[2]}
        found: list[dict[str, Any]] = client.get("/v1/responses", params=query).json()["data"]
    return found


@pytest.mark.parametrize("loss", ["connection", "gateway"])
def test_what_is_tried_again_is_paid_once(opens: Opens, studio: Studio, loss: str) -> None:
    page = opens(studio, allowed="ERR_|Failed to load")
    page.goto("/")

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            return route.continue_()
        route.fetch()  # the service has it, and the page does not know
        return route.abort() if loss == "connection" else route.fulfill(status=500, json={"message": "Internal"})

    page.route("**/v1/responses", lose)
    ask(page, "say Paid once.")
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    page.route(re.compile(r"/v1/responses\?"), lambda route: route.abort())  # nor can it look
    page.get_by_role("button", name="Stop", exact=True).click()
    page.unroute("**/v1/responses")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".answer").get_by_text("Paid once.", exact=True)).to_be_visible()
    expect(page.locator(".turn")).to_have_count(1)
    assert len(runs_of(page, studio)) == 1


def test_what_was_stopped_without_a_connection_is_cancelled(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, allowed="ERR_|Failed to load")
    page.goto("/")
    model.texts["unheard"] = LONG
    with model.held("Lead", words=1):

        def lose(route: Route) -> None:
            body = route.request.post_data_json | {"stream": False, "background": True}
            with studio.client() as client:
                client.post("/v1/responses", json=body).raise_for_status()
            route.abort()

        page.route("**/v1/responses", lambda route: route.abort())
        page.route("**/v1/responses", lose, times=1)  # the last one that was added is the first
        ask(page, "say unheard")
        expect(page.get_by_text("Connection lost.")).to_be_visible()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_text("Stopped.")).to_be_visible()
    assert [run["status"] for run in runs_of(page, studio)] == ["cancelled"]


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
        whole_and_once(page)


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


def test_a_stream_that_is_handed_over_goes_on_behind_its_last_event(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    asked_again: list[str] = []

    def hand_over(route: Route) -> None:
        if route.request.method == "GET":
            asked_again.append(route.request.url)
            return route.continue_()
        events = route.fetch().text().split("\n\n")
        last = json.loads(events[6].partition("data: ")[2])["sequence_number"]
        answer = json.loads(events[0].partition("data: ")[2])["response"]
        resume = {"type": "response.in_progress", "sequence_number": last, "resume": "/v1/...", "response": answer}
        route.fulfill(
            content_type="text/event-stream",
            body="\n\n".join([*events[:7], f"data: {json.dumps(resume)}", "data: [DONE]", ""]),
        )
        return None

    page.route("**/v1/responses", hand_over)
    page.route("**/v1/responses/*?stream=true*", hand_over)
    ask(page, "look ann; say Handed over.")
    expect(page.locator(".answer").get_by_text("Handed over.", exact=True)).to_be_visible()
    expect(page.get_by_text("1 step", exact=True)).to_be_visible()
    assert [url.partition("starting_after=")[2] for url in asked_again] == ["6"]


def test_a_second_tab_that_asks_in_between_keeps_its_question(opens: Opens, studio: Studio, model: Model) -> None:
    first = opens(studio, allowed="409")
    first.goto("/")
    ask(first, "say One.")
    expect(first.locator(".answer").get_by_text("One.", exact=True)).to_be_visible()
    second = first.context.new_page()
    second.goto(first.url)
    expect(second.locator(".answer").get_by_text("One.", exact=True)).to_be_visible()
    model.texts["busy"] = LONG
    with model.held("Lead", words=3):
        ask(first, "say busy")
        expect(first.locator(".answer").get_by_text("word0")).to_be_visible()
        ask(second, "say Two.")
        expect(second.get_by_text("Another window is asking")).to_be_visible()
        expect(second.get_by_label("Message", exact=True)).to_have_value("say Two.")
        expect(second.locator(".answer").get_by_text("word0")).to_be_visible()
    second.get_by_role("button", name="Send", exact=True).click()
    expect(second.locator(".answer").get_by_text("Two.", exact=True)).to_be_visible()


def test_a_question_that_never_left_can_be_given_up(opens: Opens, studio: Studio) -> None:
    page = opens(studio, allowed="ERR_|Failed to load")
    page.goto("/")
    page.route("**/v1/responses", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    ask(page, "say Later.")
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.unroute("**/v1/responses")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".answer").get_by_text("Later.", exact=True)).to_be_visible()
