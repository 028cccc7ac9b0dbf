"""What the page's own files keep to: words, colours, addresses, size. No browser is needed but for the words."""

import re
from typing import Any

import pytest

from tests.library.page.conftest import Opens
from tests.library.page.studio import Studio
from tests.library.paths import ROOT

FOLDER = ROOT / "src" / "agency_lambda" / "page"
MODULES = {
    path.relative_to(FOLDER).as_posix(): path.read_text()
    for path in sorted(FOLDER.rglob("*.js"))
    if "vendor" not in path.parts
}
CODE = {name: text for name, text in MODULES.items() if not name.startswith("words/")}
SHEETS = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in sorted(FOLDER.rglob("*.css"))}
LANGUAGES = {"en", "de", "zh"}
_COLOUR = r"#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch|oklab|lab|lch|color)\("

type Words = dict[str, dict[str, dict[str, str]]]  # part -> language -> name -> sentence


@pytest.fixture(scope="module")
def words(request: pytest.FixtureRequest) -> Words:
    """The modules in words/, as the browser reads them."""
    studio: Studio = request.getfixturevalue("studio")
    browser = request.getfixturevalue("browser")
    context = browser.new_context(base_url=studio.url)
    tab = context.new_page()
    tab.goto("/")
    read = """async (names) => {
        const main = document.querySelector("script[type=module]").src;
        const found = {};
        for (const name of names) found[name] = (await import(new URL(`words/${name}.js`, main))).default;
        return found;
    }"""
    names = [path.stem for path in sorted((FOLDER / "words").glob("*.js"))]
    found: Any = tab.evaluate(read, names)
    context.close()
    camel = {name: re.sub(r"_(\w)", lambda each: each[1].upper(), name) for name in names}
    return {camel[name]: languages for name, languages in found.items()}


def test_every_sentence_is_there_in_all_languages(words: Words) -> None:
    for part, languages in words.items():
        assert set(languages) == LANGUAGES, part
        for language in LANGUAGES:
            assert set(languages[language]) == set(languages["en"]), f"{part}.{language}"


def test_a_sentence_takes_the_same_values_in_all_languages(words: Words) -> None:
    for part, languages in words.items():
        for name, sentence in languages["en"].items():
            takes = set(re.findall(r"\{(\w+)\}", sentence))
            for language in LANGUAGES:
                assert set(re.findall(r"\{(\w+)\}", languages[language][name])) == takes, f"{language} {part}.{name}"


def test_every_sentence_is_used_and_every_used_one_is_there(words: Words) -> None:
    known = {f"{part}.{name}" for part, languages in words.items() for name in languages["en"]}
    parts = "|".join(words)
    text = "\n".join(CODE.values())
    said = set(re.findall(rf"[\"'`]((?:{parts})\.\w+)[\"'`]", text))
    # `app.${name}`, `timeline.kind_${kind}`: every key of that form
    made = [
        re.compile(re.sub(r"\\?\$\\?\{.*?\\?\}", r"\\w+", re.escape(each)))
        for each in re.findall(rf"`((?:{parts})\.\w*\$\{{[^`]*\}}\w*)`", text)
    ]
    used = said | {key for key in known if any(form.fullmatch(key) for form in made)}
    assert said - known == set()
    assert known - used <= {"chat.stop"}  # until the chat stops runs


@pytest.mark.parametrize("name", CODE)
def test_a_module_has_no_inline_style_no_colour_and_no_html_of_its_own(name: str) -> None:
    text = re.sub(r"//.*|/\*[\s\S]*?\*/", "", CODE[name])
    assert not re.search(r"[\s\"]style=", text)
    assert not re.search(_COLOUR, text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


@pytest.mark.parametrize("name", [*MODULES, *SHEETS])
def test_a_file_names_no_address_of_another_host_and_none_from_the_root(name: str) -> None:
    text = {**MODULES, **SHEETS}[name].replace("http://www.w3.org/", "")
    assert not re.search(r"https?://(?!\$)|[\"'`(]//\w|(?:href|src|url|fetch|import)[^\w.]{1,3}[\"']?/\w", text)


def test_colours_are_named_in_one_sheet() -> None:
    assert {name for name, text in SHEETS.items() if re.search(_COLOUR, text)} == {"style.css"}


def test_modules_are_short() -> None:
    assert {name: lines for name, text in CODE.items() if (lines := text.count("\n")) > 300} == {}


def test_a_page_opens_in_the_readers_language(opens: Opens, studio: Studio) -> None:
    for locale, language in {"de-AT": "de", "zh-TW": "zh", "fr-FR": "en"}.items():
        page = opens(studio, locale=locale)
        page.goto("/")
        assert page.locator("html").get_attribute("lang") == language
