"""Where the library's tests find the code, and their own agencies."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ROOT / "tests" / "library" / "agents"
PYTHONPATH = os.pathsep.join(map(str, (ROOT, ROOT / "src", AGENTS)))
