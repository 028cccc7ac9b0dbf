import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.library.clients.server import Server, serve
from tests.library.conftest import PYTHONPATH
from tests.library.page.conftest import Opens

DESKS = Path(__file__).parent / "desks"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve agencies of which one asks for approvals; in place of the usual ones."""
    with serve(
        tmp_path_factory.mktemp("approvals"), AUTH="none", API_KEYS="", PYTHONPATH=f"{DESKS}:{PYTHONPATH}"
    ) as it:
        yield it


@pytest.fixture(autouse=True)
def nothing_waits(server: Server) -> Iterator[None]:
    yield
    httpx.post(f"{server.url}/v1/responses/cancel")


def ask(server: Server, verb: str) -> str:
    """Have an agent ask for a decision, and return its run's id."""
    body = {"model": "post", "input": verb, "store": True}
    answer = httpx.post(f"{server.url}/v1/responses", json=body, timeout=60).json()
    assert [item["type"] for item in answer["output"]][-1] == "mcp_approval_request"
    return str(answer["id"])


def decided(server: Server, run_id: str) -> dict[str, Any]:
    """Return the approval that the run has asked for."""
    output = httpx.get(f"{server.url}/v1/responses/{run_id}").json()["output"]
    return dict(httpx.get(f"{server.url}/v1/approvals/{output[-1]['id']}").json())


def card(page: Page, title: str) -> Locator:
    return page.get_by_role("article", name=title)


def button(where: Page | Locator, name: str) -> Locator:
    return where.get_by_role("button", name=name, exact=True)


def test_a_call_is_approved_by_one_click(page: Page, server: Server) -> None:
    run_id = ask(server, "letter")
    page.goto("/#/approvals")
    expect(card(page, "send_letter")).to_contain_text("The date is moved to 3 March.")
    expect(card(page, "send_letter").get_by_role("link", name="Open the run")).to_have_attribute(
        "href", f"#/runs/{run_id}?owner=local"
    )
    button(page, "Approve").click()
    expect(page.get_by_role("status").filter(has_text="Approved: send_letter")).to_be_visible()
    expect(card(page, "send_letter")).to_have_count(0)
    expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()
    assert decided(server, run_id)["decision"]["approve"] is True


def test_a_call_is_approved_where_its_run_is_looked_at(page: Page, server: Server) -> None:
    run_id, other = ask(server, "letter"), ask(server, "letter")
    page.goto(f"/#/runs/{run_id}")
    expect(card(page, "send_letter")).to_have_count(1)  # and not the other run's
    button(page, "Approve").click()
    expect(page.get_by_role("status").filter(has_text="Approved: send_letter")).to_be_visible()
    expect(card(page, "send_letter")).to_have_count(0)
    expect(page.get_by_text("A person has to decide.")).to_have_count(0)
    expect(page.locator(".run-head h1")).to_be_focused()
    assert decided(server, run_id)["decision"]["approve"] is True
    assert decided(server, other)["status"] == "pending"


def test_a_second_click_is_not_for_the_next_card(page: Page, server: Server) -> None:
    ask(server, "letter")
    ask(server, "letter")
    page.goto("/#/approvals")
    expect(button(page, "Approve")).to_have_count(2)
    place = button(page, "Approve").first.bounding_box()
    assert place
    page.evaluate(
        """({ x, y }) => new MutationObserver(() => document.elementFromPoint(x, y)?.closest("button")?.click())
            .observe(document.querySelector("main"), { childList: true, subtree: true })""",
        {"x": place["x"] + 9, "y": place["y"] + 9},
    )
    button(page, "Approve").first.click()
    expect(button(page, "Approve")).to_have_count(1)
    button(page, "Approve").click()
    expect(page.get_by_text("Nothing waits for a decision")).to_be_visible()


def test_what_is_not_seen_in_arguments_is_marked(page: Page, server: Server) -> None:
    ask(server, "letter")
    waiting = httpx.get(f"{server.url}/v1/approvals").json()
    waiting["data"][0]["arguments"] = {"to": "\u202emoc.knab@ecila\u202c", "text": "one\n\ntext\ntwo"}
    page.route(re.compile(r"/v1/approvals\?"), lambda route: route.fulfill(json=waiting))
    page.goto("/#/approvals")
    expect(card(page, "send_letter")).to_contain_text("U+202Emoc.knab@ecilaU+202C")
    expect(card(page, "send_letter")).to_contain_text("Contains characters that are not seen.")


