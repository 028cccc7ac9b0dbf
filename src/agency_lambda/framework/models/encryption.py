"""Encrypted reasoning: when to request it, and whether a provider refused it."""

import re
from dataclasses import replace
from typing import Any

from agents import Model, ModelSettings
from openai import APIStatusError

from agency_lambda.errors import ContentRefused, ContextLengthExceeded, ModelOutOfQuota, ModelUnauthorized
from agency_lambda.framework.models.failure_kinds import kind_of

_ENCRYPTED: Any = "reasoning.encrypted_content"
_REASONING_MODEL = re.compile(r"(?:.*/)?(?:gpt-[5-9](?!.*chat)|o[1-9]\b)")
_REFUSALS = (400, 404, 422)
# Of these a question that is put otherwise is refused too.
_OTHER_KINDS = (ContextLengthExceeded, ContentRefused, ModelOutOfQuota, ModelUnauthorized)
_OTHER_CODES = ("string_above_max_length", "model_not_found")
_INCLUDE = re.compile(r"include|encrypt")
# Items of reasoning, their ids and contents; not the parameters `reasoning.effort` and `reasoning_effort`.
_REASONING = re.compile(r"encrypt|\brs_|\breasoning\b(?!\.|['\"]? (?:effort|summar))")


def reasons(model: Model, settings: ModelSettings) -> bool:
    if _REASONING_MODEL.match(str(getattr(model, "model", ""))):
        return True
    return settings.reasoning is not None and settings.reasoning.effort != "none"


def asks(settings: ModelSettings) -> bool:
    return _ENCRYPTED in (settings.response_include or ())


def including(settings: ModelSettings, encrypted: bool) -> ModelSettings:
    """Return the settings with or without the request for encrypted reasoning."""
    if asks(settings) == encrypted:
        return settings
    others = [each for each in settings.response_include or () if each != _ENCRYPTED]
    return replace(settings, response_include=[*others, _ENCRYPTED] if encrypted else others or None)


def may_be_about_include(error: APIStatusError) -> bool:
    # Not every provider says what it refuses.
    named = error.param is None or str(error.param).startswith("include")
    return error.status_code != 404 and named and _may_be_put_otherwise(error)


def names_include(error: APIStatusError) -> bool:
    return str(error.param).startswith("include") or _INCLUDE.search(_message(error)) is not None


def is_about_reasoning(error: APIStatusError) -> bool:
    """Return whether a provider may have refused the reasoning in its input."""
    message = _message(error)
    named = error.param is None or str(error.param).startswith("input")
    about = named and "include" not in message and _REASONING.search(message) is not None
    return about and _may_be_put_otherwise(error)


def _may_be_put_otherwise(error: APIStatusError) -> bool:
    if error.status_code not in _REFUSALS or error.code in _OTHER_CODES:
        return False
    return kind_of(error) not in _OTHER_KINDS


def _message(error: APIStatusError) -> str:
    body: Any = error.body
    text = body.get("message") if isinstance(body, dict) else None
    return f"{error.code or ''} {text or body}".lower()
