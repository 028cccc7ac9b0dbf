"""agency_swarm and litellm read a `.env` when they are imported, over the variables that are set. Not here.

The file that they find lies above site-packages, so it is whoever's; and settings were read before. A `load_dotenv()`
in the user's own code works as it is written.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGES = frozenset({"agency_swarm", "litellm"})  # agency-swarm 1.11, litellm 1.91
_DISABLED = "PYTHON_DOTENV_DISABLED"  # python-dotenv's own switch


def disable() -> None:
    """Disable it for the modules that are not imported yet. Call it when every other finder is in place."""
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
    own = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        before = os.environ.get(_DISABLED)
        os.environ[_DISABLED] = "1"
        try:
            own(module)
        finally:
            if before is None:
                del os.environ[_DISABLED]
            else:
                os.environ[_DISABLED] = before

    loader.exec_module = exec_module
