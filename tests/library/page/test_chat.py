"""The chat: a question, its answer, what stops it, who is asked for approval, and old conversations."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, Route, expect

from tests.library.page.axe import violations
from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def test_a_question_is_answered_and_says_what_it_took(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "Finder: look bob; say Bob is well.")
    log = page.get_by_role("log")
    expect(log.get_by_text("Bob is well.", exact=True)).to_be_visible()
    expect(log.get_by_text(re.compile(r"\$0\.\d+"))).to_be_visible()
    expect(log.get_by_text("2 agents")).to_be_visible()
    log.get_by_text("2 steps").click()
    expect(log.get_by_text("Lead asks Finder")).to_be_visible()
    expect(log.get_by_text("Finder uses look")).to_be_visible()
    expect(page).to_have_url(re.compile(r"#/chat/conv_\w+"))
    log.get_by_role("link", name="Show run").click()
    expect(page).to_have_url(re.compile(r"#/runs/resp_\w+"))


def test_a_starter_asks_and_a_quick_reply_goes_on(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/#/chat?model=studio")
    page.get_by_role("button", name="look ann; say Ann is well.").click()
    page.get_by_role("button", name="say Thank you.").click()
    expect(page.get_by_role("log").get_by_text("Thank you.", exact=True)).to_be_visible()
    expect(page.locator(".turn")).to_have_count(2)


def test_an_agent_is_asked_by_its_name(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    page.get_by_label("Ask", exact=True).select_option("studio/Checker")
    ask(page, "Who is there?")
    expect(page.get_by_role("log").get_by_text("Checker: Who is there?")).to_be_visible()


def test_enter_sends_and_shift_enter_does_not(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    field = page.get_by_label("Message", exact=True)
    expect(field).to_be_visible()
    page.keyboard.press("/")
    expect(field).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(field).to_have_value("one\ntwo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log").get_by_text("Lead: one")).to_be_visible()
    expect(field).to_have_value("")
    expect(field).to_be_focused()


def test_what_was_said_stays_when_it_is_stopped(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    page.goto("/")
    model.texts["stopped"] = " ".join(f"word{number}" for number in range(40)) + " end"
    with model.held("Lead", words=2):
        ask(page, "say stopped")
        expect(page.get_by_role("log").get_by_text("word0")).to_be_visible()
        page.get_by_label("Message", exact=True).press("Escape")
        expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("log").get_by_text("word0")).to_be_visible()
    expect(page.locator(".activities[data-ended=completed]")).to_have_count(0)  # a green mark
    page.reload()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("word39 end")).to_be_visible()


def test_a_failure_says_why_and_is_there_after_a_reload(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "fail")
    expect(page.get_by_role("alert")).to_contain_text("refused the request")
    expect(page.get_by_role("group", name="Suggested replies")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("refused the request")
    expect(
        page.get_by_role("alert").get_by_text(re.compile("^resp_"))
    ).to_be_visible()  # it finds the reason in the log
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_failure_is_said_in_the_reader_s_language(opens: Opens, studio: Studio) -> None:
    page = opens(studio, locale="de-DE")
    page.goto("/")
    page.get_by_label("Nachricht", exact=True).fill("fail")
    page.get_by_role("button", name="Senden", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Der Anbieter hat die Anfrage abgelehnt")
    page.goto("/#/runs?status=failed")
    expect(page.get_by_text("Der Anbieter hat die Anfrage abgelehnt").first).to_be_visible()


def test_an_approval_is_given_in_the_talk_and_it_goes_on(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "look ann; send ann; say Ann has it.")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Approve", exact=True).click()
    log = page.get_by_role("log")
    expect(log.get_by_text("Ann has it.", exact=True)).to_be_visible()
    expect(log.get_by_role("status").get_by_text("Approved")).to_be_visible()
    page.reload()
    expect(log.get_by_text("Ann has it.", exact=True)).to_be_visible()
    expect(log.locator(".past")).to_contain_text("Approved by local")
    expect(page.locator(".turn")).to_have_count(1)


def test_two_approvals_of_one_step_are_given_and_it_ends(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "send ann & send bob; say Both have it.")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(2)
    page.get_by_role("button", name="Approve", exact=True).first.click()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(1)
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("log").get_by_text("Both have it.", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_a_question_that_waits_is_there_once_and_outlives_an_escape(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "send zed; say Zed has it.")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(1)
    expect(page.locator(".turn")).to_have_count(1)
    page.get_by_role("button", name="Settings").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete conversation").last.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator(".answer").get_by_text("Zed has it.", exact=True)).to_be_visible()
    expect(page.locator(".turn")).to_have_count(1)


def test_what_another_person_has_decided_goes_on_here(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "send bob; say Bob has it.")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    with studio.client() as client:
        waiting = client.get("/v1/approvals").json()["data"][0]
        client.post(f"/v1/approvals/{waiting['id']}", json={"approve": False, "reason": "Not Bob."})
    log = page.get_by_role("log")
    expect(log.get_by_text("Bob has it.", exact=True)).to_be_visible()
    expect(log.get_by_text("Refused", exact=True)).to_be_visible()
    expect(log.get_by_text("Not Bob.")).to_be_visible()


def test_an_old_conversation_is_found_renamed_and_deleted(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "say Something to keep.")
    expect(page.get_by_role("log").get_by_text("Something to keep.", exact=True)).to_be_visible()
    page.get_by_role("link", name="New conversation").click()
    expect(page.get_by_role("log")).to_have_count(0)
    conversations = page.get_by_role("navigation", name="Conversations")
    page.get_by_label("Find a conversation").fill("something TO")
    conversations.get_by_role("link", name="say Something to keep.").click()
    expect(page.get_by_role("log").get_by_text("Something to keep.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Rename conversation").click()
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(conversations.get_by_role("link", name="say Something to keep.")).to_be_focused()
    page.get_by_role("button", name="Rename conversation").click()
    page.get_by_label("Title").fill("Something <b>else</b>")
    page.get_by_label("Title").press("Enter")
    page.get_by_label("Find a conversation").fill("else")
    expect(conversations.get_by_role("link", name="Something <b>else</b>")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Something <b>else</b>")
    page.get_by_role("button", name="Delete conversation").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete “Something <b>else</b>” for good?")
    page.keyboard.press("Enter")  # keeps it
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete conversation")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(conversations.get_by_text("Nothing found.")).to_be_visible()
    expect(conversations.get_by_role("link", name="New conversation")).to_be_focused()
    expect(page).to_have_url(re.compile(r"#/chat$"))


def test_a_text_that_was_not_sent_survives_a_reload(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    page.get_by_label("Message", exact=True).fill("half a thou")
    page.reload()
    expect(page.get_by_label("Message", exact=True)).to_have_value("half a thou")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chat_breaks_no_rule_of_accessibility(
    opens: Opens, studio: Studio, scheme: Literal["light", "dark"]
) -> None:
    page = opens(studio, allowed="Applying inline style", color_scheme=scheme)  # axe does
    page.goto("/")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert violations(page) == []
    ask(page, "Finder: look bob; send ann; say # Title\n\n`x` [y](https://example.com)")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    page.locator(".activities summary").click()
    assert violations(page) == []
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("link", name="Show run")).to_be_visible()
    assert violations(page) == []


def test_360_pixels_are_enough(opens: Opens, studio: Studio) -> None:
    page = opens(studio, viewport={"width": 360, "height": 700}, locale="de-DE")
    page.goto("/")
    page.get_by_label("Nachricht", exact=True).fill("look ann; say " + "Donaudampfschifffahrtsgesellschaft" * 5)
    page.get_by_role("button", name="Senden", exact=True).click()
    expect(page.get_by_role("link", name="Lauf ansehen")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Gespräche", exact=True).click()
    page.get_by_role("link", name="Neues Gespräch").click()
    expect(page.get_by_role("log")).to_have_count(0)
    expect(page.get_by_role("navigation", name="Gespräche")).to_be_hidden()


def test_a_long_conversation_is_loaded_from_its_end(opens: Opens, studio: Studio) -> None:
    with studio.client() as client:
        made = client.post("/v1/conversations", json={"metadata": {"title": "Long"}}).json()["id"]
        for page_of in range(6):
            texts = [f"message {page_of * 20 + number}." for number in range(20)]
            items = [
                {"type": "message", "role": "user" if number % 2 == 0 else "assistant", "content": text}
                for number, text in enumerate(texts)
            ]
            client.post(f"/v1/conversations/{made}/items", json={"items": items}).raise_for_status()
    page = opens(studio)
    page.goto(f"/#/chat/{made}")
    expect(page.get_by_role("heading", name="Long")).to_be_visible()
    expect(page.get_by_text("message 119.")).to_be_in_viewport()
    assert page.get_by_text("message 0.", exact=True).count() == 0
    page.get_by_role("button", name="Earlier messages").click()
    expect(page.get_by_text("message 0.", exact=True)).to_be_attached()
    expect(page.get_by_role("button", name="Earlier messages")).to_have_count(0)
    expect(page.locator(".turn")).to_have_count(60)


def test_a_conversation_whose_runs_are_old_is_opened(opens: Opens, studio: Studio) -> None:
    run = studio.run("say Long ago.", conversation=_conversation(studio))
    page = opens(studio)

    def newest(route: Route) -> None:  # 500 others are newer
        is_newest = "order=asc" not in route.request.url
        route.fulfill(json={"data": [], "has_more": True}) if is_newest else route.continue_()

    page.route(re.compile(r"/v1/responses\?.*conversation="), newest)
    page.goto(f"/#/chat/{run['conversation']['id']}")
    expect(page.get_by_role("log").get_by_text("Long ago.", exact=True)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def _conversation(studio: Studio) -> str:
    with studio.client() as client:
        return str(client.post("/v1/conversations", json={}).json()["id"])


def test_names_that_are_html_are_text(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/#/chat?model=hostile")
    page.locator(".suggestions").get_by_role("button").first.click()
    expect(page.get_by_role("link", name="Show run")).to_be_visible()
    expect(page.locator(".speaker").get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.locator("main img").count() == 0


def test_enter_that_ends_a_composition_does_not_send(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    field = page.get_by_label("Message", exact=True)
    field.fill("ni hao")
    field.evaluate(
        """field => field.dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true }))"""
    )
    expect(field).to_have_value("ni hao")
    expect(page.get_by_role("log")).to_have_count(0)
