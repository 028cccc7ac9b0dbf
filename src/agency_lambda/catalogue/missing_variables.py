import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import AliasChoices, ValidationError
from pydantic_settings import BaseSettings

from agency_lambda.errors import exception_chain

_LOOK_UP = os._Environ.__getitem__


def is_set(variable: str, environment: Mapping[str, str]) -> bool:
    """variable: "A|B" has two names."""
    return any({name, f"{name}_SECRET"} & environment.keys() for name in variable.split("|"))


@contextmanager
def looked_up_in_vain() -> Iterator[dict[str, None]]:
    """Collect names that are read and not set, by `os.getenv` too."""
    missing: dict[str, None] = {}

    def look_up(environment: Any, name: Any) -> Any:
        try:
            return _LOOK_UP(environment, name)
        except KeyError:
            missing[str(name)] = None
            raise

    vars_of_class: Any = os._Environ
    vars_of_class.__getitem__ = look_up
    try:
        yield missing
    finally:
        vars_of_class.__getitem__ = _LOOK_UP


def lacking(error: BaseException) -> dict[str, BaseException]:
    """Return name -> error for variables missing from `os.environ` or a settings class."""
    for each in exception_chain(error):
        if isinstance(each, KeyError) and any(
            frame.f_code is _LOOK_UP.__code__ for frame, _ in traceback.walk_tb(each.__traceback__)
        ):
            return {str(each.args[0]): each}
        if isinstance(each, ValidationError) and (settings := _settings(each)):
            return {
                _variable(settings, str(one["loc"][0])): each
                for one in each.errors()
                if one["type"] == "missing" and len(one["loc"]) == 1
            }
    return {}


def _settings(error: ValidationError) -> type[BaseSettings] | None:
    # The class is that of the frame of its `__init__`.
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, BaseSettings) and type(value).__name__ == error.title:
                return type(value)
    return None


def _variable(settings: type[BaseSettings], location: str) -> str:
    # pydantic names a field by its alias, of several by the first.
    for field in settings.model_fields.values():
        if isinstance(field.validation_alias, AliasChoices) and field.validation_alias.choices[0] == location:
            return "|".join(str(choice) for choice in field.validation_alias.choices)
    prefix = settings.model_config.get("env_prefix", "")
    name = f"{prefix}{location}" if location in settings.model_fields else location
    return name if settings.model_config.get("case_sensitive") else name.upper()
