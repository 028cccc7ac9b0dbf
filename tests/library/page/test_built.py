"""The page in the service is what `make page` builds of src/page and of the packages that package-lock.json pins."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.library.paths import ROOT

SCRIPT = ROOT / "scripts" / "page.mjs"
BUILT = ROOT / "src" / "agency_lambda" / "page"
PACKAGES = re.findall(r'"([^"]+)"', re.findall(r"PACKAGES = \[(.*?)\]", SCRIPT.read_text())[0])


def version(package: str) -> str:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    return str(lock["packages"][f"node_modules/{package}"]["version"])


@pytest.mark.skipif(
    not shutil.which("node") or not (ROOT / "node_modules" / "esbuild").exists(), reason="needs Node and npm ci"
)
def test_a_new_build_gives_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run(["node", str(SCRIPT), str(tmp_path / "page")], check=True, cwd=ROOT)
    made = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    assert made == {path.name: path.read_bytes() for path in BUILT.iterdir()}, "`make page` builds it"


def test_what_is_served_is_small_and_few() -> None:
    served = {path.name: path.stat().st_size for path in BUILT.iterdir() if path.name != "LICENCES.txt"}
    assert sum(served.values()) <= 300_000, served
    assert len(served) <= 10


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_named_with_its_version_and_licence(package: str) -> None:
    named = f"{package} {version(package)}"
    assert re.search(rf"^{re.escape(named)}$", (BUILT / "LICENCES.txt").read_text(), re.MULTILINE)
    assert f"| {named} | " in (ROOT / "docs" / "page.md").read_text()
