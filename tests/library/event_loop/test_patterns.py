"""Every way in which people call an agency from a request: fine, or refused by name, in both modes."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks import patterns
from benchmarks.loop_patterns import verdict


@cache
def outcomes(mode: str) -> dict[str, dict[str, Any]]:
    """All patterns of a mode, run as the benchmark runs them: in a process that nothing has patched before."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.loop_patterns", mode]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, timeout=240)
    return {outcome["pattern"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("pattern", patterns.PATTERNS)
def test_patch_mode_runs_it(pattern: str) -> None:
    outcome = outcomes("patch")[pattern]
    assert verdict(outcome).split(",")[0] == "works", outcome
    assert outcome["next"] == 200
    assert outcome["descriptors"] <= 0


@pytest.mark.parametrize("pattern", patterns.PATTERNS)
def test_strict_mode_runs_it_or_refuses_it_by_name_and_line(pattern: str) -> None:
    outcome = outcomes("strict")[pattern]
    assert outcome["next"] == 200
    assert outcome["report"]["nested_entries"] == 0
    assert verdict(outcome).split(",")[0] == ("refused by name and line" if pattern in patterns.STRICT else "works")
    if pattern in patterns.STRICT:
        message = json.loads(outcome["body"])["error"]["message"]
        assert "benchmarks/patterns/" in message
        assert "Write " in message


@pytest.mark.parametrize("pattern", sorted(p for p in patterns.STRICT if not p.startswith("sync_")))
def test_patch_mode_counts_what_strict_mode_refuses(pattern: str) -> None:
    report = outcomes("patch")[pattern]["report"]
    assert report["nested_entries"] >= 1
    assert "benchmarks/patterns/" in report["nested"][0]["place"]


def test_the_chain_of_awaits_needs_no_patch() -> None:
    for pattern in (p for p in patterns.PATTERNS if p.startswith("await_")):
        assert outcomes("patch")[pattern]["report"]["nested_entries"] == 0
