"""The document with a path of each agency, by which agentswarm-cli finds them."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

_PATH = "/{agency}/get_metadata"


def with_agencies(document: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the document as it is where the routes of Agency Swarm are off."""
    if _PATH not in document["paths"]:
        return document
    # The operation has its name for all agencies together.
    operation = {k: v for k, v in document["paths"][_PATH]["get"].items() if k not in ("operationId", "parameters")}
    own = {_PATH.replace("{agency}", quote(name, safe="")): {"get": operation} for name in names}
    return {**document, "paths": {**document["paths"], **own}}
