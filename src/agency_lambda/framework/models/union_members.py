"""Make openai read the `type` of an item or event to find its class, instead of trying every class."""

from collections.abc import Callable
from functools import cache, wraps
from types import UnionType
from typing import Annotated, Any, Union, get_origin

from openai import _models
from pydantic import Field, TypeAdapter
from pydantic.errors import PydanticUserError


def install() -> None:
    vars(_models)["_validate_non_model_type"] = _by_type(_models._validate_non_model_type)


def _by_type(validate: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(validate)
    def validated(*, type_: Any, value: Any) -> Any:
        if type(value) is dict and isinstance(value.get("type"), str) and (adapter := _adapter(type_)):
            return adapter.validate_python(value)
        return validate(type_=type_, value=value)

    return validated


@cache
def _adapter(union: Any) -> TypeAdapter[Any] | None:
    # pydantic refuses it where a class has no literal `type`, or two have the same: there, `type` does not decide.
    if get_origin(union) not in (Union, UnionType):
        return None
    try:
        return TypeAdapter(Annotated[union, Field(discriminator="type")])
    except (PydanticUserError, TypeError):
        return None
