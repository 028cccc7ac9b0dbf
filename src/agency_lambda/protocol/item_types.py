"""Items and their parts, checked with the `openai` package's own types, each of which is imported when one is sent."""

from collections.abc import Iterable, Set
from operator import attrgetter
from typing import Any

from pydantic import BaseModel, ValidationError

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.types import Item


def type_label(kind: Any) -> str:
    """Return a type as it was sent, or the beginning of it."""
    return repr(kind[:99] if isinstance(kind, str) else type(kind).__name__)


def validate(name: str, given: Item, param: str, ours: Set[str] = frozenset()) -> Item:
    """Return an item, or a part of one, as the type of this name in `openai.types.responses` has it.

    ours: fields that may be there, too, and are dropped.

    Raises:
        InvalidRequest, UnsupportedParameter: names the field.
    """
    from openai.types import responses  # loads the whole package

    model: type[BaseModel] = attrgetter(name)(responses)
    _bounded(given, param)
    try:
        valid = model.model_validate(given, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequest(first["msg"], param=param + _steps(given, first["loc"])) from None
    known = set(model.model_fields)
    refuse_unknown(given, known | ours, param)
    return {key: value for key, value in valid.model_dump(mode="json", exclude_none=True).items() if key in known}


def _steps(value: Any, steps: Iterable[int | str]) -> str:
    """Return the way into a value; a checker's names for the branches of a union, which are not in it, are left out."""
    way = ""
    for step in steps:
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            way, value = f"{way}[{step}]", value[step]
        elif isinstance(value, dict) and (step in value or not way):  # or it is missing, in the item itself
            way, value = f"{way}.{step}", value.get(step)
    return way


def refuse_unknown(given: Item, known: Set[str], param: str) -> None:
    """Refuse a key that would be dropped; null says nothing, and clients send it for what they do not set."""
    if unknown := sorted(key for key, value in given.items() if value is not None and key not in known):
        found = f"{param}.{unknown[0]}"
        raise UnsupportedParameter(f"Unsupported parameter: {found!r}.", param=found)


def _bounded(given: Item, param: str) -> None:
    """Refuse long lists, for each of whose entries a checker would keep errors, and long names."""
    if len(given) > bounds.KEYS:
        raise bounds.over_limit(param, "fields", bounds.KEYS)
    for name, value in given.items():
        _check_entries(value, f"{param}.{name[:99]}")
    for name in ("call_id", "name"):
        if isinstance(given.get(name), str) and len(given[name]) > bounds.NAME:
            raise bounds.over_limit(f"{param}.{name}", "characters", bounds.NAME)


def _check_entries(value: Any, param: str) -> None:
    if not isinstance(value, list | dict):
        return
    if len(value) > bounds.PART_LISTS:
        raise bounds.over_limit(param, "entries", bounds.PART_LISTS)
    if isinstance(value, list):
        for number, each in enumerate(value):
            _check_entries(each, f"{param}[{number}]")
    else:
        for name, each in value.items():
            _check_entries(each, f"{param}.{name[:99]}")
