"""What `make bundle` has found out about the agencies, so that a start on Lambda need not import them.

The file holds name -> {"variables": names of environment variables without which it cannot be built, "description":
see `describe`; null where it could not be built}. There is none in a checkout.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("manifest.json")


@cache
def _read() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text())) if FILE.exists() else {}


def lacking(name: str) -> list[str]:
    """Return the variables that an agency needs and the environment does not have."""
    known = _read().get(name)
    return [variable for variable in known["variables"] if variable not in os.environ] if known else []


def description(name: str) -> dict[str, Any] | None:
    """Return what `describe` said when the bundle was made."""
    known = _read().get(name)
    return known["description"] if known else None
