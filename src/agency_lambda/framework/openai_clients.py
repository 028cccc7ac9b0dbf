"""Has openai's clients that hold a key of ours read the environment's key before each request."""

import os
from typing import Any
from weakref import WeakSet

import httpx
from agents.tracing.processors import BackendSpanExporter
from openai import APIConnectionError, AsyncOpenAI, OpenAI

from agency_lambda.credentials import NOWHERE, current_key, is_ours

_OPENAI = "https://api.openai.com/v1"
_UNSET = (
    "OPENAI_API_KEY is not set, and OPENAI_API_KEY_SECRET names no secret with a value: "
    "this client was made without a key, and asks nobody."
)
_services: WeakSet[Any] = WeakSet()  # clients of the service itself


def install() -> None:
    """Change the clients, and the exporter of traces.

    `_prepare_options` is the step of every request in which a client renews its key, if that is a function. The
    exporter keeps the key that it finds first, and would send prompts with the placeholder.
    """
    prepare_now, prepare_async = OpenAI._prepare_options, AsyncOpenAI._prepare_options

    def prepare_options(self: Any, options: Any) -> Any:
        renew(self)
        return prepare_now(self, options)

    async def prepare_options_async(self: Any, options: Any) -> Any:
        renew(self)
        return await prepare_async(self, options)

    OpenAI._prepare_options = prepare_options  # type: ignore[method-assign]
    AsyncOpenAI._prepare_options = prepare_options_async  # type: ignore[method-assign]
    BackendSpanExporter.api_key = property(lambda exporter: _renewed(exporter._api_key))  # type: ignore[assignment]


def keep_key[T](client: T) -> T:
    """Return a client of the service's own, which goes on with the key that it was made with."""
    _services.add(client)
    return client


def renew(client: Any) -> None:
    """Give a client the key and the address that are in the environment now, if it was made with a key of ours.

    Raises:
        APIConnectionError: there is no key.
    """
    if not is_ours(client.api_key) or client in _services:
        return
    key = _renewed(client.api_key)
    if key is None:
        raise APIConnectionError(message=_UNSET, request=httpx.Request("POST", NOWHERE))
    client.api_key = key
    if str(client.base_url).startswith(NOWHERE):
        client.base_url = os.environ.get("OPENAI_BASE_URL") or _OPENAI


def _renewed(key: str | None) -> str | None:
    """Return the key in place of one that comes from the environment, or was never given; None: there is none."""
    return key if key and not is_ours(key) else current_key()
