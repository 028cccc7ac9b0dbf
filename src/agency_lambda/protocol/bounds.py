"""The bounds on a request, as docs/api.md lists them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from agency_lambda.errors import InvalidJSON, InvalidRequest
from agency_lambda.protocol.surrogates import to_json_bytes

# They are checked before anything expands, and keep the costliest accepted body within 250 ms of the event loop
# and 200 MB.
# Lambda takes events of 6 MB, in which the body is a JSON string: escapes and headers need the rest.
BODY = 5_000_000  # bytes
VALUES = 50_000  # JSON values in a body, or in a text of it that is parsed too
DIGITS = 300  # of a number: Python's arithmetic with long ones is quadratic, and no float has more
DEPTH = 64  # levels of JSON; its readers may be recursive
KEYS = 100  # of the body's own object
ITEMS = 2_000  # of a request, with those in its compactions
PARTS = 4_000  # of the contents of all these items
LINK = 8_192  # characters of a link
PART_LISTS = 100  # entries of a list or object within an item or a part: annotations, logprobs, summaries
NAME = 256  # characters of a call's name or id
TOOLS = 128
SCHEMA_VALUES = 20_000  # in the schemas of all tools, with what strict ones repeat through `$ref`
# Lambda's answers have up to 6,291,556 bytes with headers; a cut stream ends with one more event.
ANSWER = 6_000_000  # bytes of an answer
RESOURCE = 5_000_000  # bytes of one item or response
WITHOUT_OUTPUT = 900_000  # bytes of a response before its output: instructions, tools, format
HISTORY_ITEMS = 10_000  # in the conversation before a run
HISTORY_PARTS = 12_000  # objects within these, such as parts and annotations; the framework copies each several times
ARGUMENT_VALUES = 50  # values in arguments of calls, which cost as much as one of these parts
HISTORY = 40_000_000  # bytes of these as they are stored: the clients' items and the agents'
EXPANSION = 1_000_000  # bytes that all compactions of a request may decompress to, beyond their own length
COMPACTIONS = 3  # levels of compactions in compactions
REFERENCES = 100  # responses that the item references of a request may point into
FILE = 32 * 1024 * 1024  # bytes of a file
FILE_PART = 4 * 1024 * 1024  # of what one request brings of it: as base64 Lambda takes 6 MB
FILE_SECONDS = 30 * 24 * 3600  # that it is kept, by default and at most
FILE_LEAST_SECONDS = 3600
FILES_OF_OWNER = 1_000  # at a time
FILE_BYTES_OF_OWNER = 1_000_000_000
INPUT_FILES = 100  # of a request
MODEL_FILES = 8_000_000  # bytes of the files that a request names, and of those that a model is sent
FORM_PARTS = 10
FORM_HEADERS = 2_000  # bytes of one part's
_LEVELS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1, ord(","): 0}
_ALL_ELSE = bytes(set(range(256)) - _LEVELS.keys())
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * (DIGITS + 1)


@dataclass(frozen=True)
class FileReference:
    """A part that names a stored file. kind: the part's. param: the field with the id."""

    id: str
    kind: str
    param: str


@dataclass
class InputBudget:
    """Counts what the items of a request use. Every method raises InvalidRequest. files, links: to be checked yet."""

    items: int = ITEMS
    parts: int = PARTS
    values: int = VALUES
    expansion: int = EXPANSION
    files: list[FileReference] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # the fields

    def take_item(self, param: str) -> None:
        self.items -= 1
        if self.items < 0:
            raise over_limit(param.partition("[")[0], "items", ITEMS)

    def take_parts(self, count: int, param: str) -> None:
        self.parts -= count
        if self.parts < 0:
            raise over_limit(param, "parts of content in all items", PARTS)

    def take_file(self, file: FileReference) -> None:
        self.files.append(file)
        if len(self.files) > INPUT_FILES:
            raise over_limit(file.param, "files in all items", INPUT_FILES)

    def take_link(self, param: str) -> None:
        self.links.append(param)
        if len(self.links) > INPUT_FILES:
            raise over_limit(param, "links in all items", INPUT_FILES)

    def take_text(self, text: bytes, param: str) -> None:
        self.values -= check_structure(text, param)
        if self.values < 0:
            raise over_limit(param, "values in all texts that are parsed", VALUES)


