"""The findings of `make bundle`, so that a start on Lambda imports no agency.

Shape: name -> {"variables": required ones, "description": see `describe`, or null}.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from agency_lambda.catalogue import missing_variables

FILE = Path(__file__).with_name("manifest.json")


@cache
def _read() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text())) if FILE.exists() else {}


def lacking(name: str) -> list[str]:
    """Return required variables with neither value nor secret."""
    known = _read().get(name)
    names = known["variables"] if known else []
    return [name for name in names if not missing_variables.is_set(name, os.environ)]


def not_configured() -> dict[str, list[str]]:
    return {name: missing for name in _read() if (missing := lacking(name))}


def description(name: str) -> dict[str, Any] | None:
    known = _read().get(name)
    return known["description"] if known else None
