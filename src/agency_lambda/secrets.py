"""What Secrets Manager holds. A new value counts within a minute, without a deployment."""

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
_KEEP = 60.0  # seconds
_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
_known: WeakSet[RefreshingCache[Any]] = WeakSet()


def secret[T](name: str, parse: Callable[[str], T]) -> RefreshingCache[T | None]:
    """The secret with this id or ARN, as `parse` reads it; None while it has no value.

    parse raises ValueError with a text that holds nothing of the secret: it goes to the log.
    """
    made = RefreshingCache(f"the secret {name}", lambda: _parsed(name, parse), _unavailable, _KEEP)
    _known.add(made)
    return made


def clear_caches() -> None:
    """Hold no secret and no connection any more: after a snapshot was restored."""
    client.cache_clear()
    for each in _known:
        each.clear()


def _unavailable() -> SecretUnavailable:
    return SecretUnavailable("A secret of the service cannot be read at the moment. The log says why.")


def _parsed[T](name: str, parse: Callable[[str], T]) -> T | None:
    text = read(name)
    return parse(text) if text else None


def read(name: str) -> str:
    """The text of a secret, "" while it has none. Blocks.

    Raises:
        ValueError: it is not written as plain text.
        REFUSALS: AWS did not give it.
    """
    try:
        answer = client().get_secret_value(SecretId=name)
    except ClientError as error:
        if _is_empty(error):
            return ""
        raise
    if "SecretString" not in answer:
        raise ValueError("It holds bytes. Put plain text there.")
    text: str = answer["SecretString"].strip()
    if text.startswith("{"):
        raise ValueError("It holds JSON, as the console's key/value editor writes it. Put plain text there.")
    return text


@cache
def client() -> Any:
    """Its threads may share it; two that begin together make two, and keep one."""
    return boto3.session.Session().client("secretsmanager", config=_CONFIG)


def _is_empty(error: ClientError) -> bool:
    """Whether the secret is there and was never given a value. AWS has the same code for one that is not there."""
    said = error.response["Error"]
    return said["Code"] == "ResourceNotFoundException" and "AWSCURRENT" in said.get("Message", "")
