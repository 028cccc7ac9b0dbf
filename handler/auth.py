"""Who may call: a key names its owner, and without a key only GET /health is answered.

`python -m handler.auth OWNER` makes a key. The service knows keys only by their SHA-256: they are 256 random bits,
which no slower hash would make harder to guess.
"""

import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Collection
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from handler.error_answers import answer
from handler.errors import HostNotAllowed, Unauthenticated
from handler.settings import OWNER, Settings

LOCAL = "local"  # who calls where nobody needs a key
_THIS_MACHINE = re.compile(rb"(localhost\.?|127\.0\.0\.1|\[::1\])(:\d*)?", re.IGNORECASE)
_MADE = """\
The key, shown only this once:

    {key}

Add this pair to API_KEYS (pairs are separated by commas, and an owner may have several keys):

    {owner}:{digest}

Call with it: curl -H "Authorization: Bearer $KEY" localhost:8000/agencies"""


class Authentication:
    """ASGI middleware: 401 without a known key; with AUTH=none, 403 for what does not come from this machine.

    Sets ``scope["state"]["owner"]``. `open_paths` may be read without a key.
    """

    def __init__(self, app: ASGIApp, settings: Settings, open_paths: Collection[str]) -> None:
        self._app, self._settings, self._open_paths = app, settings, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_open(scope):
            return await self._app(scope, receive, send)
        key = _bearer(scope)
        try:
            owner = self._owner_of(key) if self._settings.auth == "keys" else _local(scope)
        except HostNotAllowed as error:
            response = answer(scope, error)
        except Unauthenticated as error:
            challenge = 'Bearer error="invalid_token"' if key else "Bearer"
            response = answer(scope, error, {"www-authenticate": challenge})
        else:  # a copy: what the app's startup left in `state` is everybody's
            return await self._app({**scope, "state": {**scope.get("state", {}), "owner": owner}}, receive, send)
        await response(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return self._settings.auth == "keys" and scope["method"] == "GET" and scope["path"] in self._open_paths

    def _owner_of(self, key: bytes) -> str:
        if not key:
            raise Unauthenticated("A key is needed: send the header `Authorization: Bearer KEY`.")
        digest, found = hashlib.sha256(key).digest(), ""
        for owner, known in self._settings.api_keys:  # all of them: how long it takes tells nobody which is near
            if hmac.compare_digest(digest, known):
                found = owner
        if not found:
            raise Unauthenticated("This key is not known.")
        return found


def _bearer(scope: Scope) -> bytes:
    """The key that was sent. Two headers are joined, as API Gateway does, and are no key that anybody has."""
    sent = b",".join(value for name, value in scope["headers"] if name == b"authorization")
    scheme, _, key = sent.strip().partition(b" ")
    return bytes(key.strip()) if scheme.lower() == b"bearer" else b""


def _local(scope: Scope) -> str:
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


async def owner(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]
) -> str:
    """Whose data a request may see. (HTTPBearer only tells the OpenAPI document that a key is needed.)"""
    found: str = request.state.owner
    return found


Owner = Annotated[str, Depends(owner)]


def main() -> None:
    """Make a key for the owner that the command line names."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if not OWNER.fullmatch(name):
        sys.exit("No key made: write `make key OWNER=name`, the name as 1 to 64 of a-z A-Z 0-9 _ . @ -")
    key = f"al_{secrets.token_urlsafe(32)}"
    print(_MADE.format(key=key, owner=name, digest=hashlib.sha256(key.encode()).hexdigest()))


if __name__ == "__main__":
    main()
