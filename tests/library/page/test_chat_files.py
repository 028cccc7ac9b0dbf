"""Files in a talk: what is sent, what is refused before, and what agents have made."""

import base64
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.library.page.conftest import Opens
from tests.library.page.studio import Studio
from tests.library.page.test_chat import ask

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_files_go_with_a_question_and_are_there_later(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    chosen = page.locator("input[type=file]")
    chosen.set_input_files(
        [
            {"name": "a<b>.txt", "mimeType": "text/plain", "buffer": b"hello"},
            {"name": "pixel.png", "mimeType": "image/png", "buffer": PIXEL},
            {"name": "gone.txt", "mimeType": "text/plain", "buffer": b"not this"},
        ]
    )
    page.get_by_role("button", name="Remove gone.txt").click()
    ask(page, "say Thank you for it.")
    question = page.locator(".question")
    expect(question.get_by_text("a<b>.txt")).to_be_visible()
    expect(question.get_by_role("img", name="pixel.png")).to_be_visible()
    expect(page.locator(".answer").get_by_text("Thank you for it.", exact=True)).to_be_visible()
    page.reload()
    expect(question.get_by_text("a<b>.txt")).to_be_visible()
    expect(question.get_by_role("img")).to_be_visible()
    expect(page.get_by_text("gone.txt")).to_have_count(0)


def test_a_file_is_refused_before_it_is_sent(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.goto("/")
    page.locator("input[type=file]").set_input_files(
        [
            {"name": "large.txt", "mimeType": "text/plain", "buffer": b"x" * 12_000_000},
            {"name": "small.txt", "mimeType": "text/plain", "buffer": b"x"},
            {"name": "program.bin", "mimeType": "application/octet-stream", "buffer": b"\0\1\2"},
        ]
    )
    expect(page.get_by_role("alert").get_by_text("larger than 4 MB")).to_be_visible()
    expect(page.get_by_role("alert").get_by_text("only images")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(2)
    page.get_by_role("button", name="Remove small.txt").click()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()


@pytest.mark.parametrize("how", ["ClipboardEvent('paste', { clipboardData", "DragEvent('drop', { dataTransfer"])
def test_a_file_is_pasted_or_dropped(opens: Opens, studio: Studio, how: str) -> None:
    page = opens(studio)
    page.goto("/")
    page.get_by_label("Message", exact=True).evaluate(
        f"""field => {{
            const data = new DataTransfer();
            data.items.add(new File(["given"], "given.txt", {{ type: "text/plain" }}));
            field.dispatchEvent(new {how}: data, bubbles: true, cancelable: true }}));
        }}"""
    )
    expect(page.get_by_role("list", name="Attached files").get_by_text("given.txt")).to_be_visible()


def test_what_an_agent_has_made_is_downloaded(opens: Opens, studio: Studio, tmp_path: Path) -> None:
    page = opens(studio)
    page.goto("/")
    ask(page, "attach report.csv; say Here it is.")
    with page.expect_download() as download:
        page.locator(".answer").get_by_role("button", name="report.csv").click()
    assert download.value.suggested_filename == "report.csv"
    download.value.save_as(tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text().startswith("name,amount")
    page.get_by_role("link", name="Show run").click()
    expect(page.locator(".run-said").get_by_role("button", name="report.csv")).to_be_visible()
