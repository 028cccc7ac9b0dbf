"""What a request may ask for: every bound on a body, checked before anything of it expands.

Structure is counted in the bytes, because parsing 5 MB of `[],[],` alone takes half a second and 100 MB. The numbers
keep the costliest body that is accepted within 250 ms of the event loop and 200 MB; docs/api.md lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from agency_lambda.errors import InvalidJSON, InvalidRequest
from agency_lambda.protocol.surrogates import to_json_bytes

# Bytes of a body: images and files come as data URLs. Lambda takes 6 MB per event, in which the body is a JSON string:
# what is escaped in it, and the headers beside it, need the rest.
BODY = 5_000_000
VALUES = 50_000  # commas and opening brackets outside of texts: of a body, or of a text in it that is parsed too
DIGITS = 300  # of a number: Python's arithmetic with long ones is quadratic, and no float has more
DEPTH = 64  # levels of JSON; what reads it later may be recursive
KEYS = 100  # of a body's own object
ITEMS = 2_000  # of a request, with those in its compactions
PARTS = 4_000  # of the contents of all these items
PART_LISTS = 100  # entries of a list or object within an item or a part: annotations, logprobs, summaries
NAME = 256  # characters of a call's name or id
TOOLS = 128
SCHEMA_VALUES = 20_000  # of the schemas of all tools, with what strict ones repeat through `$ref`
# Bytes of answers, as Lambda's answer holds them. It takes 6,291,556 in all, with headers; a cut stream ends with one
# event more, that has the response as it began.
ANSWER = 6_000_000
RESOURCE = 5_000_000  # of one thing that is sent back whole: an item, a response
WITHOUT_OUTPUT = 900_000  # of a response before it has any output: its instructions, tools, format
HISTORY_ITEMS = 10_000  # that were said before a run, in the whole of its conversation
HISTORY_PARTS = 12_000  # objects within these, as parts and annotations are; what runs an agent copies each some times
ARGUMENT_VALUES = 50  # values in arguments of calls, which cost as much as one of these parts
HISTORY = 40_000_000  # bytes of these as they are stored: as clients see them, and as agents remember them
EXPANSION = 1_000_000  # bytes that all compactions of a request may unpack to beyond their own length
COMPACTIONS = 3  # levels of compactions in compactions
REFERENCES = 100  # responses that the item references of a request may point into
_LEVELS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1, ord(","): 0}
_ALL_ELSE = bytes(set(range(256)) - _LEVELS.keys())
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * (DIGITS + 1)


@dataclass
class InputBudget:
    """What is left of the bounds while the items of one request are read; those in compactions count too."""

    items: int = ITEMS
    parts: int = PARTS
    values: int = VALUES
    expansion: int = EXPANSION

    def take_item(self, param: str) -> None:
        """Count an item. Raises InvalidRequest."""
        self.items -= 1
        if self.items < 0:
            raise over_limit(param.partition("[")[0], "items", ITEMS)

    def take_parts(self, count: int, param: str) -> None:
        """Count parts of an item's content. Raises InvalidRequest."""
        self.parts -= count
        if self.parts < 0:
            raise over_limit(param, "parts of content in all items", PARTS)

    def take_text(self, text: bytes, param: str) -> None:
        """Count what is in a text that is JSON, too, and is parsed. Raises InvalidRequest."""
        self.values -= check_structure(text, param)
        if self.values < 0:
            raise over_limit(param, "values in all texts that are parsed", VALUES)


def over_limit(param: str | None, what: str, bound: int) -> InvalidRequest:
    """Return the error of a request that is over a bound."""
    return InvalidRequest(f"{param or 'The body'}: there are more than {bound:,} {what}.", param=param)


