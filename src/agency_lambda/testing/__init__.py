"""Test agencies: `agencies` has promises about each in `agents/`. Nothing here is shipped to Lambda."""

from importlib.util import find_spec
from pathlib import Path
from sysconfig import get_path

import pytest

_agents = find_spec("agents")
if _agents is None or not Path(str(_agents.origin)).resolve().is_relative_to(Path(get_path("purelib")).resolve()):
    where = _agents and _agents.origin
    raise ImportError(f"`agents` must be OpenAI's Agents SDK, and is {where}: delete agents/__init__.py")

pytest.register_assert_rewrite(f"{__name__}.agencies", f"{__name__}.replay")
