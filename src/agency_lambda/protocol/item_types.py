"""Validation of items with the types of the openai package."""

from collections.abc import Iterable, Set
from operator import attrgetter
from typing import Any

from pydantic import BaseModel, ValidationError

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.protocol import bounds
from agency_lambda.protocol.types import Item


def type_label(kind: Any) -> str:
    return repr(kind[:99] if isinstance(kind, str) else type(kind).__name__)


def validate(name: str, item: Item, param: str, dropped: Set[str] = frozenset()) -> Item:
    """Return an item or part as the type `name` of openai.types.responses has it.

    Raises:
        InvalidRequest, UnsupportedParameter: names the field.
    """
    from openai.types import responses  # loads the whole package

    model: type[BaseModel] = attrgetter(name)(responses)
    _check_bounds(item, param)
    try:
        valid = model.model_validate(item, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequest(first["msg"], param=param + _dotted_path(item, first["loc"])) from None
    known = set(model.model_fields)
    refuse_unknown(item, known | dropped, param)
    return {key: value for key, value in valid.model_dump(mode="json", exclude_none=True).items() if key in known}


def _dotted_path(value: Any, location: Iterable[int | str]) -> str:
    path = ""
    for step in location:
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            path, value = f"{path}[{step}]", value[step]
        elif isinstance(value, dict) and (step in value or not path):  # or it is missing, in the item itself
            path, value = f"{path}.{step}", value.get(step)
    return path


def refuse_unknown(item: Item, known: Set[str], param: str) -> None:
    """Raise UnsupportedParameter for an unknown field that is not null."""
    if unknown := sorted(key for key, value in item.items() if value is not None and key not in known):
        field = f"{param}.{unknown[0]}"
        raise UnsupportedParameter(f"Unsupported parameter: {field!r}.", param=field)


def _check_bounds(item: Item, param: str) -> None:
    # pydantic would keep an error for each entry of a long list.
    if len(item) > bounds.KEYS:
        raise bounds.over_limit(param, "fields", bounds.KEYS)
    for name, value in item.items():
        _check_entries(value, f"{param}.{name[:99]}")
    for name in ("call_id", "name"):
        if isinstance(item.get(name), str) and len(item[name]) > bounds.NAME:
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