def check_structure(text: bytes, param: str | None = None) -> int:
    """Return the number of values of JSON that is about to be parsed; costs a millisecond or two per megabyte.

    param: the field that holds the text; None: it is the whole body.

    Raises:
        InvalidJSON: the body is in another encoding than UTF-8, in which the count would be wrong.
        InvalidRequest: it is over VALUES, DEPTH or DIGITS.
    """
    if param is None and b"\0" in text:
        raise InvalidJSON("The body is not JSON in UTF-8: it has a NUL byte.")
    if (most := len(text.translate(None, _ALL_ELSE))) <= DEPTH:
        return most
    escaped = text.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in text else text
    if escaped.count(b'"') > 4 * VALUES + 4:  # each value has a text of its own, and a key
        raise over_limit(param, "values", VALUES)
    outside = b"".join(escaped.split(b'"')[::2])  # of texts
    if _LONG_NUMBER in outside.translate(_ZEROS):
        raise over_limit(param, "digits in a number", DIGITS)
    structure = outside.translate(None, _ALL_ELSE)
    if (values := len(structure) - structure.count(b"]") - structure.count(b"}")) > VALUES:
        raise over_limit(param, "values", VALUES)
    # JSON has no more closing brackets than opening ones; a parser stops at the first that is too many.
    if max(accumulate(map(_LEVELS.__getitem__, structure[: 2 * VALUES + 1])), default=0) > DEPTH:
        raise over_limit(param, "levels of nesting", DEPTH)
    return values


def check_schemas(schemas: Sequence[tuple[Any, bool, str]]) -> None:
    """Count what the schemas of a request's tools become. schemas: (schema, whether it is strict, field).

    Raises:
        InvalidRequest: they are over SCHEMA_VALUES, or a strict one has a `$ref` or an `allOf` that cannot be followed.
    """
    left = SCHEMA_VALUES
    for schema, strict, param in schemas:
        left = _count(schema, schema if strict else None, left, param)


def _count(schema: Any, root: Any, left: int, param: str) -> int:
    """Return what is left of a number of values. root: where a strict schema's references are looked up.

    The Agents SDK puts the definition in place of a `$ref` that has siblings, each time, and a single `allOf` in place
    of its parent (agents.strict_schema, 0.18): this counts at least what it visits.
    """
    if root is not None and isinstance(schema, dict) and ("allOf" in schema or "$ref" in schema):
        raise InvalidRequest("A strict schema has no allOf or $ref at its top: send 'strict': false.", param=param)
    stack: list[tuple[Any, bool]] = [(schema, False)]
    while stack:
        value, merges = stack.pop()
        left -= 1 + (len(value) if isinstance(value, dict | list) else 0)
        if left < 0:
            raise over_limit(
                param, "values in the schemas of all tools, with what their $refs stand for", SCHEMA_VALUES
            )
        if isinstance(value, list):
            stack += [(each, merges) for each in value if isinstance(each, dict | list)]
        elif isinstance(value, dict):
            reference = value.get("$ref")
            if root is not None and isinstance(reference, str) and (merges or len(value) > 1):
                stack.append((_definition(root, reference, param), True))
            stack += [(each, name == "allOf") for name, each in value.items() if isinstance(each, dict | list)]
    return left


def _definition(root: Any, reference: str, param: str) -> dict[str, Any]:
    """Return what the SDK puts in place of a reference: for those that are as usual, it is known beforehand."""
    match reference.split("/"):
        case ["#", "$defs" | "definitions" as place, name] if isinstance(root, dict):
            definitions = root.get(place)
            definition = definitions.get(name) if isinstance(definitions, dict) else None
            if isinstance(definition, dict):
                return definition
    raise InvalidRequest(f"There is no definition {reference[:99]!r}.", param=param)


def size(value: Any) -> int:
    """Return the bytes that a value takes in an answer of Lambda's: see `encoded_size`."""
    return encoded_size(to_json_bytes(value))


def encoded_size(body: bytes) -> int:
    """Return the bytes that a body takes within an answer of Lambda's, where it is a JSON string.

    Quotes, backslashes and line breaks are escaped there, by AWS's runtime client; there is nothing else to escape in
    JSON, or in events.
    """
    return len(body) + body.count(b'"') + body.count(b"\\") + body.count(b"\n") + body.count(b"\r")
