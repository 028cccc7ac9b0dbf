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

ALGORITHMS = ("RS256", "ES256")  # asymmetric only: with HS256, whoever has the published key could sign
ENDPOINTS = ("authorization_endpoint", "token_endpoint")  # of the code flow
_TTL = 300.0  # seconds
_TTL_FOR_UNKNOWN_KEY = 30.0  # seconds: anybody can send an unknown key id, and must not make us fetch each time
_TIMEOUT = httpx.Timeout(3.0)
_MAX_DOCUMENT = 500_000  # bytes
_MAX_SECONDS = 6.0  # for one document, however slowly it comes
_MAX_KEYS = 100  # of an issuer: all are parsed again for each unknown key id


class Issuer:
    def __init__(self, url: str) -> None:
        self.url = url  # as tokens and the issuer's discovery document must say it
        self._keys = RefreshingCache(f"the keys of {url}", lambda: _fetch_keys(url), _unavailable, _TTL)

    async def key(self, kid: Any) -> jwt.PyJWK | None:
        """Return the public key with this id. Raises IssuerUnavailable."""
        if not isinstance(kid, str):
            return None
        keys = await self._keys.get()
        return keys.get(kid) or (await self._keys.get(_TTL_FOR_UNKNOWN_KEY)).get(kid)


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable("Tokens cannot be checked at the moment. The log says why.")


def _fetch_keys(url: str) -> dict[str, jwt.PyJWK]:
    with httpx.Client(timeout=_TIMEOUT) as client:
        discovery = _discover(client, url)
        published = _fetch_json(client, private_url(str(discovery.get("jwks_uri")))).get("keys", [])
    if len(published) > _MAX_KEYS:
        raise ValueError(f"More than {_MAX_KEYS} keys are published.")
    keys = {str(key.key_id): key for key in map(_parse_key, published) if key}
    if not keys:
        raise ValueError(f"None of the published keys is for {' or '.join(ALGORITHMS)}.")
    return keys


def fetch_endpoints(url: str, seconds: float) -> dict[str, str]:
    """Return the URLs of ENDPOINTS at an issuer. Raises ValueError or an error of httpx, if it takes longer too."""
    with httpx.Client(timeout=seconds) as client:
        discovery = _discover(client, url, seconds)
    return {name: private_url(str(discovery.get(name))) for name in ENDPOINTS}


def _discover(client: httpx.Client, url: str, seconds: float | None = None) -> dict[str, Any]:
    discovery = _fetch_json(client, f"{url.rstrip('/')}/.well-known/openid-configuration", seconds)
    if discovery.get("issuer") != url:
        raise ValueError("The discovery document is of another issuer.")
    return discovery


def _fetch_json(client: httpx.Client, url: str, seconds: float | None = None) -> dict[str, Any]:
    """Raise ValueError if the object is large or slow."""
    started, text, seconds = time.monotonic(), bytearray(), seconds or _MAX_SECONDS
    # No compression, so that what arrives cannot grow.
    with client.stream("GET", url, headers={"accept-encoding": "identity"}) as response:
        response.raise_for_status()
        for chunk in response.iter_raw():
            text += chunk
            if len(text) > _MAX_DOCUMENT or time.monotonic() - started > seconds:
                raise ValueError(
                    f"{url} has more than {_MAX_DOCUMENT:,} bytes, or takes longer than {seconds} seconds."
                )
    check_structure(bytes(text))
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"{url} is no JSON object.")
    return document


def _parse_key(published: Any) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(published)
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
        return None
    usable = key.key_id and key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS
    return key if usable else None
