"""Arguments beside the schema of their tool."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agency_lambda.errors import InvalidRequest

_MOST_STEPS = 10_000  # of keywords and values; each takes 0.01 to 0.03 ms, and nested unions take exponentially many


class _TooManySteps(Exception):
    pass


def first_mismatch(arguments: dict[str, Any], schema: dict[str, Any]) -> tuple[list[str | int], str] | None:
    """Return where arguments do not match, and why; None if they do. Raises InvalidRequest if nobody can say."""
    from jsonschema import Draft202012Validator, validators  # 70 ms of import, and most processes never need it
    from referencing import Registry

    count = _Counter()
    keywords = {name: count.counted(check) for name, check in Draft202012Validator.VALIDATORS.items()}
    # A "$schema" would choose a validator without the count.
    schema = {name: value for name, value in schema.items() if name != "$schema"}
    limited = validators.extend(Draft202012Validator, keywords)
    try:
        # An empty registry, as the default one downloads a `$ref` from anywhere.
        error = next(limited(schema, registry=Registry()).iter_errors(arguments), None)
    except Exception as failure:  # the schema is not valid: it is the tool's, or of a server of tools
        raise InvalidRequest(
            "These arguments cannot be checked by the schema of the tool, so they cannot be used.", param="arguments"
        ) from failure
    return error and (list(error.absolute_path), error.message)


def dotted(path: Iterable[str | int]) -> str:
    """Return OpenAI's form, such as `.to[0].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


class _Counter:
    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def counted(self, check: Callable[..., Iterable[Any] | None]) -> Callable[..., Iterator[Any]]:
        def step(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            self._left -= 1
            if self._left < 0:
                raise _TooManySteps
            yield from check(validator, value, instance, schema) or ()

        return step
