"""Keeps agency_swarm and litellm from reading a `.env` when they are imported; `load_dotenv()` works."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGES = frozenset({"agency_swarm", "litellm"})  # agency-swarm 1.11, litellm 1.91
_DISABLED = "PYTHON_DOTENV_DISABLED"  # python-dotenv's own switch


def disable() -> None:
    """Install the import hook, after all other finders."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in PACKAGES:
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not _Finder)
        spec = next((spec for spec in found if spec), None)
        if spec and spec.loader:
            _wrap(spec.loader)
        return spec


def _wrap(loader: Any) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        before = os.environ.get(_DISABLED)
        os.environ[_DISABLED] = "1"
        try:
            execute(module)
        finally:
            if before is None:
                del os.environ[_DISABLED]
            else:
                os.environ[_DISABLED] = before

    loader.exec_module = exec_module
