"""Makes openai's clients use the current key."""

import logging
import os
from typing import Any
from weakref import WeakSet

import httpx
from agents.tracing.processors import BackendSpanExporter
from openai import APIConnectionError, AsyncOpenAI, OpenAI

from agency_lambda.credentials import NOWHERE, current_key, is_ours

_logger = logging.getLogger(__name__)
_OPENAI = "https://api.openai.com/v1"
_UNSET = (
    "OPENAI_API_KEY is not set, and OPENAI_API_KEY_SECRET names no secret with a value: "
    "this client was made without a key, and asks nobody."
)
_services: WeakSet[Any] = WeakSet()  # clients of the service itself


def install() -> None:
    """Replace `_prepare_options`, which every request calls."""
    # The exporter keeps the key that it finds first, and would post prompts with the placeholder.
    prepare_now, prepare_async = OpenAI._prepare_options, AsyncOpenAI._prepare_options

    def prepare_options(self: Any, options: Any) -> Any:
        renew(self)
        return prepare_now(self, options)

    async def prepare_options_async(self: Any, options: Any) -> Any:
        renew(self)
        return await prepare_async(self, options)

    OpenAI._prepare_options = prepare_options  # type: ignore[method-assign]
    AsyncOpenAI._prepare_options = prepare_options_async  # type: ignore[method-assign]
    BackendSpanExporter.api_key = property(lambda exporter: _renewed_key(exporter._api_key))  # type: ignore[assignment]


def keep_key[T](client: T) -> T:
    """Exempt a client from renewal and return it."""
    _services.add(client)
    return client


def renew(client: Any) -> None:
    """Update the key and address of a client that was made with a key of ours.

    Raises:
        APIConnectionError: there is no key.
    """
    if not is_ours(client.api_key) or client in _services:
        return
    key = _renewed_key(client.api_key)
    if key is None:
        _logger.error(_UNSET)  # the SDK redacts what it logs of this failure
        raise APIConnectionError(message=_UNSET, request=httpx.Request("POST", NOWHERE))
    client.api_key = key
    if str(client.base_url).startswith(NOWHERE):
        client.base_url = os.environ.get("OPENAI_BASE_URL") or _OPENAI


def _renewed_key(key: str | None) -> str | None:
    # A key that the agency itself has set stays.
    return key if key and not is_ours(key) else current_key()
