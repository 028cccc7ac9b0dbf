"""Where a person signs in at JWT_ISSUER."""

from functools import cache

from agency_lambda.auth.issuer import fetch_endpoints
from agency_lambda.errors import IssuerUnavailable
from agency_lambda.refreshing_cache import RefreshingCache

_TTL = 3600.0  # seconds: an issuer's endpoints hardly ever change
_PATIENCE = 1.0  # seconds that the page waits for the issuer: without it a token can be pasted


async def endpoints(issuer: str) -> dict[str, str]:
    """Return the URLs by their names in the discovery document, or {} if the issuer does not answer soon."""
    try:
        return await _endpoints(issuer).get()
    except IssuerUnavailable:
        return {}


@cache
def _endpoints(issuer: str) -> RefreshingCache[dict[str, str]]:
    def fetch() -> dict[str, str]:
        return fetch_endpoints(issuer, _PATIENCE)

    def unavailable() -> IssuerUnavailable:
        return IssuerUnavailable("Nobody can sign in at the moment. The log says why.")

    return RefreshingCache(f"the endpoints of {issuer}", fetch, unavailable, _TTL)
