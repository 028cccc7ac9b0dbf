"""Values for a type of openai's requests, so that each field and each member of a union is there at least once."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

_DEEPEST = 6  # filters hold filters
_SCALARS = {str: 'text with " and é', int: 1, float: 0.5, bool: True, type(None): None, object: {"any": [1, None]}}


def samples(kind: Any, depth: int = 0) -> Iterator[Any]:
    """Yield values that differ in what they are made of. A typed dict's have all of its fields."""
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
        yield from _dicts(kind, depth)
    elif origin is dict:
        yield {"name": next(samples(args[1], depth))}
    elif isinstance(origin, type) and issubclass(list, origin):  # List, Iterable, Sequence
        yield [*samples(args[0], depth)]
    else:
        raise AssertionError(f"no sample of {kind}: openai has a kind of type that this test does not know")


def _dicts(kind: Any, depth: int) -> Iterator[dict[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    if depth > _DEEPEST:
        hints = {
            name: hint for name, hint in hints.items() if name in kind.__required_keys__ and get_origin(hint) is str
        }
    of_fields = {name: [*samples(hint, depth + 1)] for name, hint in hints.items()}
    for number in range(max(map(len, of_fields.values()), default=1)):
        yield {name: values[number % len(values)] for name, values in of_fields.items() if values}
