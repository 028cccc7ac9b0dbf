"""Values for a type of openai's, so that each field and each member of a union is there at least once."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from typing_extensions import is_typeddict

_DEEPEST = 6  # filters hold filters
_SCALARS = {str: 'text with " and é', int: 1, float: 0.5, bool: True, type(None): None, object: {"any": [1, None]}}


def samples(kind: Any, depth: int = 0) -> Iterator[Any]:
    """Yield JSON values that differ in what they are made of. A typed dict's and a model's have all of its fields."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        yield _SCALARS[kind]
    elif origin in (Required, NotRequired, Annotated):
        yield from samples(args[0], depth)
    elif origin is Literal:
        yield args[0]
    elif origin is Union or type(kind).__name__ == "UnionType":
        for member in args:
            yield from samples(member, depth)
    elif is_typeddict(kind):
        yield from _dicts(get_type_hints(kind, include_extras=True), depth)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _dicts({field.alias or name: field.annotation for name, field in kind.model_fields.items()}, depth)
    elif origin is dict:
        yield {"name": next(samples(args[1], depth))}
    elif isinstance(origin, type) and issubclass(list, origin):  # List, Iterable, Sequence
        yield [*samples(args[0], depth)]
    else:
        raise AssertionError(f"no sample of {kind}: openai has a kind of type that this test does not know")


def _dicts(hints: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    fields = {name: [*samples(hint, depth + 1)] for name, hint in hints.items()} if depth <= _DEEPEST else {}
    for number in range(max(map(len, fields.values()), default=1)):
        yield {name: values[number % len(values)] for name, values in fields.items() if values}
