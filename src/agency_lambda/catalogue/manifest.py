"""What `make bundle` has found out about the agencies, so that a start on Lambda need not import them.

The file holds name -> {"variables": names of environment variables without which it cannot be built, "description":
see `describe`; null where it could not be built}. There is none in a checkout.
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
    """Return the variables that an agency needs and the environment has neither as a value nor as a secret's name."""
    known = _read().get(name)
    names = known["variables"] if known else []
    return [name for name in names if not missing_variables.is_set(name, os.environ)]


def not_configured() -> dict[str, list[str]]:
    """Return the agencies that lack environment variables: name -> variables."""
    return {name: missing for name in _read() if (missing := lacking(name))}


def description(name: str) -> dict[str, Any] | None:
    """Return what `describe` said when the bundle was made."""
    known = _read().get(name)
    return known["description"] if known else None
