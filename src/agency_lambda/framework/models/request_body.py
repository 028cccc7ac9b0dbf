"""Make openai send what is JSON already as it is, and convert the rest of a request's body."""

import sys
from collections.abc import Iterator, Mapping
from functools import wraps
from typing import Any, get_args

from openai import _utils
from openai._utils import is_given

from agency_lambda.framework.item_copies import UnsharedItems
from agency_lambda.protocol.copies import LEAVES

# openai compares each value with its type: 2,000 items held the loop for a second. These types rename no keys and
# format no values, so what is JSON stays as it is.
_PLAIN_TYPES = ("openai.types.responses.response_create_params", "openai.types.chat.completion_create_params")
_RESOURCES = ("openai.resources.responses.responses", "openai.resources.chat.completions.completions")
_SCALARS = LEAVES | {UnsharedItems}


def install() -> None:
    """Replace both transforms in imported and later modules."""
    changed = {
        "maybe_transform": _transforming(_utils.maybe_transform),
        "async_maybe_transform": _transforming_async(_utils.async_maybe_transform),
    }
    for module in (_utils, *filter(None, map(sys.modules.get, _RESOURCES))):
        vars(module).update(changed)


def is_json(value: Any) -> bool:
    """Return whether a value consists of plain lists, tuples, dicts and scalars."""
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return kind in _SCALARS
    for part in value:  # noqa: SIM110 (`all` takes twice as long)
        if type(part) not in _SCALARS and not is_json(part):
            return False
    return True


def _transforming(transform: Any) -> Any:
    @wraps(transform)
    def transformed(data: Any, expected_type: Any) -> Any:
        if data is None or not _is_plain(expected_type):
            return transform(data, expected_type)
        body, rest = _split(data)
        return _merged(body, transform(rest, expected_type)) if rest else body

    return transformed


def _transforming_async(transform: Any) -> Any:
    @wraps(transform)
    async def transformed(data: Any, expected_type: Any) -> Any:
        if data is None or not _is_plain(expected_type):
            return await transform(data, expected_type)
        body, rest = _split(data)
        return _merged(body, await transform(rest, expected_type)) if rest else body

    return transformed


def _is_plain(expected_type: Any) -> bool:
    kind = (*get_args(expected_type), expected_type)[0]  # of a union, the first
    return getattr(kind, "__module__", None) in _PLAIN_TYPES


def _split(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    # Returns the body, and what in it is to be converted; of a list, such entries alone.
    # Lists are copied: a retry encodes the body again, and callers go on appending to their messages.
    body = {name: [*value] if type(value) is list else value for name, value in data.items() if is_given(value)}
    rest = {name: value for name, value in body.items() if not is_json(value)}
    return body, {name: [*_others(value)] if type(value) is list else value for name, value in rest.items()}


def _others(entries: list[Any]) -> Iterator[Any]:
    return (entry for entry in entries if not is_json(entry))


def _merged(body: dict[str, Any], converted: Mapping[str, Any]) -> dict[str, Any]:
    return body | {
        name: _filled(body[name], iter(value)) if type(body[name]) is list else value
        for name, value in converted.items()
    }


def _filled(entries: list[Any], converted: Iterator[Any]) -> list[Any]:
    return [entry if is_json(entry) else next(converted) for entry in entries]
