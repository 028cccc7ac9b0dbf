"""What CI, pre-commit and an upgrade run are the commands that a person runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = ROOT / ".github" / "workflows"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def commands(name: str) -> list[str]:
    jobs = read(WORKFLOWS / name)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_pre_commit_downloads_nothing_and_runs_a_part_of_make_check() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        target = hook["entry"].removeprefix("make ")
        assert re.search(rf"^{target}: ", MAKEFILE, re.MULTILINE)
        assert re.search(rf"^check: {target}\b", MAKEFILE, re.MULTILINE)


def test_workflows_run_the_adopters_promises_always_and_the_librarys_where_it_changed() -> None:
    assert commands("test.yml") == ["make check", "make test-agents", "make e2e"]
    assert commands("library.yml") == [".ci/run"]
    assert read(WORKFLOWS / "deploy.yml")["jobs"]["check"]["uses"] == "./.github/workflows/test.yml"
    triggers = read(WORKFLOWS / "library.yml")[True]  # `on` is a boolean in YAML 1.1
    assert triggers["push"]["paths"] == triggers["pull_request"]["paths"]
    for pattern in triggers["push"]["paths"]:
        assert list(ROOT.glob(pattern)), pattern


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_issue_form_has_what_github_asks_for(path: Path) -> None:
    form = read(path)
    if path.name != "config.yml":
        assert {"name", "description", "body"} <= form.keys()
        assert len({field["id"] for field in form["body"]}) == len(form["body"])
        assert all(field["attributes"]["label"] for field in form["body"])


@pytest.mark.parametrize("subject", ["Set up", "Test one thing", "Add a route", "Release"])
def test_contributing_says_how_to(subject: str) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert f"\n## {subject}\n" in page


def test_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:src|docs|tests|handler|infra|agents|benchmarks)/[\w./]*)`", text)
    assert len(named) > 5
    for name in named:
        assert (ROOT / name).exists(), name
