"""When encrypted reasoning is asked for, and how a provider refuses that."""

import re
from dataclasses import replace
from typing import Any

from agents import Model, ModelSettings
from openai import APIStatusError

_ENCRYPTED: Any = "reasoning.encrypted_content"
_REASONING_MODEL = re.compile(r"(?:.*/)?(?:gpt-[5-9](?!.*chat)|o[1-9]\b)")
_REFUSALS = (400, 404, 422)
# Of these a question that is put otherwise is refused too.
_OTHER_CODES = frozenset({"context_length_exceeded", "model_not_found", "invalid_prompt", "content_policy_violation"})
_PARAMETER = re.compile(
    r"include|encrypt|reasoning|unknown|support|recogni|unexpected|extra|permit|allow|invalid param"
)
_REASONING = re.compile(r"encrypt|reasoning|\brs_")


def reasons(model: Model, settings: ModelSettings) -> bool:
    """Return whether a model reasons, by its name or by what its agent asks for."""
    if _REASONING_MODEL.match(str(getattr(model, "model", ""))):
        return True
    return settings.reasoning is not None and settings.reasoning.effort != "none"


def asks(settings: ModelSettings) -> bool:
    """Return whether the settings ask for encrypted reasoning."""
    return _ENCRYPTED in (settings.response_include or ())


def including(settings: ModelSettings, encrypted: bool) -> ModelSettings:
    """Return the settings with or without the question for encrypted reasoning."""
    if asks(settings) == encrypted:
        return settings
    others = [each for each in settings.response_include or () if each != _ENCRYPTED]
    return replace(settings, response_include=[*others, _ENCRYPTED] if encrypted else others or None)


def is_about_include(error: APIStatusError) -> bool:
    """Return whether a provider may have refused the question for encrypted reasoning, and nothing else."""
    if error.status_code == 404 or not _may_be_put_otherwise(error):
        return False
    param = str(error.param or "include")
    return param.startswith("include") and _PARAMETER.search(_message(error)) is not None


def is_about_reasoning(error: APIStatusError) -> bool:
    """Return whether a provider may have refused the reasoning that it was sent."""
    message = _message(error)
    return _may_be_put_otherwise(error) and "include" not in message and _REASONING.search(message) is not None


def _may_be_put_otherwise(error: APIStatusError) -> bool:
    return error.status_code in _REFUSALS and error.code not in _OTHER_CODES


def _message(error: APIStatusError) -> str:
    body: Any = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return f"{error.code or ''} {said or body}".lower()
