"""What models and users say is text: it runs nothing, asks nothing of other hosts, and does not stop the page."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.library.page.conftest import Opens
from tests.library.page.provider import Model
from tests.library.page.studio import Studio
from tests.library.page.test_accessible import settled

ELSEWHERE = "http://elsewhere.example"
SCRIPTS = f"""Before it.

<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)><circle r=9 /></svg>
<style>body {{ display: none }}</style><iframe src="javascript:alert(4)"></iframe><base href="{ELSEWHERE}/">
<form action="{ELSEWHERE}"><button>Again</button></form><meta http-equiv=refresh content="0;url={ELSEWHERE}">
<link rel=stylesheet href="{ELSEWHERE}/a.css"><object data="{ELSEWHERE}/a"></object>
<a href="javascript:alert(5)">raw</a>

[press me](javascript:alert(6)) [or me](JaVaScRiPt:alert(7)) [data](data:text/html,<script>alert(8)</script>)
[vb](vbscript:x) ![remote]({ELSEWHERE}/pixel.png) ![svg](data:image/svg+xml,<svg onload=alert(9)>)
[&#106;s](&#106;avascript:alert(1)) <{ELSEWHERE}/auto> [own](page/x) [hash](#/usage) [ref][r]

[r]: javascript:alert(10)

```html
<script>alert(11)</script>
```

After it."""
REVERSED = "\u202eevil txt.exe\u202c \u2067ltr\u2069 שלום עולם \u202d and on\n\nשלום"  # noqa: RUF001
BOMBS = {
    "nested quotes": ">" * 20_000 + " x",
    "nested lists": "\n".join(f"{'  ' * depth}- x" for depth in range(1_500)),
    "brackets": "[" * 20_000 + "x",
    "links": "[a](" * 10_000,
    "emphasis": "*a **b " * 20_000,
    "backticks": "".join("`" * (number % 200) + "x" for number in range(2_000)),
    "a table": "|a" * 500 + "|\n" + "|-" * 500 + "|\n" + ("|x" * 500 + "|\n") * 300,
    "references": "\n".join(f"[{number}]: /x" for number in range(20_000)) + "\n\n[1]",
    "entities": "&#x41;" * 50_000,
    "one line": "a" * 300_000,
}


@pytest.fixture
def tab(opens: Opens, studio: Studio) -> Iterator[Page]:
    """Fails where anything is asked of another host, or the page goes elsewhere."""
    page, hosts = opens(studio), set[str]()
    page.context.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto("/")
    yield page
    assert hosts - {""} == {urlsplit(studio.url).netloc}
    assert page.url.startswith(studio.url)
    assert len(page.context.pages) == 1


@pytest.fixture
def says(tab: Page, model: Model) -> Iterator[Callable[[str], None]]:
    """Asks the agent, which answers with this text."""

    def say(text: str) -> None:
        model.texts["hostile"] = text
        tab.get_by_label("Message", exact=True).fill("say hostile")
        tab.get_by_role("button", name="Send").click()

    yield say
    model.texts.clear()


def test_html_in_an_answer_is_text(tab: Page, says: Callable[[str], None]) -> None:
    says(SCRIPTS)
    answer = tab.get_by_role("main")
    expect(answer.get_by_text("After it.")).to_be_visible()
    expect(answer).to_contain_text("<script>alert(1)</script>")
    expect(answer).to_contain_text("<style>body { display: none }</style>")
    expect(answer.locator("script, style, iframe, object, base, meta, link, form[action], img")).to_have_count(0)
    links = answer.locator("a[target]").all()
    assert links
    for link in links:
        assert urlsplit(link.get_attribute("href") or "").scheme in ("http", "https", "mailto")
        assert "noreferrer" in (link.get_attribute("rel") or "")
    schemes = [link.get_attribute("href") for link in answer.locator("a").all()]
    assert not [href for href in schemes if href and urlsplit(href).scheme in ("javascript", "data", "vbscript")]


def test_directions_in_an_answer_stay_in_it(tab: Page, says: Callable[[str], None]) -> None:
    says(REVERSED)
    expect(tab.get_by_text("שלום", exact=True)).to_be_visible()
    assert tab.get_by_text("שלום", exact=True).evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert tab.get_by_role("button", name="Send").evaluate("each => getComputedStyle(each).direction") == "ltr"


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_leaves_the_page_awake(tab: Page, says: Callable[[str], None], name: str) -> None:
    observe_long_tasks(tab)
    says(f"{BOMBS[name]}\n\nAfter it.")
    expect(tab.get_by_role("button", name="Send")).to_be_visible()
    expect(tab.get_by_text("After it.").or_(tab.get_by_role("button", name="Show more")).last).to_be_attached()
    tab.get_by_role("link", name="Usage").click()
    expect(tab.get_by_role("heading", name="Usage")).to_be_visible()
    assert longest_task(tab) < 1_000


def test_an_answer_of_a_megabyte_is_shown(tab: Page, says: Callable[[str], None]) -> None:
    observe_long_tasks(tab)
    says(
        "\n\n".join(f"Paragraph {number} of *many*, {'with words ' * 20}." for number in range(4_000)) + "\n\nAfter it."
    )
    more = tab.get_by_role("button", name="Show more")
    expect(tab.get_by_text("After it.").or_(more).last).to_be_attached(timeout=30_000)
    more.click()
    expect(tab.get_by_text("Paragraph 200 of").last).to_be_attached()
    assert longest_task(tab) < 1_000


def test_names_of_agents_and_tools_are_text(opens: Opens, studio: Studio) -> None:
    page = opens(studio)
    for place in ("", "chat?model=hostile", "swarm", "swarm/hostile"):
        page.goto(f"/#/{place}")
        page.reload()
        expect(page.get_by_role("main").get_by_role("heading").first).to_be_attached()
        expect(page.get_by_role("main").locator("img")).to_have_count(0)
    expect(page.get_by_text("<img src=x").first).to_be_attached()


def test_what_is_stored_is_text(opens: Opens, studio: Studio) -> None:
    """A title, an input, an owner's metadata, a file's name, arguments of a call and the error of a provider."""
    html = "<img src=x onerror=alert(1)>"
    with studio.client() as client:
        conversation = client.post("/v1/conversations", json={"metadata": {"title": html}}).json()["id"]
    fields = {"conversation": conversation, "metadata": {html: html}}
    made = [studio.run(f"say {html}", **fields), studio.run(f"attach {html}.csv", conversation=conversation)]
    made.append(studio.run(f"look {html}; fail"))
    asked = studio.run(f"send {html}")
    page = opens(studio)
    runs = (f"runs/{run['id']}" for run in [*made, asked])
    for place in ("", f"chat/{conversation}", "runs", "approvals", *runs):
        settled(page, place)
        expect(page.locator("img")).to_have_count(0)
    with studio.client() as client:
        client.post(f"/v1/responses/{asked['id']}/cancel")


def observe_long_tasks(page: Page) -> None:
    page.evaluate("""() => {
        window.longTasks = [0];
        new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((each) => each.duration)))
            .observe({ type: "longtask" });
    }""")


def longest_task(page: Page) -> float:
    """Return the milliseconds for which a click waits at most."""
    longest: float = page.evaluate("Math.max(...longTasks)")
    return longest
