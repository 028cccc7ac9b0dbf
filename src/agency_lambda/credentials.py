"""Puts credentials into the environment, where `OpenAI()` and litellm in the agencies' code look for them.

Clients that are made without a key take OPENAI_API_KEY and OPENAI_BASE_URL from the environment. A run puts there what
the service itself uses, before an agency is imported. Where there is no key a placeholder takes its place, and an
address of this machine that nobody listens at: then such a client can be made, and each of its requests fails with an
error that names the setting. A client takes what is in the environment at each request, so one that was made before the
key was known (at the top of a module, before a snapshot) works as soon as it is, and follows when the key is rotated.

The same holds for other secrets: where X_SECRET is the ARN of a secret, X is its value in a run.
A variable that the deployment itself sets is never changed.
"""

import os
import re
from typing import Any

NO_KEY = "OPENAI_API_KEY-is-not-set"
NOWHERE = "http://127.0.0.1:9/OPENAI_API_KEY-is-not-set/v1"  # 9 is the port "discard", where nothing listens today
_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:")
_OF_THE_SERVICE = ("API_KEYS", "OPENAI_API_KEY")
_put: dict[str, str] = {}  # variable -> value, as this module has put it into the environment
_keys = {NO_KEY}  # every key that was put there; clients hold on to them


def prepare() -> None:
    """Put a placeholder where there is no key, so that clients can be made.

    Call it before an agency is imported or built. It opens no connection, and reads no secret.
    """
    if not os.environ.get("OPENAI_API_KEY"):
        provide(None)


def provide(key: str | None, base_url: str | None = None) -> None:
    """Put the model's key and address into the environment, or their placeholders where key is None."""
    if put("OPENAI_API_KEY", key or NO_KEY):
        _keys.add(key or NO_KEY)
        put("OPENAI_BASE_URL", base_url if key else NOWHERE)


def put(variable: str, value: str | None) -> bool:
    """Set a variable for the agencies' code, or take back what was put if value is None.

    Returns False, and changes nothing, where the variable has a value that the deployment has set.
    """
    if os.environ.get(variable, "") not in ("", _put.get(variable), NO_KEY, NOWHERE):
        return False
    if value is None:
        os.environ.pop(variable, None)
        _put.pop(variable, None)
    else:
        os.environ[variable] = _put[variable] = value
    return True


def is_put(variable: str, value: Any) -> bool:
    """Return whether a variable's value was put there by this module, or by that of a parent process."""
    return value in (NO_KEY, NOWHERE) or (value is not None and _put.get(variable) == value)


def is_ours(key: str) -> bool:
    """Return whether a client's key is one that was put into the environment, or stands in for one."""
    return key in _keys


def named_secrets() -> dict[str, str]:
    """Return the secrets that the agencies' code reads as variables: X -> ARN, where X_SECRET holds an ARN.

    Those of the service itself are not among them.
    """
    named = {name.removesuffix("_SECRET"): value for name, value in os.environ.items() if name.endswith("_SECRET")}
    return {name: arn for name, arn in named.items() if name not in _OF_THE_SERVICE and _ARN.match(arn)}


def withdraw() -> None:
    """Take everything out of the environment that was put there, and forget it."""
    for variable in [*_put]:
        put(variable, None)
    _keys.clear()
    _keys.add(NO_KEY)


def current_key() -> str | None:
    """Return the key that is in the environment now, or None where a placeholder stands for it."""
    key = os.environ.get("OPENAI_API_KEY") or None
    return None if key == NO_KEY else key
