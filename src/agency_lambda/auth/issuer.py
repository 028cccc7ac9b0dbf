"""The keys with which an OpenID issuer signs (https://openid.net/specs/openid-connect-discovery-1_0.html)."""

import json
import time
from typing import Any

import httpx
import jwt

from agency_lambda.errors import IssuerUnavailable
from agency_lambda.protocol.bounds import check_structure
from agency_lambda.refreshing_cache import RefreshingCache
from agency_lambda.validators import private_url

ALGORITHMS = ("RS256", "ES256")  # never one whose key signs and verifies: everybody has the keys that are published
_KEEP = 300.0  # seconds
_AGAIN = 30.0  # seconds between two questions for a key that is not there: anybody can name one
_TIMEOUT = httpx.Timeout(3.0)
_DOCUMENT = 500_000  # bytes of one of its documents
_LONGEST = 6.0  # seconds for one of them, however slowly it comes
_KEYS = 100  # that it may publish: each is parsed, with every attempt at an unknown one


class Issuer:
    """url: as it is in tokens, and in the issuer's own discovery document."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys = RefreshingCache(f"the keys of {url}", lambda: _keys(url), _unavailable, _KEEP)

    async def key(self, kid: Any) -> jwt.PyJWK | None:
        """The key with this id.

        Raises:
            IssuerUnavailable: see there.
        """
        if not isinstance(kid, str):
            return None
        keys = await self._keys.get()
        return keys.get(kid) or (await self._keys.get(_AGAIN)).get(kid)


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable("Tokens cannot be checked at the moment. The log says why.")


def _keys(url: str) -> dict[str, jwt.PyJWK]:
    with httpx.Client(timeout=_TIMEOUT) as client:
        described = _document(client, f"{url.rstrip('/')}/.well-known/openid-configuration")
        if described.get("issuer") != url:
            raise ValueError("The discovery document is of another issuer.")
        published = _document(client, private_url(str(described.get("jwks_uri")))).get("keys", [])
    if len(published) > _KEYS:
        raise ValueError(f"More than {_KEYS} keys are published.")
    found = {str(key.key_id): key for key in map(_key, published) if key}
    if not found:
        raise ValueError(f"None of the published keys is for {' or '.join(ALGORITHMS)}.")
    return found


def _document(client: httpx.Client, url: str) -> dict[str, Any]:
    """Fetch a JSON object that is neither large nor slow, and not compressed, so that it does not grow."""
    began, text = time.monotonic(), bytearray()
    with client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            text += chunk
            if len(text) > _DOCUMENT or time.monotonic() - began > _LONGEST:
                raise ValueError(f"{url} has more than {_DOCUMENT:,} bytes, or takes longer than {_LONGEST} seconds.")
    check_structure(bytes(text))
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no JSON object.")
    return found


def _key(published: Any) -> jwt.PyJWK | None:
    """One of the keys; None for what is for something else, or of a kind that is not taken here."""
    try:
        key = jwt.PyJWK(published)
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
        return None
    usable = key.key_id and key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS
    return key if usable else None
