import re
from ipaddress import ip_address

from starlette.types import Scope

from agency_lambda.auth.principal import Principal
from agency_lambda.errors import HostNotAllowed

LOCAL = "local"  # the owner of everything
_LOCALHOST = re.compile(rb"(localhost\.?|127\.0\.0\.1|\[::1\])(:\d*)?", re.IGNORECASE)


async def authenticate_localhost(scope: Scope) -> Principal:
    """Return LOCAL, an operator, if peer and Host header are this machine."""
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
