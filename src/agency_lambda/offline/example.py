import math
import re
import sys
from collections.abc import Iterator
from typing import Any

from agency_lambda.offline.pattern import matching

type Schema = dict[str, Any]

_MOST = 100_000  # values and characters that a schema may ask for
_DEEP = 4  # below this a recursive schema is brought to its end: no optional items, null where it may be
_FORMATS = {
    "date": "2025-01-31",
    "date-time": "2025-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "offline@example.com",
    "uri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: Schema, text: str, *, trusted: bool = True) -> Any:
    """Return a value that a JSON schema accepts, with `text` as free text. Optional properties are omitted.

    Best effort: `not`, `if` and contradictions are not solved. trusted: the schema is the agency's own;
    of others no pattern is tried, as some take forever.

    Raises:
        ValueError: the value would be too large.
    """
    return _Maker(schema, text, trusted, [_MOST]).value(schema, 0)


class _Maker:
    def __init__(self, root: Schema, text: str, trusted: bool, left: list[int]) -> None:
        self.root, self.text, self.trusted, self.left = root, text, trusted, left

    def _spend(self, size: float) -> None:
        # A short schema can ask for more than any memory holds.
        if size > self.left[0]:
            raise ValueError("the schema asks for a value that is too large")
        self.left[0] -= int(size)

    def value(self, schema: Schema | bool, depth: int) -> Any:
        self._spend(1)
        schema = self._resolved({} if isinstance(schema, bool) else schema, depth)
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        if schema.get("enum"):
            return next((value for value in schema["enum"] if value is not None), None)
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kind = kinds if isinstance(kinds, str) else next((k for k in kinds if k != "null"), "null")
        return self._of(kind, schema, depth)

    def _of(self, kind: str, schema: Schema, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return next((n for n in _numbers(schema, kind == "integer") if _fits(n, schema)), 0)
            case "boolean":
                return False
            case "string":
                self._spend(max(schema.get("minLength", 0), 0))
                return _string(schema if self.trusted else _without_pattern(schema), self.text)
        return None

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        names = [*schema.get("required", [])]
        least = schema.get("minProperties", 0)
        self._spend(max(least, 0))
        required = set(names)
        names += [name for name in properties if name not in required][: max(0, least - len(names))]
        names += [f"key{number}" for number in range(least - len(names))]
        others = schema.get("additionalProperties", True)
        return {name: self.value(properties.get(name, others), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        fixed = schema.get("prefixItems", [])
        usual = len(fixed) or (1 if depth < _DEEP and schema.get("items", True) else 0)
        length = min(max(usual, schema.get("minItems", 0)), schema.get("maxItems", math.inf))
        self._spend(max(length, 0))
        kinds = [*fixed, *[schema.get("items", {})] * (length - len(fixed))][:length]
        if not schema.get("uniqueItems"):
            return [self.value(kind, depth + 1) for kind in kinds]
        return [self._another(kind, number, depth) for number, kind in enumerate(kinds)]

    def _another(self, kind: Schema, number: int, depth: int) -> Any:
        # The number-th of several different values.
        kind = self._resolved(kind, depth)
        if "enum" in kind:
            return kind["enum"][number % len(kind["enum"])]
        if kind.get("type") in ("integer", "number"):
            return self.value(kind, depth + 1) + number * kind.get("multipleOf", 1)
        return _Maker(self.root, f"{number + 1} {self.text}", self.trusted, self.left).value(kind, depth + 1)

    def _resolved(self, schema: Schema, depth: int) -> Schema:
        # Follows $ref, merges allOf and picks one of anyOf or oneOf.
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self._resolved(self._target(schema["$ref"]) | rest, depth)
        if "allOf" in schema:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                rest = _merged(rest, self._resolved(part, depth))
            return self._resolved(rest, depth)
        options = schema.get("anyOf") or schema.get("oneOf")
        if not options or "default" in schema:
            return schema
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        return self._resolved(_merged(rest, _preferred(options, depth)), depth)

    def _target(self, reference: str) -> Schema:
        target: Any = self.root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = target[step.replace("~1", "/").replace("~0", "~")]
        return {**target}


def _without_pattern(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "pattern"}


def _preferred(options: list[Schema], depth: int) -> Schema:
    null_first = depth >= _DEEP
    return sorted(options, key=lambda option: (option.get("type") == "null") != null_first)[0]


def _merged(one: Schema, other: Schema) -> Schema:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = one["properties"] | other["properties"]
    if "required" in one and "required" in other:
        merged["required"] = [*dict.fromkeys(one["required"] + other["required"])]
    return merged


def _numbers(schema: Schema, whole: bool) -> Iterator[float]:
    # In the order of preference.
    step = schema.get("multipleOf", 1)
    low: Any = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    high: Any = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    yield from (1, step)
    for edge, round_ in ((low, math.ceil), (high, math.floor)):
        if math.isfinite(edge):
            multiple = round_(edge / step) * step
            yield from (multiple, multiple + step, multiple - step)
            if not whole:
                yield edge
    if not whole and math.isfinite(low + high):
        yield (low + high) / 2


def _fits(number: float, schema: Schema) -> bool:
    return bool(
        schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
        and schema.get("exclusiveMinimum", -math.inf) < number < schema.get("exclusiveMaximum", math.inf)
        and number % schema.get("multipleOf", number or 1) == 0
    )


def _string(schema: Schema, text: str) -> str:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", sys.maxsize)
    if example := _FORMATS.get(schema.get("format", "")):
        return example
    fitting: str = (text + "x" * (shortest - len(text)))[:longest]
    if "pattern" not in schema:
        return fitting
    guesses = [fitting, *(matching(schema["pattern"], repeat) for repeat in (1, shortest, 0))]
    sized = (guess for guess in guesses if shortest <= len(guess) <= longest)
    return next((guess for guess in sized if re.search(schema["pattern"], guess)), fitting)
