"""Where a client of MCP learns who issues its tokens (RFC 9728), for AUTH=jwt."""

from typing import Any

from starlette._utils import get_route_path
from starlette.requests import HTTPConnection
from starlette.types import Scope

from agency_lambda.errors import Unauthenticated

_RESOURCE = "/mcp"
_WELL_KNOWN = "/.well-known/oauth-protected-resource"
OPEN_PATHS = (_WELL_KNOWN, f"{_WELL_KNOWN}{_RESOURCE}")


def metadata(scope: Scope, issuer: str) -> dict[str, Any]:
    return {
        "resource": _absolute(scope, _RESOURCE),
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": "Agencies",
    }


def challenge(scope: Scope, error: Unauthenticated) -> str:
    """Return the header WWW-Authenticate; for clients of MCP it leads to the metadata."""
    if get_route_path(scope) != _RESOURCE:
        return error.challenge
    separator = ", " if " " in error.challenge else " "
    return f'{error.challenge}{separator}resource_metadata="{_absolute(scope, OPEN_PATHS[1])}"'


def _absolute(scope: Scope, path: str) -> str:
    url = HTTPConnection(scope).url
    return f"{url.scheme}://{url.netloc}{scope.get('root_path', '')}{path}"
