"""What makes templates needs Node: aws-cdk-lib runs in it as soon as it is imported."""

import shutil
from pathlib import Path
from typing import Any

import pytest

_MAKE_TEMPLATES = ("test_environments.py", "test_promises.py", "test_template.py")


class _NeedsNode(pytest.Module):
    def collect(self) -> Any:
        pytest.skip(f"{self.path.name} needs Node, which is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    if module_path.name in _MAKE_TEMPLATES and shutil.which("node") is None:
        skipped: pytest.Module = _NeedsNode.from_parent(parent, path=module_path)
        return skipped
    return None
