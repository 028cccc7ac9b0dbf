import hashlib
import hmac

from starlette.types import Scope

from agency_lambda import validators
from agency_lambda.auth.bearer import bearer_credentials
from agency_lambda.auth.principal import Principal
from agency_lambda.errors import InvalidCredentials, Unauthenticated
from agency_lambda.refreshing_cache import RefreshingCache
from agency_lambda.settings import ConfigurationError, Settings

type Keys = tuple[validators.ApiKey, ...]


class KeyAuthenticator:
    """Authenticates with the keys of API_KEYS or of API_KEYS_SECRET."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.api_keys
        self._secret: RefreshingCache[Keys | None] | None = None
        if settings.api_keys_secret:
            from agency_lambda.secrets import secret  # imports boto3

            self._secret = secret(settings.api_keys_secret, validators.api_keys)
        elif not settings.api_keys:
            raise ConfigurationError(
                "AUTH is keys (on Lambda it is, if nothing else is said) but neither API_KEYS nor API_KEYS_SECRET is "
                "set: `make key OWNER=name` makes a key, and prints what to put there"
            )

    async def __call__(self, scope: Scope) -> Principal:
        key = bearer_credentials(scope)
        if not key:
            raise Unauthenticated("A key is needed: send the header `Authorization: Bearer KEY`.")
        # A key has 256 random bits: a slower hash would make it no harder to guess.
        digest, match = hashlib.sha256(key).digest(), None
        keys = await self._secret.get() or () if self._secret else self._keys
        for owner, known_digest, is_operator in keys:  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(digest, known_digest):
                match = Principal(owner, is_operator)
        if match is None:
            raise InvalidCredentials("This key is not known.")
        return match