def over_limit(param: str | None, what: str, bound: int) -> InvalidRequest:
    return InvalidRequest(f"{param or 'The body'}: there are more than {bound:,} {what}.", param=param)


def check_structure(text: bytes, param: str | None = None) -> int:
    """Return the number of values in unparsed JSON.

    Raises:
        InvalidJSON: it is not UTF-8.
        InvalidRequest: it is over VALUES, DEPTH or DIGITS.
    """
    # Parsing 5 MB of `[],[],` takes half a second and 100 MB, counting its bytes 1 or 2 ms per megabyte.
    if param is None and b"\0" in text:
        raise InvalidJSON("The body is not JSON in UTF-8: it has a NUL byte.")
    if (upper_bound := len(text.translate(None, _ALL_ELSE))) <= DEPTH:
        return upper_bound
    escaped = text.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in text else text
    if escaped.count(b'"') > 4 * VALUES + 4:  # of a text and a key for each value
        raise over_limit(param, "values", VALUES)
    outside_texts = b"".join(escaped.split(b'"')[::2])
    if _LONG_NUMBER in outside_texts.translate(_ZEROS):
        raise over_limit(param, "digits in a number", DIGITS)
    structure = outside_texts.translate(None, _ALL_ELSE)
    if (values := len(structure) - structure.count(b"]") - structure.count(b"}")) > VALUES:
        raise over_limit(param, "values", VALUES)
    # JSON has no more closing brackets than opening ones; a parser stops at the first that is too many.
    if max(accumulate(map(_LEVELS.__getitem__, structure[: 2 * VALUES + 1])), default=0) > DEPTH:
        raise over_limit(param, "levels of nesting", DEPTH)
    return values


def check_schemas(schemas: Sequence[tuple[Any, bool, str]]) -> None:
    """Refuse schemas that expand to more than SCHEMA_VALUES. schemas: (schema, strict, field)."""
    left = SCHEMA_VALUES
    for schema, strict, param in schemas:
        left = _count_down(schema, schema if strict else None, left, param)


def _count_down(schema: Any, root: Any, left: int, param: str) -> int:
    """Subtract a schema's values from `left`. root: a strict schema, whose references count too."""
    # agents.strict_schema (0.18) replaces each `$ref` that has siblings by its definition, and a parent by its single
    # `allOf`. This counts at least what it visits.
    if root is not None and isinstance(schema, dict) and ("allOf" in schema or "$ref" in schema):
        raise InvalidRequest("A strict schema has no allOf or $ref at its top: send 'strict': false.", param=param)
    stack: list[tuple[Any, bool]] = [(schema, False)]
    while stack:
        value, is_merged = stack.pop()
        left -= 1 + (len(value) if isinstance(value, dict | list) else 0)
        if left < 0:
            raise over_limit(
                param, "values in the schemas of all tools, with what their $refs stand for", SCHEMA_VALUES
            )
        if isinstance(value, list):
            stack += [(each, is_merged) for each in value if isinstance(each, dict | list)]
        elif isinstance(value, dict):
            reference = value.get("$ref")
            if root is not None and isinstance(reference, str) and (is_merged or len(value) > 1):
                stack.append((_definition(root, reference, param), True))
            stack += [(each, name == "allOf") for name, each in value.items() if isinstance(each, dict | list)]
    return left


def _definition(root: Any, reference: str, param: str) -> dict[str, Any]:
    match reference.split("/"):
        case ["#", "$defs" | "definitions" as section, name] if isinstance(root, dict):
            definitions = root.get(section)
            definition = definitions.get(name) if isinstance(definitions, dict) else None
            if isinstance(definition, dict):
                return definition
    raise InvalidRequest(f"There is no definition {reference[:99]!r}.", param=param)


def size(value: Any) -> int:
    """Return bytes of JSON in a Lambda response."""
    return encoded_size(to_json_bytes(value))


def encoded_size(body: bytes) -> int:
    """Return the bytes of a body as a JSON string."""
    # JSON and events have nothing else to escape.
    return len(body) + body.count(b'"') + body.count(b"\\") + body.count(b"\n") + body.count(b"\r")
