"""Sign-in in a real browser: a key, an OpenID issuer, a token, a hint; and what happens when it ends in the middle."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from playwright.sync_api import Page, Request, Response, Route, expect

from tests.library.issuer import Issuer, openid_issuer
from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import KEYS, Studio

REFUSED = r"status of 40[13]"  # what Chromium writes into its console about a 401, and a 403 for who is no operator


def signed_in(page: Page) -> None:
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()
    expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)


def enter(page: Page, secret: str, label: str = "Key") -> None:
    page.get_by_label(label, exact=True).fill(secret)
    page.get_by_role("button", name="Sign in").click()


# A key


def test_a_key_is_tried_and_kept_while_the_page_is_open(opens: Opens, keyed: Studio) -> None:
    page = opens(keyed, allowed=REFUSED)
    page.goto("/")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    for wrong in ("al_wrong", "kein Schlüssel"):
        enter(page, wrong)
        expect(page.get_by_role("alert")).to_have_text("That is not known here.")
    enter(page, f" {KEYS['alice']} ")
    signed_in(page)
    assert KEYS["alice"] not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()


def test_a_key_is_kept_in_the_browser_if_one_asks_for_that_until_one_signs_out(opens: Opens, keyed: Studio) -> None:
    page = opens(keyed, allowed=REFUSED)
    page.goto("/#/runs")
    page.get_by_label("Keep the key in this browser").check()
    enter(page, KEYS["alice"])
    signed_in(page)
    other = page.context.new_page()
    other.goto("/")
    signed_in(other)
    page.reload()
    signed_in(page)
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Sign out").click()
    for each in (page, other):
        expect(each.get_by_label("Key", exact=True)).to_be_visible()
        expect(each.get_by_role("navigation")).to_have_count(0)
    assert KEYS["alice"] not in page.evaluate("JSON.stringify(localStorage)")


def test_a_key_that_is_refused_in_the_middle_is_asked_for_and_nothing_typed_is_lost(
    opens: Opens, keyed: Studio
) -> None:
    page = opens(keyed, allowed=REFUSED)
    page.goto("/#/chat")
    enter(page, KEYS["alice"])
    signed_in(page)
    page.get_by_label("Message", exact=True).fill("half a thou")
    refuse = refusing(page)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # what waits is looked at again
    expect(page.get_by_role("dialog")).to_contain_text("Your sign-in has ended.")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    page.unroute("**/*", refuse)
    enter(page, KEYS["alice"])
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Message", exact=True)).to_have_value("half a thou")


def test_another_owner_finds_nothing_of_who_was_there_before(opens: Opens, keyed: Studio) -> None:
    page = opens(keyed, allowed=REFUSED)
    page.goto("/#/chat")
    enter(page, KEYS["alice"])
    signed_in(page)
    page.get_by_label("Message", exact=True).fill("say only for alice")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("only for alice")
    page.get_by_label("Message", exact=True).fill("half a thought of alice")
    refuse = refusing(page)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.unroute("**/*", refuse)
    enter(page, KEYS["bob"])
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Message", exact=True)).to_have_value("")
    expect(page.get_by_role("main")).not_to_contain_text("alice")
    page.get_by_label("Message", exact=True).fill("half a thought of bob")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Sign out").click()
    enter(page, KEYS["alice"])
    signed_in(page)
    assert "thought of bob" not in page.evaluate(
        "JSON.stringify({...sessionStorage, ...localStorage}) + document.body.innerText"
    )


def refusing(page: Page):  # type: ignore[no-untyped-def]
    """The service takes no credentials any more, as when a key is withdrawn."""

    def refuse(route: Route) -> None:
        body = json.dumps({"error": {"message": "This key is not known.", "code": "unauthenticated"}})
        if re.search(r"/v1/|/agencies", route.request.url):
            route.fulfill(status=401, body=body, content_type="application/json")
        else:
            route.continue_()

    page.route("**/*", refuse)
    return refuse


# An issuer


class Issued(Protocol):
    """Starts an issuer, and the agencies with AUTH=jwt and settings."""

    def __call__(self, **settings: str) -> tuple[Issuer, Studio]: ...


@pytest.fixture
def issued(model: Model, tmp_path: Path) -> Iterator[Issued]:
    """Ask for it before `opens`, so that the browser leaves first."""
    with ExitStack() as running:

        def start(**settings: str) -> tuple[Issuer, Studio]:
            issuer = running.enter_context(openid_issuer())
            issuer.with_sign_in()
            jwt = {"AUTH": "jwt", "JWT_ISSUER": issuer.url, "API_KEYS": "", "JWT_AUDIENCE": "agency", **settings}
            return issuer, running.enter_context(Studio(tmp_path, model, **jwt))

        yield start


def test_one_signs_in_at_the_issuer_and_is_back_where_one_was(issued: Issued, opens: Opens) -> None:
    issuer, studio = issued(PAGE_CLIENT_ID="page")
    page, requests = opens(studio, allowed=REFUSED), list[Request]()
    page.context.on("request", lambda request: requests.append(request))
    page.goto("/#/runs?status=failed")
    page.get_by_role("button", name=f"Sign in at 127.0.0.1:{issuer.url.rpartition(':')[2]}").click()
    signed_in(page)
    assert page.url == f"{studio.url}/#/runs?status=failed"
    (asked,) = issuer.authorized
    assert (asked["client_id"], asked["redirect_uri"], asked["scope"]) == ("page", f"{studio.url}/", "openid")
    assert asked["audience"] == "agency"
    page.reload()  # while the tab is open
    signed_in(page)
    with_code = [each for each in requests if "code=" in each.url + each.all_headers().get("referer", "")]
    assert [(each.is_navigation_request(), each.url.partition("?")[0]) for each in with_code] == [
        (True, f"{studio.url}/")
    ]
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_an_id_token_is_sent_where_that_is_the_one_for_the_service(issued: Issued, opens: Opens) -> None:
    issuer, studio = issued(PAGE_CLIENT_ID="page", JWT_AUDIENCE="page")
    page = opens(studio, allowed=REFUSED)
    page.goto("/")
    page.get_by_role("button", name="Sign in at").click()
    signed_in(page)
    assert "audience" not in issuer.authorized[0]


def test_what_others_lead_here_with_signs_nobody_in(issued: Issued, opens: Opens) -> None:
    issuer, studio = issued(PAGE_CLIENT_ID="page")
    page = opens(studio, allowed=REFUSED)
    page.goto("/?code=stolen&state=another")
    expect(page.get_by_role("alert")).to_contain_text("not begun in this tab")
    assert page.url == f"{studio.url}/"
    issuer.refusal = "access_denied"
    page.get_by_role("button", name="Sign in at").click()
    expect(page.get_by_role("alert")).to_have_text("The sign-in was cancelled, or you may not use this service.")
    issuer.refusal = ""
    page.get_by_role("button", name="Sign in at").click()
    signed_in(page)


def test_a_token_is_renewed_without_a_word(issued: Issued, opens: Opens) -> None:
    issuer, studio = issued(PAGE_CLIENT_ID="page", PAGE_SCOPE="openid offline_access")
    page = opens(studio, allowed=REFUSED)
    page.goto("/")
    issuer.lifetimes = [-40]  # it has ended, whatever two clocks may differ
    with page.expect_response(_is_renewal):
        page.get_by_role("button", name="Sign in at").click()
    signed_in(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (len(issuer.authorized), issuer.lifetimes) == (1, [])


def _is_renewal(answer: Response) -> bool:
    return answer.url.endswith("/token") and "refresh_token" in str(answer.request.post_data)


def test_what_was_typed_is_there_after_the_way_to_the_issuer(issued: Issued, opens: Opens) -> None:
    _, studio = issued(PAGE_CLIENT_ID="page")
    page = opens(studio, allowed=REFUSED)
    page.goto("/#/chat")
    page.get_by_role("button", name="Sign in at").click()
    signed_in(page)
    page.get_by_label("Message", exact=True).fill("half a thou")
    refuse = refusing(page)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("dialog")).to_contain_text("Your sign-in has ended.")
    page.unroute("**/*", refuse)
    page.get_by_role("button", name="Sign in at").click()
    signed_in(page)
    expect(page.get_by_label("Message", exact=True)).to_have_value("half a thou")


@pytest.mark.parametrize("client", ["", "page"])
def test_a_token_can_be_pasted_where_nobody_can_sign_in_at_the_issuer(
    issued: Issued, opens: Opens, client: str
) -> None:
    issuer, studio = issued(PAGE_CLIENT_ID=client)
    del issuer.described["token_endpoint"]
    page = opens(studio, allowed=REFUSED)
    page.goto("/")
    if client:
        expect(page.get_by_role("alert").first).to_contain_text("does not answer")
        page.get_by_text("Enter a token instead").click()
    enter(page, issuer.token(aud="another"), "Token")
    expect(page.get_by_text("That is not known here.")).to_be_visible()
    enter(page, issuer.token(), "Token")
    signed_in(page)


# Signatures


def test_where_requests_are_signed_the_page_says_how(opens: Opens, keyed: Studio) -> None:
    page = opens(keyed, allowed=REFUSED)

    def as_iam(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(
            response=answer,
            body=answer.text().replace("&quot;auth&quot;: &quot;keys&quot;", "&quot;auth&quot;: &quot;iam&quot;"),
        )

    page.route(f"{keyed.url}/", as_iam)
    page.goto("/")
    expect(page.get_by_role("main")).to_contain_text("curl --aws-sigv4 aws:amz:REGION:execute-api")
    expect(page.get_by_role("textbox")).to_have_count(0)
