"""What the service itself says of the code in `agents/`: it builds every agency, in a process of its own.

First without the variables of this shell, so that what an agency lacks is found wherever the bundle is made; and only
where it cannot be built so, with them.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.bundle_sources import ROOT, BundleError

MANIFEST = Path("handler", "catalogue", "manifest.json")  # in the bundle; read by handler/catalogue/manifest.py
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
_ALWAYS = {
    "PYTHON_DOTENV_DISABLED": "1",  # no .env is in the bundle
    "AWS_REGION": "us-east-1",  # Lambda always has one, and AWS's clients ask for it when they are made
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Agencies:
    """manifest: see handler/catalogue/manifest.py. files: that were imported. roots: folders of siblings."""

    manifest: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)


def survey() -> Agencies:
    """Build every agency.

    Raises:
        BundleError: one of them cannot run, or the service cannot be imported.
    """
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    found = _survey(kept)
    if found.problems and (again := _survey(dict(os.environ))) and not again.problems:
        print("With variables of this shell only: " + "; ".join(found.problems), file=sys.stderr)
        return again
    if found.problems:
        raise BundleError("\n".join(found.problems))
    return found


def _survey(variables: dict[str, str]) -> Agencies:
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'agents'}"}
    with TemporaryDirectory() as folder:
        target = Path(folder, "found.json")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "handler.catalogue", str(target)],
            cwd=ROOT,
            env={**variables, **_ALWAYS, **paths},
            stdout=subprocess.DEVNULL,  # an agency may print
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode or not target.exists():
            raise BundleError(f"the agencies could not be checked: {done.stderr.strip()}")
        return Agencies(**json.loads(target.read_text()))


def lacking(bundle: Path) -> dict[str, list[str]]:
    """Return agency -> environment variables without which it cannot be built, from a bundle's manifest."""
    manifest: dict[str, Any] = json.loads((bundle / MANIFEST).read_text())
    return {name: known["variables"] for name, known in manifest.items() if known["variables"]}
