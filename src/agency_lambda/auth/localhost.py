import re
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from agency_lambda.auth.principal import Principal
from agency_lambda.errors import HostNotAllowed
from agency_lambda.settings import get_settings

LOCAL = "local"  # the owner of everything
_ORIGIN = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_LOCALHOST = re.compile(rb"(localhost\.?|127\.0\.0\.1|\[::1\])(:\d*)?", re.IGNORECASE)


def is_known_origin(origin: str | None) -> bool:
    """Return whether a page of this origin may call, if it is one: of this machine, or of CORS_ORIGINS."""
    return origin is None or origin in get_settings().cors_origins or bool(_ORIGIN.fullmatch(origin))


async def authenticate_localhost(scope: Scope) -> Principal:
    """Return LOCAL, an operator, if peer and Host header are this machine, and no foreign page asks."""
    headers = Headers(scope=scope)
    if not all(map(is_known_origin, headers.getlist("origin"))):  # a browser sends some requests without asking
        raise HostNotAllowed("Pages of this origin may not call (CORS_ORIGINS).")
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if all(_LOCALHOST.fullmatch(host.strip()) for host in hosts) and not _is_remote(scope):
        return Principal(LOCAL, is_operator=True)
    raise HostNotAllowed(
        "Nobody needs a key here (AUTH=none), so only localhost is answered: any web page could reach this service "
        "under a name of its own (DNS rebinding). Call localhost, or set AUTH=keys and API_KEYS."
    )


def _is_remote(scope: Scope) -> bool:
    try:
        return not ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:  # a Unix socket, or a Lambda event, has no address
        return False
