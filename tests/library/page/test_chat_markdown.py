"""Answers as Markdown: what is drawn, what a hostile one cannot do, and what a huge one costs."""

import re
import threading

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio
from tests.library.page.test_chat import ask

GOOD = """# Plan

1. **First**, ask [Ann](https://example.com/ann)
2. then `run()` it

- [x] done

| who | how many |
|---|---:|
| Ann | 12 |

```py
print("<b>")
```
"""
BAD = """<img src=x onerror=alert(1)><script>alert(2)</script> [a](javascript:alert(3)) ![p](https://evil.example/p.png)

<iframe src="https://evil.example"></iframe>

[b](data:text/html,x) [c](https://ok.example/?a=1&b=2) ![d](data:image/svg+xml;base64,AAAA)

The name is \u202egpj.exe and after it
"""


def answer(page: Page, model: Model, name: str, text: str) -> Locator:
    model.texts[name] = text
    page.goto("/")
    ask(page, f"say {name}")
    return page.locator(".answer")


def test_markdown_is_drawn(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    said = answer(page, model, "markdown", GOOD)
    expect(said.get_by_role("heading", name="Plan")).to_be_visible()
    expect(said.get_by_role("listitem").filter(has_text="First")).to_be_visible()
    link = said.get_by_role("link", name="Ann")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(link).to_have_attribute("title", "https://example.com/ann")
    expect(said.get_by_role("checkbox")).to_be_checked()
    expect(said.get_by_role("cell", name="12")).to_be_visible()
    expect(said.locator("pre code")).to_have_text('print("<b>")')


def test_code_is_copied(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio, permissions=["clipboard-read", "clipboard-write"])
    said = answer(page, model, "code", GOOD)
    said.locator(".code-block").get_by_role("button", name="Copy").click()
    expect(said.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == 'print("<b>")'


def test_a_hostile_answer_is_text_and_loads_nothing(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    said = answer(page, model, "hostile", BAD)
    expect(said.get_by_role("link", name="c", exact=True)).to_have_attribute("href", "https://ok.example/?a=1&b=2")
    expect(said.get_by_text("<iframe")).to_be_visible()
    expect(said.get_by_text("onerror=alert(1)")).to_be_visible()
    assert said.locator("img, iframe, script").count() == 0
    hrefs = said.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    assert [each for each in hrefs if not re.match(r"https://(ok|evil)\.example/|http://127", each)] == []
    assert [each for each in asked if not each.startswith((studio.url, "data:", "blob:"))] == []


def test_a_link_whose_words_are_another_address_says_where_it_leads(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    text = "[**https://good.example**](https://evil.example) [here](https://good.example@evil.example/) [a](https://b.example)"
    said = answer(page, model, "another address", text)
    expect(said.locator(".markdown a")).to_have_text(
        ["https://good.example (evil.example)", "here (evil.example)", "a"], use_inner_text=True
    )


BOMBS = {
    "quotes": ">" * 10_000 + " the end",
    "lists": "\n".join(" " * depth + "- x" for depth in range(2_000)),
    "cells": f"|{'a|' * 300}\n|{'-|' * 300}\n" + f"|{'b|' * 300}\n" * 333,
    "word": "x" * 2_000_000,
    "stars": "*a _b " * 20_000,
    "brackets": "[" * 100_000,
    "links": "[a](" * 30_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_markdown_bomb_leaves_the_page_usable(opens: Opens, studio: Studio, model: Model, name: str) -> None:
    page = opens(studio)
    answer(page, model, name, BOMBS[name])
    expect(page.get_by_role("link", name="Show run")).to_be_visible()
    field = page.get_by_label("Message", exact=True)
    field.fill("still here")
    slowest = page.evaluate(
        """async () => {
            let slowest = 0, last = performance.now();
            for (let frame = 0; frame < 90; frame += 1) {
                await new Promise(requestAnimationFrame);
                slowest = Math.max(slowest, performance.now() - last);
                last = performance.now();
            }
            return slowest;
        }"""
    )
    assert slowest < 1500  # ms, on a machine that does other things, too
    assert page.locator(".markdown *").count() < 8_000


def test_a_long_answer_is_shown_in_parts(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    text = "\n\n".join(f"Paragraph {number} {'word ' * 30}" for number in range(700))
    said = answer(page, model, "long text", text)
    more = said.get_by_role("button", name="Show more")
    expect(said.get_by_text("Paragraph 0 ")).to_be_visible()
    expect(more).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()  # it is drawn anew when it is whole
    assert said.get_by_text("Paragraph 699 ").count() == 0
    more.click()
    expect(more).to_have_count(0)
    expect(said.get_by_text("Paragraph 699 ")).to_be_visible()


ENDLESS = """addEventListener("message", ({ data }) => {
    while (data.text.includes("endless"));
    postMessage({ blocks: [{ raw: data.text, tree: ["h1", {}, [data.text]] }] });
});
postMessage({ isReady: true });"""


def test_markdown_is_drawn_over_a_slow_network(opens: Opens, studio: Studio, model: Model) -> None:
    page = opens(studio)
    late = threading.Event()

    def hold(route: Route) -> None:
        page.wait_for_timeout(4000)  # longer than a text may take
        late.set()
        route.continue_()

    page.context.route("**/markdown_worker.js", hold)
    said = answer(page, model, "late", GOOD)
    expect(said.get_by_role("heading", name="Plan")).to_be_visible()
    assert late.is_set()


def test_a_text_that_takes_too_long_is_plain_and_the_next_one_is_read(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    page.context.route(
        "**/markdown_worker.js", lambda route: route.fulfill(content_type="text/javascript", body=ENDLESS)
    )
    page.goto("/")
    ask(page, "say endless")
    said = page.locator(".answer")
    expect(said.locator(".plain").get_by_text("endless", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Show run")).to_be_visible()
    ask(page, "say quick")
    expect(said.get_by_role("heading", name="quick", exact=True)).to_be_visible()
