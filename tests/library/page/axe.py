"""axe-core in a tab: what a screen reader's user would stumble over."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.library.paths import ROOT

_AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """Return a line for each element that breaks a rule."""
    if not _AXE.exists():
        pytest.skip("no axe-core: make node_modules")
    page.evaluate(f"window.axe || (() => {{ {_AXE.read_text()} }})()")
    found: dict[str, Any] = page.evaluate(
        "tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", _TAGS
    )
    return [
        f"{rule['id']}: {node['html'][:200]} ({node['failureSummary'].splitlines()[-1].strip()})"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
