"""AUTH=none: nobody needs a key, and only this machine is answered."""

import re
from ipaddress import ip_address

from starlette.types import Scope

from agency_lambda.errors import HostNotAllowed

LOCAL = "local"  # whose everything is
_THIS_MACHINE = re.compile(rb"(localhost\.?|127\.0\.0\.1|\[::1\])(:\d*)?", re.IGNORECASE)


async def authenticate_localhost(scope: Scope) -> str:
    """See `Caller`.

    Raises:
        HostNotAllowed: it comes from elsewhere, or calls us by another name.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if all(_THIS_MACHINE.fullmatch(host.strip()) for host in hosts) and not _is_remote(scope):
        return LOCAL
    raise HostNotAllowed(
        "Nobody needs a key here (AUTH=none), so only localhost is answered: any web page could reach this service "
        "under a name of its own (DNS rebinding). Call localhost, or set AUTH=keys and API_KEYS."
    )


def _is_remote(scope: Scope) -> bool:
    """Whether the connection is another machine's; a Host header is only what it says."""
    try:
        return not ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:  # a socket file, or an event that does not say
        return False
