"""Cloud assemblies of tests/library/cdk/stacks.py; each context is synthesised once."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from agency_lambda_cdk.testing import synthesize_templates
from tests.library.cdk.stacks import ENVIRONMENTS, add_stacks


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
    """Synthesise with `-c name=value` for each.

    Raises:
        DeploymentError: the environment cannot be deployed.
    """
    return _synth(json.dumps({name: as_text(value) for name, value in context.items()}, sort_keys=True))


def as_text(value: Any) -> str:
    """The command line gives text, of everything."""
    return value if isinstance(value, str) else json.dumps(value)


@cache
def _synth(context: str) -> Assembly:
    found = synthesize_templates(add_stacks, ENVIRONMENTS, json.loads(context))
    return Assembly(found.folder, found.environment.name)
