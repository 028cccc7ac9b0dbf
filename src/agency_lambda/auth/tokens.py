from typing import Any

import jwt
from starlette.types import Scope

from agency_lambda.auth.bearer import bearer_credentials
from agency_lambda.auth.issuer import ALGORITHMS, Issuer
from agency_lambda.auth.owners import owner_name
from agency_lambda.auth.principal import Principal
from agency_lambda.errors import InvalidCredentials, Unauthenticated
from agency_lambda.settings import ConfigurationError, Settings

_LEEWAY = 30  # seconds that two clocks may differ
_MAX_TOKEN = 16_384  # bytes; gateways take less, and decoding costs time


class TokenAuthenticator:
    """Authenticates with a token of JWT_ISSUER for JWT_AUDIENCE; its `sub` is the owner."""

    def __init__(self, settings: Settings) -> None:
        if settings.jwt_issuer is None or settings.jwt_audience is None:
            raise ConfigurationError("JWT_ISSUER and JWT_AUDIENCE are needed with AUTH=jwt")
        self._issuer, self._audience = Issuer(settings.jwt_issuer), settings.jwt_audience
        self._operator_claim = settings.jwt_operator_claim

    async def __call__(self, scope: Scope) -> Principal:
        token = bearer_credentials(scope)
        if not token:
            raise Unauthenticated("A token is needed: send the header `Authorization: Bearer TOKEN`.")
        if len(token) > _MAX_TOKEN:
            raise InvalidCredentials("This token is not valid here.")
        try:
            key = await self._issuer.key(jwt.get_unverified_header(token).get("kid"))
            claims = self._verified_claims(token, key) if key else {}
        except jwt.PyJWTError:
            claims = {}
        if not claims.get("sub"):
            raise InvalidCredentials("This token is not valid here.")
        return Principal(owner_name(claims["sub"]), _is_operator(claims, self._operator_claim))

    def _verified_claims(self, token: bytes, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,  # it names its one algorithm
            algorithms=ALGORITHMS,
            issuer=self._issuer.url,
            audience=self._audience,
            leeway=_LEEWAY,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )


def _is_operator(claims: dict[str, Any], operator_claim: str | None) -> bool:
    """operator_claim: NAME, which must be true, or NAME=VALUE, where NAME may also be a list with VALUE."""
    if operator_claim is None:
        return False
    name, has_value, value = operator_claim.partition("=")
    claim = claims.get(name)
    if not has_value:
        return claim is True
    if isinstance(claim, list):
        return value in claim
    return isinstance(claim, str) and value in (claim.split(" ") if name == "scope" else [claim])
