"""Cloud assemblies, as `cdk synth` makes them; each context once (a synth takes seconds)."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class Refused(Exception):
    """`cdk synth` ended with this sentence."""


@dataclass(frozen=True)
class Assembly:
    """The templates of one environment. data, service: logical id -> resource."""

    folder: Path
    name: str

    @property
    def data(self) -> dict[str, Any]:
        return self._resources(f"agency-lambda-{self.name}-data")

    @property
    def service(self) -> dict[str, Any]:
        return self._resources(f"agency-lambda-{self.name}")

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = self._template(f"agency-lambda-{self.name}")["Outputs"]
        return found

    def of_type(self, kind: str) -> dict[str, Any]:
        """Logical id -> properties, in both stacks."""
        every = {**self.data, **self.service}
        return {name: each.get("Properties", {}) for name, each in every.items() if each["Type"] == kind}

    def text(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.template.json")))

    def _resources(self, stack: str) -> dict[str, Any]:
        found: dict[str, Any] = self._template(stack)["Resources"]
        return found

    def _template(self, stack: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{stack}.template.json").read_text())
        return found


def synth(**context: Any) -> Assembly:
    """With `-c name=value` for each, and as NAME=value in the environment where it is written so.

    (-O: see requirements-overrides.in.)

    Raises:
        Refused: with what was printed.
    """
    given = {name: _typed(value) for name, value in context.items()}
    return _synth(
        json.dumps({name: value for name, value in given.items() if name.islower()}, sort_keys=True),
        tuple((name, value) for name, value in given.items() if name.isupper()),
    )


def _typed(value: Any) -> str:
    """The command line gives text, of everything."""
    return value if isinstance(value, str) else json.dumps(value)


@cache
def _synth(context: str, variables: tuple[tuple[str, str], ...]) -> Assembly:
    folder = Path(tempfile.mkdtemp(prefix="cdk.out-"))
    done = subprocess.run(
        [sys.executable, "-O", "-m", "infra.app"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": ".:src",
            "CDK_OUTDIR": str(folder),
            "CDK_CONTEXT_JSON": context,
            **dict(variables),
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return Assembly(folder, json.loads(context).get("environment", "dev"))
