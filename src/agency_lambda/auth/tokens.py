"""AUTH=jwt: an OpenID issuer signs who calls."""

from typing import Any

import jwt
from starlette.types import Scope

from agency_lambda.auth.bearer import bearer_credentials
from agency_lambda.auth.issuer import ALGORITHMS, Issuer
from agency_lambda.auth.owners import owner_name
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

    async def __call__(self, scope: Scope) -> str:
        token = bearer_credentials(scope)
        if not token:
            raise Unauthenticated("A token is needed: send the header `Authorization: Bearer TOKEN`.")
        if len(token) > _MAX_TOKEN:
            raise InvalidCredentials("This token is not valid here.")
        try:
            key = await self._issuer.key(jwt.get_unverified_header(token).get("kid"))
            subject = self._verified_claims(token, key)["sub"] if key else ""
        except jwt.PyJWTError:
            subject = ""
        if not subject:
            raise InvalidCredentials("This token is not valid here.")
        return owner_name(subject)

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
