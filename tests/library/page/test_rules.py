"""What the page's own files keep to: words, colours, addresses, size."""

import json
import posixpath
import re

import pytest

from tests.library.page.conftest import Opens
from tests.library.page.studio import Studio
from tests.library.paths import ROOT

FOLDER = ROOT / "src" / "page"
MODULES = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in sorted(FOLDER.rglob("*.js"))}
CODE = {name: text for name, text in MODULES.items() if not name.startswith("words/")}
SHEETS = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in sorted(FOLDER.rglob("*.css"))}
LANGUAGES = ("en", "de", "zh")
_COLOUR = r"#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch|oklab|lab|lch|color)\("
_SENTENCE = re.compile(r'^  (\w+): \[\s*((?:"(?:[^"\\]|\\.)*",?\s*)+)\],$', re.MULTILINE)


def _sentences(text: str) -> dict[str, list[str]]:
    """Return the sentences of a module in words/ by their names."""
    return {name: json.loads(f"[{texts.rstrip().rstrip(',')}]") for name, texts in _SENTENCE.findall(text)}


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda each: each[1].upper(), name)


WORDS = {
    _camel(name.removeprefix("words/").removesuffix(".js")): _sentences(text)
    for name, text in MODULES.items()
    if name.startswith("words/")
}


@pytest.mark.parametrize("part", WORDS)
def test_every_sentence_is_there_in_all_languages_and_takes_the_same_values(part: str) -> None:
    file = f"words/{re.sub('[A-Z]', lambda each: f'_{each[0].lower()}', part)}.js"
    assert len(WORDS[part]) == len(re.findall(r"^  \w+: ", MODULES[file], re.MULTILINE))
    for name, sentences in WORDS[part].items():
        assert len(sentences) == len(LANGUAGES), name
        assert all(sentences), name
        assert len({frozenset(re.findall(r"\{(\w+)\}", each)) for each in sentences}) == 1, name


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_and_exports_only_what_is_used(name: str) -> None:
    imported = re.findall(r"^import \{ (.*) \} from", MODULES[name], re.MULTILINE)
    for each in ", ".join(imported).split(", ") if imported else ():
        assert len(re.findall(rf"\b{each.rpartition(' ')[2]}\b", MODULES[name])) > 1, each
    exported = re.findall(r"^export (?:const|class|(?:async )?function\*?) (\w+)", MODULES[name], re.MULTILINE)
    others = "\n".join(text for other, text in MODULES.items() if other != name)
    assert [each for each in exported if not re.search(rf"\b{each}\b", others)] == []


@pytest.mark.parametrize("name", CODE)
def test_a_view_is_imported_by_the_frame_and_its_modules_by_the_view_alone(name: str) -> None:
    found = re.findall(r'from "(\.[^"]*)"', CODE[name])
    views = [path for each in found if (path := posixpath.normpath(f"{name}/../{each}")).startswith("views/")]
    own = f"{name.removesuffix('.js')}/" if name.count("/") == 1 else f"{posixpath.dirname(name)}/"
    assert name == "app.js" or all(path.startswith(own) for path in views)


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    known = {f"{part}.{name}" for part, sentences in WORDS.items() for name in sentences}
    parts = "|".join(WORDS)
    text = "\n".join(CODE.values())
    named = set(re.findall(rf"[\"'`]((?:{parts})\.\w+)[\"'`]", text))
    # `app.${name}`, `timeline.kind_${kind}`: every key of that form
    made = [
        re.compile(re.sub(r"\\?\$\\?\{.*?\\?\}", r"\\w+", re.escape(each)))
        for each in re.findall(rf"`((?:{parts})\.\w*\$\{{[^`]*\}}\w*)`", text)
    ]
    assert named - known == set()
    assert {key for key in known - named if not any(form.fullmatch(key) for form in made)} == set()


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
