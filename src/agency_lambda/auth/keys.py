"""AUTH=keys: a key names its owner.

The service knows keys only by their SHA-256: they are 256 random bits, which no slower hash would make harder to guess.
"""

import hashlib
import hmac

from starlette.types import Scope

from agency_lambda.auth.bearer import bearer_credentials
from agency_lambda.errors import InvalidCredentials, Unauthenticated
from agency_lambda.refreshing_cache import RefreshingCache
from agency_lambda.settings import ConfigurationError, Settings
from agency_lambda.validators import api_keys

type Known = tuple[tuple[str, bytes], ...]


class KeyAuthenticator:
    """See `Caller`. The keys are those of API_KEYS, or of the secret that API_KEYS_SECRET names."""

    def __init__(self, settings: Settings) -> None:
        self._known = settings.api_keys
        self._secret: RefreshingCache[Known | None] | None = None
        if settings.api_keys_secret:
            from agency_lambda.secrets import secret  # and boto3, only where there is one

            self._secret = secret(settings.api_keys_secret, api_keys)
        elif not settings.api_keys:
            raise ConfigurationError(
                "AUTH is keys (on Lambda it is, if nothing else is said) but neither API_KEYS nor API_KEYS_SECRET is "
                "set: `make key OWNER=name` makes a key, and prints what to put there"
            )

    async def __call__(self, scope: Scope) -> str:
        key = bearer_credentials(scope)
        if not key:
            raise Unauthenticated("A key is needed: send the header `Authorization: Bearer KEY`.")
        digest, found = hashlib.sha256(key).digest(), ""
        known = await self._secret.get() or () if self._secret else self._known
        for owner, each in known:  # all of them: how long it takes tells nobody which is near
            if hmac.compare_digest(digest, each):
                found = owner
        if not found:
            raise InvalidCredentials("This key is not known.")
        return found
