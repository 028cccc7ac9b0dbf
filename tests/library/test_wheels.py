"""`make wheel`: the four packages can be installed and used without this repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agency_lambda import __version__

ROOT = Path(__file__).parents[2]
PACKAGES = ("agency_lambda", "agency_lambda_cdk", "deferred_imports", "lambda_loop")
CODE = """\
import importlib.metadata, pathlib, {package} as package
for name in package.__all__:
    getattr(package, name)
folder = pathlib.Path(package.__file__).parent
print(folder.parent, (folder / "py.typed").exists(), importlib.metadata.version("{package}"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four wheels and nothing that they need."""
    folder = tmp_path_factory.mktemp("wheels")
    code = f"import pathlib, wheels; wheels.main(pathlib.Path({str(folder / 'wheels')!r})); print(wheels.uv())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / root) for root in ("src", "scripts"))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *wheels, uv = done.stdout.split()
    assert len(wheels) == len(PACKAGES)
    options = ["-q", "--offline", "--no-deps", "--python", sys.executable, "--target", str(folder / "site")]
    subprocess.run([uv, "pip", "install", *options, *wheels], check=True)
    return folder / "site"


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_has_the_public_names_their_types_and_the_version(installed: Path, package: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", CODE.format(package=package)]
    done = subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(installed), "True", __version__]


def test_wheel_has_the_page(installed: Path) -> None:
    def files(packages: Path) -> dict[str, bytes]:
        folder = packages / "agency_lambda" / "page"
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return {name: content for name, content in found.items() if name != "README.md"}

    assert files(installed) == files(ROOT / "src")


@pytest.mark.parametrize("package", PACKAGES)
def test_package_says_what_it_is_in_15_lines(package: str) -> None:
    lines = (ROOT / "src" / package / "README.md").read_text().splitlines()
    assert lines[0].replace("-", "_") == f"# {package}"
    assert len(lines) <= 15
    assert [line for line in lines if line.startswith("```")]
