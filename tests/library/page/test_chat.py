from playwright.sync_api import Page, expect


def test_a_question_is_answered(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Message").fill("Greet me.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("offline model")).to_be_visible()
