"""Which package may import which, and claims of the documents."""

import ast
import re
from pathlib import Path

import pytest

from agency_lambda.settings import Settings

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("agents", {"handler", "infra", "tests", "agency_lambda_cdk"}),
        ("infra", {"handler", "agencies", "agreement_desk", "agency_lambda", "agency_swarm", "tests"}),
        ("handler", {"infra", "tests", "benchmarks", "agreement_desk", "agency_lambda_cdk"}),
        ("src/agency_lambda", {"handler", "infra", "tests", "benchmarks", "agreement_desk", "agency_lambda_cdk"}),
        ("src/agency_lambda_cdk", {"handler", "infra", "agencies", "agency_lambda", "agency_swarm", "tests"}),
        ("src/lambda_loop", {"agencies", "agency_lambda", "agency_swarm", "agents", "fastapi", "handler", "openai"}),
        ("src/deferred_imports", {"agencies", "agency_lambda", "agency_swarm", "agents", "fastapi", "lambda_loop"}),
    ],
)
def test_imports_point_one_way(room: str, never: set[str]) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert not imported(path) & never, path


#: room of agency_lambda -> the rooms that it may import: only earlier ones, so that there is no circle and no climb
ROOMS: dict[str, set[str]] = {
    "prices": set(),
    "offline": set(),
    "openapi": set(),
    "protocol": set(),
    "store": set(),
    "queue": set(),
    "budgets": {"prices", "store"},
    "approvals": {"protocol", "store"},
    "files": {"protocol", "store"},
    "webhooks": {"protocol", "queue", "store"},
    "history": {"protocol", "store"},
    "framework": {"history", "offline", "protocol"},
    "catalogue": {"framework"},
    "runs": {
        "approvals",
        "budgets",
        "catalogue",
        "files",
        "framework",
        "history",
        "protocol",
        "queue",
        "store",
        "webhooks",
    },
    "record": {"approvals", "history", "prices", "protocol", "queue", "runs", "store"},
    "auth": {"protocol"},
    "middleware": {"protocol"},
    "routes": {
        "approvals",
        "auth",
        "budgets",
        "catalogue",
        "files",
        "history",
        "middleware",
        "openapi",
        "prices",
        "protocol",
        "record",
        "runs",
        "webhooks",
    },
}
#: modules that put the rooms together; `testing` is for tests of agencies
COMPOSITION = {"__init__", "app", "cold_start", "lambda_handlers", "local", "run_service", "snap_start", "testing"}
SERVICE = ROOT / "src" / "agency_lambda"


def rooms_of(path: Path) -> set[str]:
    """Return the rooms of agency_lambda that a file imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "agency_lambda":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("agency_lambda."):
            found.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("agency_lambda.")}
    return found & ROOMS.keys()


def test_rooms_of_the_service_import_only_earlier_ones() -> None:
    assert {path.name for path in SERVICE.iterdir() if any(path.glob("*.py"))} == {*ROOMS, "testing"}
    earlier: set[str] = set()
    for room, allowed in ROOMS.items():
        assert allowed <= earlier, room
        earlier.add(room)
        for path in (SERVICE / room).rglob("*.py"):
            assert rooms_of(path) <= allowed | {room}, path


def test_modules_beside_the_rooms_import_none_of_them() -> None:
    for path in SERVICE.glob("*.py"):
        if path.stem not in COMPOSITION:
            assert rooms_of(path) == set(), path


def test_framework_alone_imports_agency_swarm_and_the_sdk() -> None:
    for path in SERVICE.rglob("*.py"):
        if path.relative_to(SERVICE).parts[0] not in ("framework", "testing"):
            assert not imported(path) & {"agency_swarm", "agents"}, path


def test_agents_is_a_source_root() -> None:
    assert not (ROOT / "agents" / "__init__.py").exists()
    assert not (ROOT / "tests" / "agents").exists()


def test_the_lambda_entry_is_one_screen() -> None:
    assert len((ROOT / "handler" / "api.py").read_text().splitlines()) < 75


def test_every_setting_is_documented_and_no_other() -> None:
    table = (ROOT / "docs" / "settings.md").read_text()
    listed = set(
        re.findall(r"`([A-Z][A-Z_]+)`", "\n".join(row.split("|")[1] for row in table.splitlines() if "|" in row))
    )
    known = {name.upper() for name in Settings.model_fields}
    assert listed == known | {"PORT"}


def test_every_make_command_that_is_named_exists() -> None:
    text = "\n".join(path.read_text() for path in PAGES)
    for command in re.findall(r"`(?:[A-Z_]+=\S+ )?make ([a-z0-9-]+)", text):
        assert re.search(rf"^{command}:", MAKEFILE, re.MULTILINE), command


def test_the_table_of_patterns_is_whole() -> None:
    from benchmarks.patterns import PATTERNS

    page = (ROOT / "docs" / "event-loop.md").read_text()
    for name in PATTERNS:
        assert f"| {name.replace('_', ' ')} |" in page


def test_what_is_named_is_what_is_locked() -> None:
    locked = set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    named = re.findall(r"^([^#\s]+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert {re.sub(r"\[.*?\]", "", pin) for pin in named} <= locked


def test_pins_are_exact_and_hashed() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^([a-z0-9].*)$", text, re.MULTILINE)
        assert pins
        assert all("==" in pin for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins)
        assert "://" not in text


def prose(page: str) -> list[str]:
    """The lines of a document without its code blocks, tables, and what a benchmark writes between two marks."""
    page = re.sub(r"^ *```.*?^ *```|^<!-- table.*?^<!-- end", "", page, flags=re.DOTALL | re.MULTILINE)
    return [line for line in page.splitlines() if not line.startswith("|")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_lines_of_documents_are_at_most_120_wide(path: Path) -> None:
    assert [line for line in prose(path.read_text()) if len(line) > 120] == []
