"""Set credentials in the environment for `OpenAI()` and litellm in the agencies' code."""

# OpenAI clients read the environment at each request: one made at the top of a module, or before a snapshot, works as
# soon as the key is known, and follows its rotation. The placeholder address is of this machine, where nobody listens:
# such a client fails with an error that names the setting. A variable that the deployment sets is never changed.

import os
import re
from typing import Any

NO_KEY = "OPENAI_API_KEY-is-not-set"
NOWHERE = "http://127.0.0.1:9/OPENAI_API_KEY-is-not-set/v1"  # 9 is the port "discard", where nothing listens today
_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:")
_OF_THE_SERVICE = ("API_KEYS", "OPENAI_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS")
_put: dict[str, str] = {}  # variable -> value, as this module has put it into the environment
_keys = {NO_KEY}  # every key that was put there; clients hold on to them


def prepare() -> None:
    """Set placeholders for missing keys, before an agency is imported."""
    if not os.environ.get("OPENAI_API_KEY"):
        provide(None)


def provide(key: str | None, base_url: str | None = None) -> None:
    """Set placeholders if key is None."""
    if put("OPENAI_API_KEY", key or NO_KEY):
        _keys.add(key or NO_KEY)
        put("OPENAI_BASE_URL", base_url if key else NOWHERE)


def put(variable: str, value: str | None) -> bool:
    """Return False for a variable that the deployment has set. value: None removes it."""
    if os.environ.get(variable, "") not in ("", _put.get(variable), NO_KEY, NOWHERE):
        return False
    if value is None:
        os.environ.pop(variable, None)
        _put.pop(variable, None)
    else:
        os.environ[variable] = _put[variable] = value
    return True


def is_put(variable: str, value: Any) -> bool:
    return value in (NO_KEY, NOWHERE) or (value is not None and _put.get(variable) == value)


def is_ours(key: str) -> bool:
    return key in _keys


def named_secrets() -> dict[str, str]:
    """Return X -> ARN for each X_SECRET that is not the service's own."""
    named = {name.removesuffix("_SECRET"): value for name, value in os.environ.items() if name.endswith("_SECRET")}
    return {name: arn for name, arn in named.items() if name not in _OF_THE_SERVICE and _ARN.match(arn)}


def withdraw() -> None:
    for variable in [*_put]:
        put(variable, None)
    _keys.clear()
    _keys.add(NO_KEY)


def current_key() -> str | None:
    """Return None for a placeholder."""
    key = os.environ.get("OPENAI_API_KEY") or None
    return None if key == NO_KEY else key
