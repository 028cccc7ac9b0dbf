"""Make a wheel of each package in src/, in build/wheels: `make wheel`. uv's own build backend needs no network."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from agency_lambda import __version__

ROOT = Path(__file__).parents[1]
PACKAGES: dict[
    str, list[str]
] = {  # package -> what it needs: our own packages, and others, whose pins requirements*.in have
    "deferred_imports": [],
    "lambda_loop": ["mangum", "nest-asyncio", "snapshot-restore-py"],
    "agency_lambda": [
        *("deferred_imports", "lambda_loop", "agency-swarm", "openai", "fastapi", "aws-lambda-powertools", "boto3"),
        *("pydantic-settings", "httpx", "pyjwt[crypto]", "snapshot-restore-py"),
    ],
    "agency_lambda_cdk": ["aws-cdk-lib", "cdk-nag", "pydantic"],
}
PROJECT = """\
[project]
name = "{name}"
version = "{version}"
description = {description}
readme = "README.md"
license = "MIT"
license-files = ["LICENSE"]
requires-python = ">=3.13"
dependencies = {dependencies}

[build-system]
requires = ["uv_build=={uv}"]
build-backend = "uv_build"
"""


def main(folder: Path) -> None:
    """Make the wheels in a folder that becomes empty first."""
    shutil.rmtree(folder, ignore_errors=True)
    for package in PACKAGES:
        project = folder / "projects" / package
        copy(package, project)
        command = [uv(), "build", "--wheel", "-q", "--offline", "--no-create-gitignore", "-o", str(folder)]
        subprocess.run([*command, str(project)], check=True)
        print(*folder.glob(f"{package}-*.whl"))
    shutil.rmtree(folder / "projects")


def copy(package: str, project: Path) -> None:
    """Write what uv makes a wheel of."""
    source = ROOT / "src" / package
    shutil.copytree(source, project / "src" / package, ignore=shutil.ignore_patterns("__pycache__", "README.md"))
    readme = (source / "README.md").read_text()
    (project / "README.md").write_text(readme)
    shutil.copy(ROOT / "LICENSE", project)
    text = PROJECT.format(
        name=package.replace("_", "-"),
        version=__version__,
        description=json.dumps(re.sub(r"[`*]", "", readme.split("\n\n")[1].partition(". ")[0].replace("\n", " "))),
        dependencies=json.dumps([requirement(name) for name in PACKAGES[package]]),
        uv=subprocess.run([uv(), "--version"], capture_output=True, text=True, check=True).stdout.split()[1],
    )
    (project / "pyproject.toml").write_text(text)


def requirement(name: str) -> str:
    """Return "NAME==VERSION"."""
    if name in PACKAGES:
        return f"{name.replace('_', '-')}=={__version__}"
    named = "\n".join(
        (ROOT / file).read_text() for file in ("requirements.in", "requirements-dev.in", "requirements.txt")
    )
    pins = re.findall(rf"^{re.escape(name)}==\S+", named, re.MULTILINE)
    return str(pins[0])


def uv() -> str:
    return shutil.which("uv") or str(Path(sys.executable).with_name("uv"))


if __name__ == "__main__":
    main(ROOT / "build" / "wheels")
