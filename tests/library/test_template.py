"""What the template brings for an adopter to change: README, owners of paths, workflows, forms."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from tests.library.test_house import prose
from tests.library.test_upgrade import IS_TEMPLATE, tracked

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = ROOT / ".github" / "workflows"
pytestmark = pytest.mark.skipif(not IS_TEMPLATE, reason="this is an adopter's copy, whose files are their own")


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


def test_every_path_has_an_owner_and_every_row_a_path() -> None:
    code = "import json, sys, upgrade; print(json.dumps(upgrade.read_owners(sys.stdin.read())))"
    page = (ROOT / "docs/upgrade.md").read_text()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], input=page, env=environment, capture_output=True, text=True)
    owners = json.loads(done.stdout)
    paths = [PurePosixPath(path) for path in tracked()]
    assert set(owners.values()) == {"adopter", "library"}
    without = [str(path) for path in paths if not any(path.full_match(pattern) for pattern in owners)]
    assert not without, "add a row to docs/upgrade.md; in your copy: its template's URL to .agency-lambda-version"
    assert [pattern for pattern in owners if not any(path.full_match(pattern) for path in paths)] == []


def test_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 100
    assert len(text.split()) <= 750


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md"])
def test_pages_are_at_most_120_wide_and_name_commands_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    assert [line for line in prose(text) if len(line) > 120] == []
    for command in re.findall(r"`(?:[A-Z_]+=\S+ )?make ([a-z0-9-]+)", text):
        assert re.search(rf"^{command}:", MAKEFILE, re.MULTILINE), command
