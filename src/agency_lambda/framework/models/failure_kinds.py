"""Classify a provider's failure by HTTP status, code, words or exception."""

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import httpx
from openai import APIConnectionError, APIError

from agency_lambda.errors import (
    ContentRefused,
    ContextLengthExceeded,
    LinkNotReadable,
    ModelNotFound,
    ModelOutOfQuota,
    ModelRateLimited,
    ModelRefusedRequest,
    ModelTimeout,
    ModelUnauthorized,
    UpstreamFailed,
)

type Kind = type[UpstreamFailed]

# In this order: a provider out of quota says 429, and one that refuses a content 400 or 403.
_CODES: dict[Kind, frozenset[str]] = {
    ContentRefused: frozenset(
        {
            *("content_policy_violation", "content_filter", "invalid_prompt", "responsibleaipolicyviolation"),
            *("moderation_blocked", "data_inspection_failed", "contentpolicyviolationerror"),
        }
    ),
    ContextLengthExceeded: frozenset(
        {"context_length_exceeded", "context_window_exceeded", "contextwindowexceedederror"}
    ),
    ModelOutOfQuota: frozenset(
        {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}
    ),
    ModelNotFound: frozenset({"model_not_found", "deploymentnotfound", "resourcenotfoundexception"}),
    ModelUnauthorized: frozenset(
        {
            *("invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthorized"),
            *("account_deactivated", "access_terminated", "accessdeniedexception", "unrecognizedclientexception"),
        }
    ),
    ModelRateLimited: frozenset({"rate_limit_exceeded", "rate_limit_error", "throttlingexception", "slow_down"}),
}
_STATUSES: dict[int, Kind] = {
    401: ModelUnauthorized,
    402: ModelOutOfQuota,
    403: ModelUnauthorized,
    404: ModelNotFound,
    408: ModelTimeout,
    409: UpstreamFailed,
    425: UpstreamFailed,
    429: ModelRateLimited,
}
_FINAL_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "string_above_max_length"})
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|input token count|(?:prompt|input) (?:is|exceeds)\b.{0,40}\btokens?"
)
_LINK = re.compile(
    r"(?:error|timeout) while downloading|(?:failed|unable) to (?:download|fetch)|could not (?:be )?(?:download|fetch)"
    r"|invalid_image_(?:url|format)|image_parse_error|unsupported image"
)
_WORDS_OF_CONNECTIONS = ("connect", "network", "unavailable", "overloaded")


def kind_of(error: BaseException) -> Kind:
    """Return the kind of a model's error; `UpstreamFailed` if none is known."""
    status, codes = status_of(error), frozenset(_codes(error))
    kind = next((kind for kind, known in _CODES.items() if codes & known), None)
    if kind is not None:
        return kind
    speaks = isinstance(error, APIError) or status is not None  # the provider, not a library
    if speaks and status in (400, 413, 422, None) and _TOO_LONG.search(str(error).lower()):
        return ContextLengthExceeded
    if status in (400, 422) and _LINK.search(" ".join((*codes, str(error).lower()))):
        return LinkNotReadable
    if status is not None:
        return _STATUSES.get(status) or (UpstreamFailed if status >= 500 else ModelRefusedRequest)
    if isinstance(error, TimeoutError | httpx.TimeoutException) or any("timeout" in name for name in _names(error)):
        return ModelTimeout
    if isinstance(error, APIError) and any(code in _FINAL_CODES or code.startswith("invalid_") for code in codes):
        return ModelRefusedRequest  # it came in a stream
    return UpstreamFailed


def kind_of_code(code: str | None) -> Kind:
    return kind_of(APIError("", httpx.Request("POST", "http://model"), body={"code": code}))


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed later. Unknown errors are the code's own and permanent."""
    kind = kind_of(error)
    if kind is not UpstreamFailed:
        return kind.transient
    known = isinstance(error, APIError | httpx.HTTPError | OSError | AttributeError | ValueError | APIConnectionError)
    names = _names(error)
    return known or status_of(error) is not None or any(word in n for word in _WORDS_OF_CONNECTIONS for n in names)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of an error, wherever its library keeps it."""
    response = getattr(error, "response", None)
    aws = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    places = (getattr(error, name, None) for name in ("status_code", "http_status", "status", "code"))
    found = [*places, getattr(response, "status_code", None), aws]
    return next((each for each in found if type(each) is int and 400 <= each < 600), None)


def retry_after(error: BaseException) -> float:
    """Return the seconds that a provider asks to wait; 0 without such a header."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    if (seconds := _number(value)) is None:
        try:
            seconds = parsedate_to_datetime(str(value)).timestamp() - time()
        except (ValueError, OverflowError):  # a year of many digits
            return 0.0
    return max(0.0, seconds)


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else 0.0


def _codes(error: BaseException) -> Iterator[str]:
    # Codes and types that an error names, then its classes, in lower case.
    body: Any = getattr(error, "body", None)
    response: Any = getattr(error, "response", None)
    inner = body.get("error") if isinstance(body, dict) else None
    aws = response.get("Error") if isinstance(response, dict) else None
    holders = [error, body, inner, aws, inner.get("innererror") if isinstance(inner, dict) else None]
    for holder in holders:
        for name in ("code", "type", "Code"):
            code = holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
            if isinstance(code, str):
                yield code.lower()
    yield from _names(error)


def _names(error: BaseException) -> list[str]:
    return [kind.__name__.lower() for kind in type(error).__mro__]
