"""Where a webhook may point: https on public addresses, and on a developer's machine loopback."""

import asyncio
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>[/?][!\"$-~]*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # outside of it are multicast, and what stands for an IPv4 address
_NOT_PUBLIC = (IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))  # is_global lets both through
_LOOKUPS_AT_ONCE = 16  # a lookup that hangs cannot be ended
_lookups = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, "lookup")


class AddressRefused(Exception):
    """The name has no address, or one that may not be asked."""


@dataclass(frozen=True)
class Target:
    """host: a name, or an address without brackets. path: with the query."""

    is_secure: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.is_secure else "http"] else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Raises ValueError, which says what to write."""
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("must be https://HOST/PATH, in ASCII, without user, password and fragment")
    scheme, host = match["scheme"].lower(), (match["address"] or match["name"]).lower()
    if scheme == "http" and not (_allows_loopback() and _is_loopback(host)):
        raise ValueError("must be https://")
    port = int(match["port"] or _PORTS[scheme])
    if port not in (443, *range(1024, 65536)) and not (scheme == "http" and port == _PORTS["http"]):
        raise ValueError("has a port that is neither 443 nor from 1024 to 65535")
    path = match["path"] or "/"
    target = Target(scheme == "https", host, port, path if path.startswith("/") else f"/{path}")
    _refuse_literal(target)
    return target


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # it is a name
        return host == "localhost"


def _refuse_literal(target: Target) -> None:
    try:
        is_allowed = _is_allowed(str(ip_address(target.host)), is_secure=target.is_secure)
    except ValueError:  # it is a name
        return
    if not is_allowed:
        raise ValueError("is not at a public address")


async def resolve(target: Target) -> list[str]:
    """Return the addresses of a target, each of which may be asked. Raises AddressRefused."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(_lookups, _look_up, target)
    except (OSError, UnicodeError):
        raise AddressRefused("The host has no address.") from None
    # One that is private among public ones is a trap, or a mistake.
    if not all(_is_allowed(address, is_secure=target.is_secure) for address in found):
        raise AddressRefused("The host is not at a public address.")
    return found


def _look_up(target: Target) -> list[str]:
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_allowed(address: str, *, is_secure: bool) -> bool:
    ip = ip_address(address)
    if _allows_loopback() and ip.is_loopback:
        return True
    is_unicast = not ip.is_multicast if ip.version == 4 else ip in _GLOBAL_UNICAST
    return is_secure and ip.is_global and is_unicast and not any(ip in network for network in _NOT_PUBLIC)


def _allows_loopback() -> bool:
    return "AWS_LAMBDA_FUNCTION_NAME" not in os.environ
