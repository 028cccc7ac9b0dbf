"""The vendored libraries are those that package-lock.json pins, as scripts/vendor_page.mjs makes them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.library.paths import ROOT

SCRIPT = ROOT / "scripts" / "vendor_page.mjs"
VENDOR = ROOT / "src" / "agency_lambda" / "page" / "vendor"
PACKAGES = sorted(
    {each for names in re.findall(r"packages: \[(.*?)\]", SCRIPT.read_text()) for each in re.findall(r'"(.+?)"', names)}
)


def version(package: str) -> str:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    return str(lock["packages"][f"node_modules/{package}"]["version"])


@pytest.mark.skipif(
    not shutil.which("node") or not (ROOT / "node_modules" / "esbuild").exists(), reason="needs Node and npm ci"
)
def test_a_new_build_gives_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run(["node", str(SCRIPT), str(tmp_path)], check=True, cwd=ROOT)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in VENDOR.iterdir()}


@pytest.mark.parametrize("package", PACKAGES)
def test_each_is_named_with_its_version_and_licence(package: str) -> None:
    named = f"{package} {version(package)}"
    assert re.search(rf"^{re.escape(named)}$", (VENDOR / "LICENCES.txt").read_text(), re.MULTILINE)
    assert f"| {named} | " in (ROOT / "docs" / "page.md").read_text()
