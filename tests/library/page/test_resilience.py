"""What happens to an answer while the page, the network or the server is away."""

from playwright.sync_api import expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio


def test_a_question_is_answered(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    page.get_by_label("Message").fill("look ann; say Ann is well.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Ann is well.").last).to_be_visible()


def test_an_answer_survives_a_server_that_is_killed(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, allowed="Failed to load resource")
    page.goto("/")
    model.texts["long"] = "one two three four five six seven eight nine ten"
    with model.held("Lead", words=2) as go_on:
        page.get_by_label("Message").fill("look ann; say long")
        page.get_by_role("button", name="Send").click()
        studio.kill()
        go_on.set()
    studio.start()
    expect(page.get_by_text(model.texts["long"])).to_have_count(1)
