"""Fail where changelog, record and package have different versions."""

import re
import sys
from pathlib import Path

from agency_lambda import __version__

changelog = re.search(r"^## (\S+)", Path("CHANGELOG.md").read_text(), re.MULTILINE)
recorded = Path(".agency-lambda-version").read_text().split()[0]
if not changelog or {changelog.group(1), recorded.removeprefix("v")} != {__version__}:
    sys.exit(f"src/agency_lambda says {__version__}, CHANGELOG.md {changelog and changelog[1]}, the record {recorded}")
