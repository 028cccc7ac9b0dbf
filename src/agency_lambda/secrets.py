from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakSet

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agency_lambda.errors import SecretUnavailable
from agency_lambda.refreshing_cache import RefreshingCache

REFUSALS = (BotoCoreError, ClientError)
_TTL = 60.0  # seconds until a new value is used
_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
_caches: WeakSet[RefreshingCache[Any]] = WeakSet()


def secret[T](name: str, parse: Callable[[str], T]) -> RefreshingCache[T | None]:
    """Return the parsed secret, cached; None while it has no value."""
    made = RefreshingCache(f"the secret {name}", lambda: _read_parsed(name, parse), _unavailable, _TTL)
    _caches.add(made)
    return made


def clear_caches() -> None:
    client.cache_clear()
    for each in _caches:
        each.clear()


def _unavailable() -> SecretUnavailable:
    return SecretUnavailable("A secret of the service cannot be read at the moment. The log says why.")


def _read_parsed[T](name: str, parse: Callable[[str], T]) -> T | None:
    text = read(name)
    return parse(text) if text else None


def read(name: str) -> str:
    """Return "" while it has no value. Raises ValueError or REFUSALS."""
    try:
        response = client().get_secret_value(SecretId=name)
    except ClientError as error:
        if _is_empty(error):
            return ""
        raise
    if "SecretString" not in response:
        raise ValueError("It holds bytes. Put plain text there.")
    text: str = response["SecretString"].strip()
    if text.startswith("{"):
        raise ValueError("It holds JSON, as the console's key/value editor writes it. Put plain text there.")
    return text


@cache
def client() -> Any:
    return boto3.session.Session().client("secretsmanager", config=_CONFIG)


def _is_empty(error: ClientError) -> bool:
    details = error.response["Error"]
    return details["Code"] == "ResourceNotFoundException" and "AWSCURRENT" in details.get("Message", "")