def test_a_call_is_refused_with_a_reason_by_the_keyboard(page: Page, server: Server) -> None:
    run_id = ask(server, "letter")
    page.goto("/#/approvals")
    button(page, "Refuse").press("Enter")
    expect(page.get_by_label("Reason (optional)")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button(page, "Refuse")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("Call them.")
    page.keyboard.press("Control+Enter")
    expect(card(page, "send_letter")).to_have_count(0)
    assert decided(server, run_id)["decision"]["reason"] == "Call them."


def test_arguments_are_changed_as_fields_of_their_types(page: Page, server: Server) -> None:
    run_id = ask(server, "letter")
    page.goto("/#/approvals")
    button(page, "Change").click()
    page.get_by_label("pages").fill("many")
    button(page, "Approve with changes").click()
    expect(page.get_by_label("pages")).to_have_accessible_description("This has to be a number.")
    page.get_by_label("pages").fill("3")
    page.get_by_label("registered").check()
    button(page, "Approve with changes").click()
    expect(card(page, "send_letter")).to_have_count(0)
    changed = {"to": "Nordwind", "text": "The date is moved to 3 March.", "pages": 3, "registered": True}
    assert decided(server, run_id)["decision"]["arguments"] == changed


def test_nested_arguments_are_changed_as_json(page: Page, server: Server) -> None:
    run_id = ask(server, "parcel")
    page.goto("/#/approvals")
    button(page, "Change").click()
    field = page.get_by_label("Arguments as JSON")
    expect(field).to_be_focused()
    field.fill('{"address": ')
    button(page, "Approve with changes").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill('{"address": {"name": "Sued", "lines": []}}')
    button(page, "Approve with changes").click()
    expect(card(page, "send_parcel")).to_have_count(0)
    assert decided(server, run_id)["decision"]["arguments"] == {"address": {"name": "Sued", "lines": []}}


def test_what_the_service_refuses_is_shown_at_the_field(opens: Opens, server: Server) -> None:
    page = opens(server, allowed="400")
    ask(server, "letter")
    page.goto("/#/approvals")
    button(page, "Change").click()
    page.get_by_label("pages").fill("2.5")
    button(page, "Approve with changes").click()
    expect(page.get_by_label("pages")).to_have_accessible_description(re.compile("do not match"))
    expect(button(page, "Approve with changes")).to_be_enabled()


def test_a_question_has_its_choices_as_buttons(page: Page, server: Server) -> None:
    run_id = ask(server, "choose")
    page.goto("/#/approvals")
    button(card(page, "Which day suits Nordwind?"), "Friday").click()
    expect(card(page, "Which day suits Nordwind?")).to_have_count(0)
    assert decided(server, run_id)["decision"]["reason"] == "Friday"


def test_a_question_has_a_free_answer(page: Page, server: Server) -> None:
    run_id = ask(server, "free")
    page.goto("/#/approvals")
    page.get_by_label("Your answer").fill("That we are late.")
    button(page, "Answer").click()
    expect(card(page, "What shall the letter say?")).to_have_count(0)
    assert decided(server, run_id)["decision"]["reason"] == "That we are late."


def test_a_double_click_decides_once(page: Page, server: Server) -> None:
    ask(server, "letter")
    page.goto("/#/approvals")
    sent = list[str]()
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    button(page, "Approve").evaluate("(button) => { button.click(); button.click(); }")
    expect(card(page, "send_letter")).to_have_count(0)
    assert len(sent) == 1


def test_what_another_has_decided_is_shown_in_its_place(opens: Opens, server: Server) -> None:
    page = opens(server, allowed="409")
    ask(server, "letter")
    page.goto("/#/approvals")
    expect(button(page, "Approve")).to_be_visible()
    page.route(re.compile(r"/v1/approvals\?"), lambda route: None)  # the list does not follow meanwhile
    (entry,) = httpx.get(f"{server.url}/v1/approvals").json()["data"]
    httpx.post(f"{server.url}/v1/approvals/{entry['id']}", json={"approve": False, "reason": "No."})
    button(page, "Approve").click()
    expect(card(page, "send_letter")).to_contain_text("Refused")
    expect(card(page, "send_letter")).to_contain_text("by local")
    page.unroute_all()


def test_a_card_that_goes_by_itself_is_said(page: Page, server: Server) -> None:
    ask(server, "letter")
    page.clock.install()
    page.goto("/#/approvals")
    button(page, "Refuse").click()
    httpx.post(f"{server.url}/v1/responses/cancel")
    page.clock.run_for(16_000)
    expect(page.get_by_text("Decided elsewhere, or its run has ended: send_letter")).to_be_visible()
    expect(card(page, "send_letter")).to_have_count(0)


def test_the_badge_counts_what_waits(page: Page, server: Server) -> None:
    for verb in ("letter", "choose"):
        ask(server, verb)
    page.goto("/#/approvals")
    entry = page.get_by_role("navigation").get_by_role("link", name="Approvals")
    expect(entry).to_contain_text("2")
    button(page, "Friday").click()
    expect(entry).to_contain_text("1")
