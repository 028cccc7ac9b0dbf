"""Make openai convert request bodies without comparing each value with its type."""

import sys
from collections.abc import Iterable, Mapping
from functools import wraps
from typing import Any

from openai import _utils
from openai._utils import is_given
from pydantic import BaseModel

# For 2,000 items the comparison held the loop for a second; these types need no renamed keys and no formatted dates.
_PLAIN_TYPES = ("openai.types.responses.response_create_params", "openai.types.chat.completion_create_params")
_RESOURCES = ("openai.resources.responses.responses", "openai.resources.chat.completions.completions")


def install() -> None:
    """Replace `async_maybe_transform` in imported and later modules."""
    transform = _transforming(_utils.async_maybe_transform)
    for module in (_utils, *filter(None, map(sys.modules.get, _RESOURCES))):
        vars(module)["async_maybe_transform"] = transform


def plain_body(value: Any) -> Any:
    """Return a request's body as JSON, without omitted parameters."""
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    if isinstance(value, Mapping):
        return {name: plain_body(each) for name, each in value.items() if is_given(each)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    return [plain_body(each) for each in value] if isinstance(value, Iterable) else value


def _transforming(transform: Any) -> Any:
    @wraps(transform)
    async def transformed(data: Any, expected_type: Any) -> Any:
        if getattr(expected_type, "__module__", None) in _PLAIN_TYPES:
            return plain_body(data)
        return await transform(data, expected_type)

    return transformed
