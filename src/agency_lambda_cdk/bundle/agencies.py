"""Build every agency in a process of its own, to learn its description and what it lacks."""

# First without the variables of this shell, so that what an agency lacks is found wherever the bundle is made; and only
# where it cannot be built so, with them.

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agency_lambda_cdk.bundle.sources import AGENTS, ROOT, BundleError

MANIFEST = Path(
    "agency_lambda", "catalogue", "manifest.json"
)  # in the bundle; read by src/agency_lambda/catalogue/manifest.py
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
_SECONDS = 300
_ALWAYS = {
    "PYTHON_DOTENV_DISABLED": "1",  # no .env is in the bundle
    "AWS_REGION": "us-east-1",  # Lambda always has one, and AWS's clients ask for it when they are made
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Agencies:
    """manifest: see agency_lambda/catalogue/manifest.py; problems, doubts, unset: agency_lambda/catalogue/__main__.py.

    files: that were imported. roots: folders of siblings.
    """

    manifest: dict[str, Any]
    problems: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    unset: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)


def survey(agents: Path = AGENTS) -> Agencies:
    """Build every agency of a folder.

    Raises:
        BundleError: one of them cannot run, or the service cannot be imported.
    """
    if (package := agents / "__init__.py").exists():
        raise BundleError(f"delete {package}: `agents` is the import name of OpenAI's Agents SDK")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    found = _survey(agents, kept)
    if found.problems:
        again = _survey(agents, dict(os.environ))
        if again.problems:
            raise BundleError("\n".join(again.problems.values()))
        found = _with_this_shell(found, again)
    for doubt in found.doubts:
        print(doubt, file=sys.stderr)
    return found


def _with_this_shell(found: Agencies, again: Agencies) -> Agencies:
    """Take the agencies that need variables of this shell from `again`, and record which."""
    manifest = dict(found.manifest)
    for name, problem in found.problems.items():
        needs = [variable for variable in found.unset.get(name, ()) if variable in os.environ]
        manifest[name] = {**again.manifest[name], "variables": needs}
        print(f"With variables of this shell only ({', '.join(needs)}): {problem}", file=sys.stderr)
    files = sorted({*found.files, *again.files})
    return replace(found, manifest=manifest, problems={}, files=files, roots=again.roots)


def _survey(agents: Path, variables: dict[str, str]) -> Agencies:
    paths = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src", agents.absolute())))}
    with TemporaryDirectory() as folder:
        target = Path(folder, "found.json")
        done = _run(
            [sys.executable, "-W", "ignore", "-m", "agency_lambda.catalogue", str(target)],
            cwd=ROOT,
            env={**variables, **_ALWAYS, **paths},
            stdout=subprocess.DEVNULL,  # an agency may print
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode or not target.exists():
            raise BundleError(f"the agencies could not be checked: {done.stderr.strip()}")
        return Agencies(**json.loads(target.read_text()))


def _run(command: list[str], **how: Any) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, **how)
    except subprocess.TimeoutExpired:
        raise BundleError(
            f"building the agencies does not come to an end ({_SECONDS} s): does one of them serve?"
        ) from None


def lacking(bundle: Path) -> dict[str, list[str]]:
    """Return agency -> environment variables without which it cannot be built, from a bundle's manifest."""
    manifest: dict[str, Any] = json.loads((bundle / MANIFEST).read_text())
    return {name: known["variables"] for name, known in manifest.items() if known["variables"]}
