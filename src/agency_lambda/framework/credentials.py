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
from weakref import WeakSet

NO_KEY = "OPENAI_API_KEY-is-not-set"
NOWHERE = "http://127.0.0.1:9/OPENAI_API_KEY-is-not-set/v1"  # 9 is the port "discard", where nothing listens today
_OPENAI = "https://api.openai.com/v1"
_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:")
_OF_THE_SERVICE = ("API_KEYS", "OPENAI_API_KEY")
_UNSET = (
    "OPENAI_API_KEY is not set, and OPENAI_API_KEY_SECRET names no secret with a value: "
    "this client was made without a key, and asks nobody."
)

_put: dict[str, str] = {}  # variable -> value, as this module has put it into the environment
_keys = {NO_KEY}  # every key that was put there; clients hold on to them
_services: WeakSet[Any] = WeakSet()  # clients that are not the agencies'


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


def keep_key[T](client: T) -> T:
    """Return a client of the service's own, which goes on with the key that it was made with."""
    _services.add(client)
    return client


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


def install() -> None:
    """Have openai's clients that hold a key of ours read the environment's key before each request.

    `_prepare_options` is the step of every request in which a client renews its key, if that is a function. The
    exporter of traces keeps the key that it finds first, and would send prompts with the placeholder.
    """
    from agents.tracing.processors import BackendSpanExporter
    from openai import AsyncOpenAI, OpenAI

    prepare_now, prepare_async = OpenAI._prepare_options, AsyncOpenAI._prepare_options

    def prepare_options(self: Any, options: Any) -> Any:
        _renew(self)
        return prepare_now(self, options)

    async def prepare_options_async(self: Any, options: Any) -> Any:
        _renew(self)
        return await prepare_async(self, options)

    OpenAI._prepare_options = prepare_options  # type: ignore[method-assign]
    AsyncOpenAI._prepare_options = prepare_options_async  # type: ignore[method-assign]
    BackendSpanExporter.api_key = property(lambda exporter: _current(exporter._api_key))  # type: ignore[assignment]


def _current(key: str | None) -> str | None:
    """Return the key that takes the place of one that comes from here, or was never given; None: there is none."""
    if key and key not in _keys:
        return key
    there = os.environ.get("OPENAI_API_KEY") or None
    return None if there == NO_KEY else there


def _renew(client: Any) -> None:
    if client.api_key not in _keys or client in _services:
        return
    key = _current(client.api_key)
    if key is None:
        import httpx
        from openai import APIConnectionError

        raise APIConnectionError(message=_UNSET, request=httpx.Request("POST", NOWHERE))
    client.api_key = key
    if str(client.base_url).startswith(NOWHERE):
        client.base_url = os.environ.get("OPENAI_BASE_URL") or _OPENAI
