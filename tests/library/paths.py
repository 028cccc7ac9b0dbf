"""Where the library's tests find the code, and their own agencies."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
AGENTS = Path(__file__).with_name("agents")
PYTHONPATH = os.pathsep.join(map(str, (ROOT, ROOT / "src", AGENTS)))
